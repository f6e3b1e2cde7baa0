/* The activations and their derivatives on vectors (nnft_tanh_d, nnft_tanh_f, ...) and on arrays.
 *
 * Largest error in units in the last place over all arguments, subnormal arguments and results
 * included; the bounds are those of tests/kernels/test_activations.py (double, float; value, derivative):
 *
 *     tanh      1.5   1.5  |  3.0   3.0        gelu      3.0   3.0  |  3.5*  3.0*
 *     erf       2.0   2.25 |  1.5   2.25       silu      3.0   3.0  |  3.5*  3.0*
 *     sin, cos  1.0   0.51 |  1.0   0.51       softplus  2.0   2.0  |  2.0   2.0
 *     exp       1.0   1.0  |  1.0   1.0        sigmoid   2.0   2.0  |  3.0   3.0
 *
 * (*) within 1/2 of the derivative's zero (-0.7518 for gelu, -1.2785 for silu): in units in the last place
 * of 1/4. sin and cos beyond |z| = 1e5: the error of the C library. linear is exact, relu too; leaky_relu has
 * one rounding, quadratic one for each fused step. A NaN gives a NaN; relu(-0.0) is 0.0; the slope at the kink
 * of relu and leaky_relu is that from below. AVX-512 and AVX2 give the same bits; the portable version may
 * differ in the last place where the machine has no fused multiply-add.
 */
#ifndef NNFT_ACTIVATIONS_H
#define NNFT_ACTIVATIONS_H

#include "activation_kinds.h"
#include "activation_tables.h"
#include "simd.h"
#include "trigonometry.h"

/* adding it rounds to a whole number and leaves that number in the low bits */
#define NNFT_WHOLE_d 0x1.8p52
#define NNFT_WHOLE_f 0x1.8p23f
/* exponent and two bits of the mantissa, lowest */
#define NNFT_OCTAVES_d(bits) vu_shr64(bits, 50)
#define NNFT_OCTAVES_f(bits) vu_shr32(bits, 21)
/* exp(-a) times any factor that occurs here is zero beyond */
#define NNFT_VANISHING_d 800.0
#define NNFT_VANISHING_f 120.0f
#define NNFT_OVERFLOWING_d 720.0
#define NNFT_OVERFLOWING_f 95.0f
/* erf rounds to one from here on */
#define NNFT_ERF_END_d 5.9375
#define NNFT_ERF_END_f 4.0f
/* (1 + a) exp(-a^2/2) is zero beyond, and exp(-a^2) */
#define NNFT_TAIL_END_d 39.5
#define NNFT_TAIL_END_f 15.0f
#define NNFT_BELL_END_d 28.0
#define NNFT_BELL_END_f 11.0f

#include "real_double.h"
#include "activation_parts.h"
#include "activation_bodies.h"
#include "activation_arrays.h"
#include "real_undo.h"

#include "real_float.h"
#include "activation_parts.h"
#include "activation_bodies.h"
#include "activation_arrays.h"
#include "real_undo.h"

#endif
