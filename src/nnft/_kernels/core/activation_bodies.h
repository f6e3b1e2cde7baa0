/* The activations and their derivatives on one vector, in the working precision of real_double.h or
 * real_float.h. Included by activations.h, which states their errors. */

NNFT_ROUTINE VR FN(nnft_tanh)(VR z) { return FN(nnft_copy_sign)(FN(nnft_tanh_magnitude)(R_(abs)(z)), z); }
NNFT_ROUTINE VR FN(nnft_erf)(VR z) { return FN(nnft_copy_sign)(FN(nnft_erf_magnitude)(R_(abs)(z)), z); }

NNFT_ROUTINE VR FN(nnft_exp)(VR z)
{
    VR whole, x = R_(max)(R_(set)(-FN(NNFT_VANISHING)), R_(min)(R_(set)(FN(NNFT_OVERFLOWING)), z));
    VR y = FN(nnft_exp_parts)(x, R_(set)(0), &whole);
    return R_(scale)(y, whole);
}

NNFT_ROUTINE VR FN(nnft_gelu)(VR z)
{
    VR a = R_(min)(R_(set)(FN(NNFT_TAIL_END)), R_(abs)(z)), whole;
    VR y = FN(nnft_gaussian)(a, (REAL)0.5, &whole);
    VR tail = R_(scale)(R_(mul)(R_(mul)(FN(nnft_mills)(a), y), a), whole); /* a Phi(-a) */
    return R_(select)(R_(lt)(R_(set)(0), z), R_(sub)(z, tail), FN(nnft_copy_sign)(tail, z));
}

NNFT_ROUTINE VR FN(nnft_silu)(VR z)
{
    VR a = R_(abs)(z), whole;
    VR y = FN(nnft_decay)(&a, &whole);
    VR below = FN(nnft_copy_sign)(R_(scale)(R_(mul)(a, y), whole), z);
    VR sum = R_(add)(R_(set)(1), R_(scale)(y, whole));
    return R_(div)(R_(select)(R_(lt)(R_(set)(0), z), z, below), sum);
}

NNFT_ROUTINE VR FN(nnft_sigmoid)(VR z)
{
    VR a = R_(abs)(z), whole, one = R_(set)(1);
    VR u = FN(nnft_decay)(&a, &whole);
    u = R_(scale)(u, whole);
    VR sum = R_(add)(one, u), lost = R_(sub)(u, R_(sub)(sum, one));
    VR quotient = R_(div)(R_(select)(R_(lt)(z, R_(set)(0)), u, one), sum);
    /* the rounding of the sum, taken back to a quarter: its weight 1/sum lies in [1/2, 1] */
    return R_(fnma)(quotient, R_(mul)(R_(set)((REAL)0.75), lost), quotient);
}

NNFT_ROUTINE VR FN(nnft_softplus)(VR z)
{
    VR a = R_(abs)(z), whole;
    VR u = FN(nnft_decay)(&a, &whole);
    VR tail = FN(nnft_log1p_unit)(R_(scale)(u, whole));
    return R_(select)(R_(lt)(R_(set)(0), z), R_(add)(z, tail), tail);
}

NNFT_INLINE VR FN(nnft_relu)(VR z) { return R_(select)(R_(le)(z, R_(set)(0)), R_(set)(0), z); }

NNFT_INLINE VR FN(nnft_relu_derivative)(VR z)
{
    VR zero = R_(set)(0);
    return R_(select)(R_(le)(z, zero), zero, R_(select)(R_(lt)(zero, z), R_(set)(1), z));
}

/* (1 + u)^2 */
NNFT_INLINE VR FN(nnft_square_of_sum)(VR u) { return R_(fma)(u, R_(add)(R_(set)(2), u), R_(set)(1)); }

/* factor u / (1 + u)^2, u = exp(-a) */
NNFT_ROUTINE VR FN(nnft_bell)(VR a, REAL factor)
{
    VR whole, y = FN(nnft_decay)(&a, &whole);
    VR square = FN(nnft_square_of_sum)(R_(scale)(y, whole));
    return R_(scale)(R_(div)(R_(mul)(R_(set)(factor), y), square), whole);
}

NNFT_INLINE VR FN(nnft_tanh_derivative)(VR z)
{
    VR a = R_(abs)(z);
    return FN(nnft_bell)(R_(add)(a, a), 4);
}

NNFT_INLINE VR FN(nnft_sigmoid_derivative)(VR z) { return FN(nnft_bell)(R_(abs)(z), 1); }

NNFT_ROUTINE VR FN(nnft_erf_derivative)(VR z)
{
    VR whole, a = R_(min)(R_(set)(FN(NNFT_BELL_END)), R_(abs)(z));
    VR y = FN(nnft_gaussian)(a, 1, &whole);
    return R_(scale)(R_(mul)(y, R_(set)((REAL)0x1.20dd750429b6dp0)), whole); /* 2/sqrt(pi) */
}

NNFT_INLINE VR FN(nnft_sin_derivative)(VR z) { return FN(nnft_cos)(z); }
NNFT_INLINE VR FN(nnft_cos_derivative)(VR z) { return R_(xor)(FN(nnft_sin)(z), R_(set)(-(REAL)0.0)); }

/* Phi(z) + z phi(z): exp(-a^2/2) (mills(a) - a / sqrt(2 pi)) below zero, one minus that above */
NNFT_ROUTINE VR FN(nnft_gelu_derivative)(VR z)
{
    VR a = R_(min)(R_(set)(FN(NNFT_TAIL_END)), R_(abs)(z)), whole;
    VR y = FN(nnft_gaussian)(a, (REAL)0.5, &whole);
    VR difference = R_(fnma)(a, R_(set)((REAL)0x1.9884533d43651p-2), FN(nnft_mills)(a));
    VR below = R_(scale)(R_(mul)(y, difference), whole);
    return R_(select)(R_(lt)(R_(set)(0), z), R_(sub)(R_(set)(1), below), below);
}

/* u (1 + u - a) / (1 + u)^2 below zero, (1 + u (1 + a)) / (1 + u)^2 above */
NNFT_ROUTINE VR FN(nnft_silu_derivative)(VR z)
{
    VR a = R_(abs)(z), whole, one = R_(set)(1);
    VR y = FN(nnft_decay)(&a, &whole);
    VR u = R_(scale)(y, whole);
    VR below = R_(scale)(R_(mul)(y, R_(add)(R_(sub)(one, a), u)), whole);
    VR above = R_(fma)(u, R_(add)(one, a), one);
    return R_(div)(R_(select)(R_(lt)(R_(set)(0), z), above, below), FN(nnft_square_of_sum)(u));
}
