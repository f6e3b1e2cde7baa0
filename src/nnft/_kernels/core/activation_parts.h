/* What the activations are made of, in the working precision of real_double.h or real_float.h.
 *
 * exp comes in two parts, so that products with it can be formed before an underflow; functions without
 * a simple form are polynomials on sixteen intervals, whose coefficients a permutation takes out of a
 * table. Tables, constants and the bounds of their errors are in activation_tables.h.
 */

/* the rounding error of the product p = a b goes to *error */
NNFT_INLINE VR FN(nnft_product)(VR a, VR b, VR *error)
{
    VR p = R_(mul)(a, b);
    *error = R_(product_error)(a, b, p);
    return p;
}

NNFT_INLINE VR FN(nnft_copy_sign)(VR magnitude, VR sign)
{
    return R_(or)(magnitude, R_(and)(sign, R_(set)(-(REAL)0.0)));
}

/* exp(x + rest) = y 2^n with y in [0.97, 2), n through *whole; |x| < 2000 (float: 174), |rest| tiny.
 * x = (16 n + j) ln2/16 + r and y = 2^(j/16) exp(r); the first part of ln2/16 is short, so that its product
 * with 16 n + j is exact (Cody and Waite, "Software Manual for the Elementary Functions", 1980). */
NNFT_ROUTINE VR FN(nnft_exp_parts)(VR x, VR rest, VR *whole)
{
    const VR magic = R_(set)(FN(NNFT_WHOLE));
    const int terms = (int)(sizeof FN(nnft_expm1_polynomial) / sizeof(REAL));
    VR shifted = R_(fma)(x, R_(set)(FN(nnft_exp_steps)), magic);
    vu index = R_(bits)(shifted);
    VR k = R_(sub)(shifted, magic);
    VR r = R_(fnma)(k, R_(set)(FN(nnft_exp_high)), x);
    r = R_(add)(R_(fnma)(k, R_(set)(FN(nnft_exp_low)), r), rest);
    *whole = R_(round)(R_(fma)(k, R_(set)((REAL)0.0625), R_(set)((REAL)-0.46875)));
    VR p = R_(set)(FN(nnft_expm1_polynomial)[0]);
#pragma GCC unroll 8
    for (int i = 1; i < terms; i++)
        p = R_(fma)(p, r, R_(set)(FN(nnft_expm1_polynomial)[i]));
    VR tail = R_(lookup16)(FN(nnft_exp2_table)[1], index);
    p = R_(add)(R_(fma)(R_(mul)(p, r), r, tail), r);
    VR power = R_(lookup16)(FN(nnft_exp2_table)[0], index);
    return R_(fma)(power, p, power);
}

/* exp(-a) = y 2^n for a >= 0 or NaN; a is cut where the result vanishes whatever multiplies it here */
NNFT_INLINE VR FN(nnft_decay)(VR *a, VR *whole)
{
    *a = R_(min)(R_(set)(FN(NNFT_VANISHING)), *a);
    return FN(nnft_exp_parts)(R_(sub)(R_(set)(0), *a), R_(set)(0), whole);
}

/* exp(-factor a^2) = y 2^n, the square carried in two parts; factor is a power of two */
NNFT_INLINE VR FN(nnft_gaussian)(VR a, REAL factor, VR *whole)
{
    VR error, square = FN(nnft_product)(a, a, &error);
    VR scale = R_(set)(-factor);
    return FN(nnft_exp_parts)(R_(mul)(scale, square), R_(mul)(scale, error), whole);
}

/* f0 + t (f1 + t (f2 + ...)) with t = a - centre; table rows: centre, f0, f1, ... */
NNFT_INLINE VR FN(nnft_piecewise)(const REAL (*table)[16], int rows, VR a, vu index)
{
    VR t = R_(sub)(a, R_(lookup16)(table[0], index));
    VR p = R_(lookup16)(table[rows - 1], index);
#pragma GCC unroll 16
    for (int row = rows - 2; row > 0; row--)
        p = R_(fma)(p, t, R_(lookup16)(table[row], index));
    return p;
}

