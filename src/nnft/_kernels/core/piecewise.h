/* Functions by sixteen polynomials: the coefficients of a lane's interval come out of the table by a permutation.
 *
 * The tables and the bounds of their errors are in activation_tables.h. Arguments are non-negative or NaN;
 * NaN falls through to the result.
 */
#ifndef NNFT_PIECEWISE_H
#define NNFT_PIECEWISE_H

#include "activation_tables.h"
#include "simd.h"

/* table rows: centre, f0, f1, ..., f_degree */
NNFT_INLINE vd nnft_piecewise(const double (*table)[16], int degree, vd a, vu index)
{
    vd t = vd_sub(a, vd_lookup16(table[0], index));
    vd p = vd_lookup16(table[degree + 1], index);
#pragma GCC unroll 16
    for (int row = degree; row > 0; row--)
        p = vd_fma(p, t, vd_lookup16(table[row], index));
    return p;
}

/* the interval from the exponent and two leading bits of the mantissa of a + offset */
NNFT_INLINE vu nnft_octave_index(vd a, double offset)
{
    return vu_shr64(vd_bits(vd_add(a, vd_set(offset))), 50);
}

/* the interval round(scale a) */
NNFT_INLINE vu nnft_uniform_index(vd a, double scale)
{
    return vd_bits(vd_fma(a, vd_set(scale), vd_set(0x1.8p52)));
}

/* tanh a */
NNFT_ROUTINE vd nnft_tanh_magnitude(vd a)
{
    a = vd_min(vd_set(20.0), a);
    return nnft_piecewise(nnft_tanh_table, 14, a, nnft_octave_index(a, 1.5));
}

/* erf a */
NNFT_ROUTINE vd nnft_erf_magnitude(vd a)
{
    a = vd_min(vd_set(5.9375), a);
    return nnft_piecewise(nnft_erf_table, 13, a, nnft_uniform_index(a, 15.0 / 5.9375));
}

/* exp(a^2/2) times the upper tail of the normal distribution, a <= 40 */
NNFT_ROUTINE vd nnft_mills(vd a)
{
    return nnft_piecewise(nnft_mills_table, 14, a, nnft_octave_index(a, 3.0));
}

/* log(1 + u) for u in [0, 1] */
NNFT_ROUTINE vd nnft_log1p_unit(vd u)
{
    return nnft_piecewise(nnft_log1p_table, 9, u, nnft_uniform_index(u, 15.0));
}

#endif
