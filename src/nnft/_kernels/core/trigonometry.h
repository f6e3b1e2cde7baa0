/* sin and cos: |z| <= 1e5 reduced by pi/2 in four parts, beyond by the scalar library.
 *
 * Each of the first three parts of pi/2 has 33 bits, so that its products with the whole number n < 2^17
 * are exact; the rounding errors of the differences are kept (Cody and Waite 1980; the shape of the
 * polynomials with a correction for the low part follows Ng, "Argument reduction for huge arguments", 1992).
 */
#ifndef NNFT_TRIGONOMETRY_H
#define NNFT_TRIGONOMETRY_H

#include "activation_tables.h"
#include "simd.h"

#define NNFT_TRIG_LIMIT 1e5

/* a - b and its rounding error (Knuth) */
NNFT_INLINE vd nnft_difference(vd a, vd b, vd *error)
{
    vd d = vd_sub(a, b);
    vd b2 = vd_sub(a, d), a2 = vd_add(d, b2);
    *error = vd_sub(vd_sub(a, a2), vd_sub(b, b2));
    return d;
}

/* z = n pi/2 + high + low; n is left in the low bits of quadrant */
NNFT_ROUTINE vd nnft_reduce(vd z, vd *low, vu *quadrant)
{
    const vd magic = vd_set(0x1.8p52);
    vd shifted = vd_fma(z, vd_set(0x1.45f306dc9c883p-1), magic);
    vd n = vd_sub(shifted, magic), error1, error2;
    *quadrant = vd_bits(shifted);
    vd r = vd_fnma(n, vd_set(0x1.921fb544p0), z);
    r = nnft_difference(r, vd_mul(n, vd_set(0x1.0b4611a6p-34)), &error1);
    r = nnft_difference(r, vd_mul(n, vd_set(0x1.3198a2ep-69)), &error2);
    vd rest = vd_fnma(n, vd_set(0x1.b839a252049c1p-104), vd_add(error1, error2));
    vd high = vd_add(r, rest);
    *low = vd_add(vd_sub(r, high), rest);
    return high;
}

/* sin(x + y), |x| <= pi/4 */
NNFT_ROUTINE vd nnft_sin_kernel(vd x, vd y, vd x2)
{
    vd p = vd_set(nnft_sin_coefficients[0]);
#pragma GCC unroll 8
    for (int i = 1; i < NNFT_SIN_TERMS; i++)
        p = vd_fma(p, x2, vd_set(nnft_sin_coefficients[i]));
    vd correction = vd_fnma(vd_mul(x2, vd_set(0.5)), y, y);
    return vd_add(x, vd_fma(vd_mul(x, x2), p, correction));
}

/* cos(x + y), |x| <= pi/4 */
NNFT_ROUTINE vd nnft_cos_kernel(vd x, vd y, vd x2)
{
    vd p = vd_set(nnft_cos_coefficients[0]);
#pragma GCC unroll 8
    for (int i = 1; i < NNFT_COS_TERMS; i++)
        p = vd_fma(p, x2, vd_set(nnft_cos_coefficients[i]));
    vd half = vd_mul(x2, vd_set(0.5)), one = vd_set(1.0);
    vd high = vd_sub(one, half);
    vd rest = vd_sub(vd_sub(one, high), half);
    rest = vd_add(rest, vd_fnma(x, y, vd_mul(vd_mul(x2, x2), p)));
    return vd_add(high, rest);
}

/* sin(z + shift pi/2), |z| <= 1e5; elsewhere meaningless (NaN for NaN) */
NNFT_ROUTINE vd nnft_sin_reduced(vd z, uint64_t shift)
{
    vu quadrant;
    vd y, x = nnft_reduce(z, &y, &quadrant);
    vd x2 = vd_mul(x, x);
    quadrant = vu_add64(quadrant, vu_set64(shift));
    vd sine = nnft_sin_kernel(x, y, x2), cosine = nnft_cos_kernel(x, y, x2);
    vd odd = vd_from_bits(vu_and(quadrant, vu_set64(1)));
    vd value = vd_select(vd_lt(vd_set(0.0), odd), cosine, sine);
    vd sign = vd_from_bits(vu_shl64(vu_and(quadrant, vu_set64(2)), 62));
    return vd_xor(value, sign);
}

/* the lanes beyond the limit by the scalar library */
static __attribute__((noinline)) vd nnft_trig_far(vd z, vd value, double (*function)(double))
{
    double from[VD_LANES], to[VD_LANES];
    vd_store(from, z);
    vd_store(to, value);
    for (int i = 0; i < VD_LANES; i++)
        if (!(fabs(from[i]) <= NNFT_TRIG_LIMIT))
            to[i] = function(from[i]);
    return vd_load(to);
}

NNFT_ROUTINE vd nnft_sin_vd(vd z)
{
    vd value = nnft_sin_reduced(z, 0);
    value = vd_select(vd_lt(vd_abs(z), vd_set(0x1p-27)), z, value);
    if (__builtin_expect(vd_any(vd_lt(vd_set(NNFT_TRIG_LIMIT), vd_abs(z))), 0))
        value = nnft_trig_far(z, value, sin);
    return value;
}

NNFT_ROUTINE vd nnft_cos_vd(vd z)
{
    vd value = nnft_sin_reduced(z, 1);
    if (__builtin_expect(vd_any(vd_lt(vd_set(NNFT_TRIG_LIMIT), vd_abs(z))), 0))
        value = nnft_trig_far(z, value, cos);
    return value;
}

#endif