/* the same for two vectors at once: their chains of operations fill each other's waiting times */
NNFT_INLINE void FN(nnft_piecewise_pair)(const REAL (*table)[16], int rows, VR *a, const vu *index)
{
    VR t0 = R_(sub)(a[0], R_(lookup16)(table[0], index[0]));
    VR t1 = R_(sub)(a[1], R_(lookup16)(table[0], index[1]));
    a[0] = R_(lookup16)(table[rows - 1], index[0]);
    a[1] = R_(lookup16)(table[rows - 1], index[1]);
#pragma GCC unroll 16
    for (int row = rows - 2; row > 0; row--) {
        a[0] = R_(fma)(a[0], t0, R_(lookup16)(table[row], index[0]));
        a[1] = R_(fma)(a[1], t1, R_(lookup16)(table[row], index[1]));
    }
}
#define NNFT_PIECEWISE(name, a, index) \
    FN(nnft_piecewise)(FN(name), (int)(sizeof FN(name) / sizeof FN(name)[0]), a, index)

/* the interval from the exponent and two leading bits of the mantissa of a + offset */
NNFT_INLINE vu FN(nnft_octave_index)(VR a, REAL offset)
{
    return FN(NNFT_OCTAVES)(R_(bits)(R_(add)(a, R_(set)(offset))));
}

/* the interval round(scale a) */
NNFT_INLINE vu FN(nnft_uniform_index)(VR a, REAL scale)
{
    return R_(bits)(R_(fma)(a, R_(set)(scale), R_(set)(FN(NNFT_WHOLE))));
}

NNFT_ROUTINE VR FN(nnft_tanh_magnitude)(VR a)
{
    a = R_(min)(R_(set)(20), a);
    return NNFT_PIECEWISE(nnft_tanh_table, a, FN(nnft_octave_index)(a, (REAL)1.5));
}

NNFT_ROUTINE void FN(nnft_tanh_magnitudes)(VR *a)
{
    const int rows = (int)(sizeof FN(nnft_tanh_table) / sizeof FN(nnft_tanh_table)[0]);
    a[0] = R_(min)(R_(set)(20), a[0]);
    a[1] = R_(min)(R_(set)(20), a[1]);
    vu index[2] = { FN(nnft_octave_index)(a[0], (REAL)1.5), FN(nnft_octave_index)(a[1], (REAL)1.5) };
    FN(nnft_piecewise_pair)(FN(nnft_tanh_table), rows, a, index);
}

NNFT_ROUTINE VR FN(nnft_erf_magnitude)(VR a)
{
    a = R_(min)(R_(set)(FN(NNFT_ERF_END)), a);
    return NNFT_PIECEWISE(nnft_erf_table, a, FN(nnft_uniform_index)(a, (REAL)(15 / FN(NNFT_ERF_END))));
}

NNFT_ROUTINE void FN(nnft_erf_magnitudes)(VR *a)
{
    const int rows = (int)(sizeof FN(nnft_erf_table) / sizeof FN(nnft_erf_table)[0]);
    const REAL end = FN(NNFT_ERF_END);
    a[0] = R_(min)(R_(set)(end), a[0]);
    a[1] = R_(min)(R_(set)(end), a[1]);
    vu index[2] = { FN(nnft_uniform_index)(a[0], 15 / end), FN(nnft_uniform_index)(a[1], 15 / end) };
    FN(nnft_piecewise_pair)(FN(nnft_erf_table), rows, a, index);
}

/* exp(a^2/2) times the upper tail of the normal distribution; a at most NNFT_TAIL_END */
NNFT_ROUTINE VR FN(nnft_mills)(VR a)
{
    return NNFT_PIECEWISE(nnft_mills_table, a, FN(nnft_octave_index)(a, 3));
}

/* log(1 + u) for u in [0, 1] */
NNFT_ROUTINE VR FN(nnft_log1p_unit)(VR u)
{
    return NNFT_PIECEWISE(nnft_log1p_table, u, FN(nnft_uniform_index)(u, 15));
}
#undef NNFT_PIECEWISE
