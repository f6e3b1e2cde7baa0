/* The activations and their derivatives on vectors and arrays.
 *
 * Largest errors over the whole range, in units in the last place of the result; see
 * tests/kernels/test_activations.py.
 */
#ifndef NNFT_ACTIVATIONS_H
#define NNFT_ACTIVATIONS_H

#include "activation_kinds.h"
#include "exponential.h"
#include "piecewise.h"
#include "simd.h"
#include "trigonometry.h"

#define NNFT_EXP_FLOOR 800.0 /* exp of less, times any factor that occurs here, is zero */
#define NNFT_INV_SQRT_2PI 0x1.9884533d43651p-2

NNFT_INLINE vd nnft_copy_sign(vd magnitude, vd sign)
{
    return vd_or(magnitude, vd_and(sign, vd_set(-0.0)));
}

/* exp(-a) as y 2^n for a >= 0 (or NaN); a is cut at 800 */
NNFT_ROUTINE vd nnft_decay(vd *a, vd *whole)
{
    *a = vd_min(vd_set(NNFT_EXP_FLOOR), *a);
    return nnft_exp_parts(vd_sub(vd_set(0.0), *a), vd_set(0.0), whole);
}

/* exp(-factor a^2) as y 2^n, the square carried in two parts; factor is a power of two */
NNFT_ROUTINE vd nnft_gaussian(vd a, double factor, vd *whole)
{
    vd error, square = nnft_product(a, a, &error);
    vd scale = vd_set(-factor);
    return nnft_exp_parts(vd_mul(scale, square), vd_mul(scale, error), whole);
}

NNFT_ROUTINE vd nnft_tanh_vd(vd z) { return nnft_copy_sign(nnft_tanh_magnitude(vd_abs(z)), z); }
NNFT_ROUTINE vd nnft_erf_vd(vd z) { return nnft_copy_sign(nnft_erf_magnitude(vd_abs(z)), z); }

NNFT_ROUTINE vd nnft_gelu_vd(vd z)
{
    vd a = vd_min(vd_set(39.5), vd_abs(z)), whole;
    vd y = nnft_gaussian(a, 0.5, &whole);
    vd tail = vd_scale(vd_mul(vd_mul(nnft_mills(a), y), a), whole); /* a Phi(-a) */
    return vd_select(vd_lt(vd_set(0.0), z), vd_sub(z, tail), nnft_copy_sign(tail, z));
}

NNFT_ROUTINE vd nnft_silu_vd(vd z)
{
    vd a = vd_abs(z), whole;
    vd y = nnft_decay(&a, &whole);
    vd below = nnft_copy_sign(vd_scale(vd_mul(a, y), whole), z);
    vd sum = vd_add(vd_set(1.0), vd_scale(y, whole));
    return vd_div(vd_select(vd_lt(vd_set(0.0), z), z, below), sum);
}

NNFT_ROUTINE vd nnft_sigmoid_vd(vd z)
{
    vd a = vd_abs(z), whole, one = vd_set(1.0);
    vd u = nnft_decay(&a, &whole);
    u = vd_scale(u, whole);
    return vd_div(vd_select(vd_lt(z, vd_set(0.0)), u, one), vd_add(one, u));
}

NNFT_ROUTINE vd nnft_softplus_vd(vd z)
{
    vd a = vd_abs(z), whole;
    vd u = nnft_decay(&a, &whole);
    vd tail = nnft_log1p_unit(vd_scale(u, whole));
    return vd_select(vd_lt(vd_set(0.0), z), vd_add(z, tail), tail);
}

NNFT_ROUTINE vd nnft_relu_vd(vd z) { return vd_select(vd_le(z, vd_set(0.0)), vd_set(0.0), z); }

NNFT_ROUTINE vd nnft_relu_derivative_vd(vd z)
{
    vd zero = vd_set(0.0);
    return vd_select(vd_le(z, zero), zero, vd_select(vd_lt(zero, z), vd_set(1.0), z));
}

/* 4 u / (1 + u)^2 for tanh (a doubled), u / (1 + u)^2 for the sigmoid */
NNFT_ROUTINE vd nnft_bell_vd(vd a, double factor)
{
    vd whole, y = nnft_decay(&a, &whole);
    vd sum = vd_add(vd_set(1.0), vd_scale(y, whole));
    return vd_scale(vd_div(vd_mul(vd_set(factor), y), vd_mul(sum, sum)), whole);
}

