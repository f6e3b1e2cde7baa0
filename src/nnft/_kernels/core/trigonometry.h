/* sin and cos: |z| <= 1e5 reduced by pi/2 in parts, beyond by the scalar library.
 *
 * Each of the first three parts of pi/2 has 33 bits, so that its products with the whole number n < 2^17
 * are exact; in double the rounding errors of the differences are kept (Cody and Waite 1980; the shape of
 * the polynomials with a correction for the low part follows Ng, "Argument reduction for huge arguments",
 * 1992). Single precision is evaluated in double, with short polynomials and two parts.
 */
#ifndef NNFT_TRIGONOMETRY_H
#define NNFT_TRIGONOMETRY_H

#include "activation_tables.h"
#include "simd.h"

#define NNFT_TRIG_LIMIT 1e5
#define NNFT_HORNER_D(polynomial, x) \
    nnft_horner_d(polynomial, (int)(sizeof polynomial / sizeof *polynomial), x)

NNFT_INLINE vd nnft_horner_d(const double *coefficients, int terms, vd x)
{
    vd p = vd_set(coefficients[0]);
#pragma GCC unroll 8
    for (int i = 1; i < terms; i++)
        p = vd_fma(p, x, vd_set(coefficients[i]));
    return p;
}

/* a - b and its rounding error (Knuth) */
NNFT_INLINE vd nnft_difference(vd a, vd b, vd *error)
{
    vd d = vd_sub(a, b);
    vd b2 = vd_sub(a, d), a2 = vd_add(d, b2);
    *error = vd_sub(vd_sub(a, a2), vd_sub(b, b2));
    return d;
}

/* z - n pi/2 to the first part, with n; n is left in the low bits of quadrant */
NNFT_INLINE vd nnft_quadrant(vd z, vd *n, vu *quadrant)
{
    const vd magic = vd_set(0x1.8p52);
    vd shifted = vd_fma(z, vd_set(0x1.45f306dc9c883p-1), magic);
    *quadrant = vd_bits(shifted);
    *n = vd_sub(shifted, magic);
    return vd_fnma(*n, vd_set(0x1.921fb544p0), z);
}

/* sin(x + y), |x| <= pi/4 */
NNFT_INLINE vd nnft_sin_kernel(vd x, vd y, vd x2)
{
    vd p = NNFT_HORNER_D(nnft_sin_polynomial_d, x2);
    vd correction = vd_fnma(vd_mul(x2, vd_set(0.5)), y, y);
    return vd_add(x, vd_fma(vd_mul(x, x2), p, correction));
}

/* cos(x + y), |x| <= pi/4 */
NNFT_INLINE vd nnft_cos_kernel(vd x, vd y, vd x2)
{
    vd p = NNFT_HORNER_D(nnft_cos_polynomial_d, x2);
    vd half = vd_mul(x2, vd_set(0.5)), one = vd_set(1.0);
    vd high = vd_sub(one, half);
    vd rest = vd_sub(vd_sub(one, high), half);
    rest = vd_add(rest, vd_fnma(x, y, vd_mul(vd_mul(x2, x2), p)));
    return vd_add(high, rest);
}

/* the sine or cosine that belongs to the quadrant, with its sign */
NNFT_INLINE vd nnft_turn(vu quadrant, vd sine, vd cosine)
{
    vd value = vd_select_sign(vu_shl64(quadrant, 63), cosine, sine);
    return vd_xor(value, vd_from_bits(vu_shl64(vu_and(quadrant, vu_set64(2)), 62)));
}

/* sin(z + shift pi/2), |z| <= 1e5; elsewhere meaningless (NaN for NaN) */
NNFT_ROUTINE vd nnft_sin_reduced(vd z, uint64_t shift)
{
    vu quadrant;
    vd n, error1, error2, r = nnft_quadrant(z, &n, &quadrant);
    r = nnft_difference(r, vd_mul(n, vd_set(0x1.0b4611a6p-34)), &error1);
    r = nnft_difference(r, vd_mul(n, vd_set(0x1.3198a2ep-69)), &error2);
    vd rest = vd_fnma(n, vd_set(0x1.b839a252049c1p-104), vd_add(error1, error2));
    vd x = vd_add(r, rest), y = vd_add(vd_sub(r, x), rest), x2 = vd_mul(x, x);
    vd sine = nnft_sin_kernel(x, y, x2), cosine = nnft_cos_kernel(x, y, x2);
    return nnft_turn(vu_add64(quadrant, vu_set64(shift)), sine, cosine);
}

/* the same to single precision, for z that is a float */
NNFT_ROUTINE vd nnft_sin_short(vd z, uint64_t shift)
{
    vu quadrant;
    vd n, x = nnft_quadrant(z, &n, &quadrant);
    x = vd_fnma(n, vd_set(0x1.0b4611a626331p-34), x);
    vd x2 = vd_mul(x, x), half = vd_set(-0.5), one = vd_set(1.0);
    vd sine = vd_fma(vd_mul(x, x2), NNFT_HORNER_D(nnft_sin_short_polynomial_d, x2), x);
    vd cosine = vd_fma(vd_fma(NNFT_HORNER_D(nnft_cos_short_polynomial_d, x2), x2, half), x2, one);
    return nnft_turn(vu_add64(quadrant, vu_set64(shift)), sine, cosine);
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

NNFT_INLINE vd nnft_near_or_far(vd z, vd value, double (*function)(double))
{
    if (__builtin_expect(vd_any(vd_lt(vd_set(NNFT_TRIG_LIMIT), vd_abs(z))), 0))
        value = nnft_trig_far(z, value, function);
    return value;
}

NNFT_ROUTINE vd nnft_sin_d(vd z)
{
    vd value = vd_select(vd_lt(vd_abs(z), vd_set(0x1p-27)), z, nnft_sin_reduced(z, 0));
    return nnft_near_or_far(z, value, sin);
}

NNFT_ROUTINE vd nnft_cos_d(vd z) { return nnft_near_or_far(z, nnft_sin_reduced(z, 1), cos); }

NNFT_INLINE vd nnft_sin_half(vd z)
{
    vd value = vd_select(vd_lt(vd_abs(z), vd_set(0x1p-27)), z, nnft_sin_short(z, 0));
    return nnft_near_or_far(z, value, sin);
}

NNFT_INLINE vd nnft_cos_half(vd z) { return nnft_near_or_far(z, nnft_sin_short(z, 1), cos); }

NNFT_ROUTINE vf nnft_sin_f(vf z)
{
    return vf_from_vd(nnft_sin_half(vd_from_vf_low(z)), nnft_sin_half(vd_from_vf_high(z)));
}

NNFT_ROUTINE vf nnft_cos_f(vf z)
{
    return vf_from_vd(nnft_cos_half(vd_from_vf_low(z)), nnft_cos_half(vd_from_vf_high(z)));
}

#endif
