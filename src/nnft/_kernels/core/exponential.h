/* exp in two parts, so that products with it can be formed before an underflow.
 *
 * exp(x) = y 2^n with y in [0.97, 2): x = (16 n + j) ln2/16 + r, y = 2^(j/16) exp(r). The high part of
 * ln2/16 has 36 bits, so that its product with the whole number is exact (Cody and Waite, "Software
 * Manual for the Elementary Functions", 1980).
 */
#ifndef NNFT_EXPONENTIAL_H
#define NNFT_EXPONENTIAL_H

#include "activation_tables.h"
#include "simd.h"

#define NNFT_WHOLE 0x1.8p52 /* adding it rounds to a whole number and leaves that in the low bits */

/* a times b and the rounding error of the product */
NNFT_INLINE vd nnft_product(vd a, vd b, vd *error)
{
    vd product = vd_mul(a, b);
    *error = vd_product_error(a, b, product);
    return product;
}

/* y of exp(x + rest), with n returned through whole; |x| < 2000, |rest| tiny */
NNFT_ROUTINE vd nnft_exp_parts(vd x, vd rest, vd *whole)
{
    const vd magic = vd_set(NNFT_WHOLE);
    vd shifted = vd_fma(x, vd_set(0x1.71547652b82fep+4), magic);
    vu index = vd_bits(shifted);
    vd k = vd_sub(shifted, magic);
    vd r = vd_fnma(k, vd_set(0x1.62e42fefap-5), x);
    r = vd_add(vd_fnma(k, vd_set(0x1.cf79abc9e3b3ap-44), r), rest);
    *whole = vd_round(vd_fma(k, vd_set(0.0625), vd_set(-0.46875)));
    vd p = vd_fma(r, vd_set(nnft_expm1_table[0]), vd_set(nnft_expm1_table[1]));
    p = vd_fma(p, r, vd_set(nnft_expm1_table[2]));
    p = vd_fma(p, r, vd_set(nnft_expm1_table[3]));
    p = vd_fma(p, r, vd_set(nnft_expm1_table[4]));
    vd tail = vd_lookup16(nnft_exp2_table[1], index);
    p = vd_add(vd_fma(vd_mul(p, r), r, tail), r);
    vd power = vd_lookup16(nnft_exp2_table[0], index);
    return vd_fma(power, p, power);
}

/* exp(x) for x in [-1000, 1000] or NaN */
NNFT_INLINE vd nnft_exp_bounded(vd x)
{
    vd whole;
    vd y = nnft_exp_parts(x, vd_set(0.0), &whole);
    return vd_scale(y, whole);
}

NNFT_ROUTINE vd nnft_exp_vd(vd x)
{
    return nnft_exp_bounded(vd_max(vd_set(-760.0), vd_min(vd_set(720.0), x)));
}

#endif