NNFT_ROUTINE vd nnft_tanh_derivative_vd(vd z)
{
    vd a = vd_abs(z);
    return nnft_bell_vd(vd_add(a, a), 4.0);
}

NNFT_ROUTINE vd nnft_sigmoid_derivative_vd(vd z) { return nnft_bell_vd(vd_abs(z), 1.0); }

NNFT_ROUTINE vd nnft_erf_derivative_vd(vd z)
{
    vd whole, y = nnft_gaussian(vd_min(vd_set(28.0), vd_abs(z)), 1.0, &whole);
    return vd_scale(vd_mul(y, vd_set(0x1.20dd750429b6dp0)), whole);
}

NNFT_ROUTINE vd nnft_sin_derivative_vd(vd z) { return nnft_cos_vd(z); }
NNFT_ROUTINE vd nnft_cos_derivative_vd(vd z) { return vd_xor(nnft_sin_vd(z), vd_set(-0.0)); }

/* Phi(z) + z phi(z): exp(-a^2/2) (mills(a) - a / sqrt(2 pi)) below zero, one minus that above */
NNFT_ROUTINE vd nnft_gelu_derivative_vd(vd z)
{
    vd a = vd_min(vd_set(39.5), vd_abs(z)), whole;
    vd y = nnft_gaussian(a, 0.5, &whole);
    vd difference = vd_fnma(a, vd_set(NNFT_INV_SQRT_2PI), nnft_mills(a));
    vd below = vd_scale(vd_mul(y, difference), whole);
    return vd_select(vd_lt(vd_set(0.0), z), vd_sub(vd_set(1.0), below), below);
}

/* u (1 + u - a) / (1 + u)^2 below zero, (1 + u (1 + a)) / (1 + u)^2 above */
NNFT_ROUTINE vd nnft_silu_derivative_vd(vd z)
{
    vd a = vd_abs(z), whole, one = vd_set(1.0);
    vd y = nnft_decay(&a, &whole);
    vd u = vd_scale(y, whole), sum = vd_add(one, u);
    vd below = vd_scale(vd_mul(y, vd_add(vd_sub(one, a), u)), whole);
    vd above = vd_fma(u, vd_add(one, a), one);
    return vd_div(vd_select(vd_lt(vd_set(0.0), z), above, below), vd_mul(sum, sum));
}

/* single precision through double: one rounding at the end */
#define NNFT_THROUGH_DOUBLE(name) \
    NNFT_ROUTINE vf nnft_##name##_vf(vf z) \
    { \
        return vf_from_vd(nnft_##name##_vd(vd_from_vf_low(z)), nnft_##name##_vd(vd_from_vf_high(z))); \
    }
NNFT_THROUGH_DOUBLE(tanh)
NNFT_THROUGH_DOUBLE(tanh_derivative)
NNFT_THROUGH_DOUBLE(erf)
NNFT_THROUGH_DOUBLE(erf_derivative)
NNFT_THROUGH_DOUBLE(sin)
NNFT_THROUGH_DOUBLE(sin_derivative)
NNFT_THROUGH_DOUBLE(cos)
NNFT_THROUGH_DOUBLE(cos_derivative)
NNFT_THROUGH_DOUBLE(gelu)
NNFT_THROUGH_DOUBLE(gelu_derivative)
NNFT_THROUGH_DOUBLE(silu)
NNFT_THROUGH_DOUBLE(silu_derivative)
NNFT_THROUGH_DOUBLE(softplus)
NNFT_THROUGH_DOUBLE(sigmoid)
NNFT_THROUGH_DOUBLE(sigmoid_derivative)
NNFT_THROUGH_DOUBLE(exp)

NNFT_ROUTINE vf nnft_relu_vf(vf z) { return vf_select(vf_le(z, vf_set(0.0f)), vf_set(0.0f), z); }

NNFT_ROUTINE vf nnft_relu_derivative_vf(vf z)
{
    vf zero = vf_set(0.0f);
    return vf_select(vf_le(z, zero), zero, vf_select(vf_lt(zero, z), vf_set(1.0f), z));
}

#include "activation_arrays.h"

#endif
