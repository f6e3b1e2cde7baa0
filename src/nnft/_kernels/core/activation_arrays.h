/* The activations on arrays, in the working precision of real_double.h or real_float.h: part of
 * activations.h. Arrays need no alignment; in and out may be the same. */

/* out[i] = expression(z) over the array; the rest shorter than a vector goes through a padded copy */
#define NNFT_OVER_ARRAY(expression) \
    do { \
        int64_t i = 0; \
        for (; i + VR_LANES <= count; i += VR_LANES) { \
            VR z = R_(load)(in + i); \
            R_(store)(out + i, expression); \
        } \
        if (i < count) { \
            REAL padded[VR_LANES] = { 0 }; \
            memcpy(padded, in + i, (size_t)(count - i) * sizeof(REAL)); \
            VR z = R_(load)(padded); \
            R_(store)(padded, expression); \
            memcpy(out + i, padded, (size_t)(count - i) * sizeof(REAL)); \
        } \
    } while (0)

/* an odd function, two vectors at a time */
#define NNFT_OVER_PAIRS(magnitudes, expression) \
    do { \
        for (; count >= 2 * VR_LANES; count -= 2 * VR_LANES) { \
            VR z0 = R_(load)(in), z1 = R_(load)(in + VR_LANES), a[2] = { R_(abs)(z0), R_(abs)(z1) }; \
            magnitudes(a); \
            R_(store)(out, FN(nnft_copy_sign)(a[0], z0)); \
            R_(store)(out + VR_LANES, FN(nnft_copy_sign)(a[1], z1)); \
            in += 2 * VR_LANES; \
            out += 2 * VR_LANES; \
        } \
        NNFT_OVER_ARRAY(expression); \
    } while (0)

static void FN(nnft_activate)(int kind, const double *parameters, int64_t count, const REAL *in, REAL *out)
{
    switch (kind) {
    case NNFT_RELU: NNFT_OVER_ARRAY(FN(nnft_relu)(z)); break;
    case NNFT_LEAKY_RELU: {
        const VR zero = R_(set)(0), above = R_(set)((REAL)parameters[0]), below = R_(set)((REAL)parameters[1]);
        NNFT_OVER_ARRAY(R_(mul)(z, R_(select)(R_(lt)(zero, z), above, below)));
        break;
    }
    case NNFT_TANH: NNFT_OVER_PAIRS(FN(nnft_tanh_magnitudes), FN(nnft_tanh)(z)); break;
    case NNFT_ERF: NNFT_OVER_PAIRS(FN(nnft_erf_magnitudes), FN(nnft_erf)(z)); break;
    case NNFT_SIN: NNFT_OVER_ARRAY(FN(nnft_sin)(z)); break;
    case NNFT_COS: NNFT_OVER_ARRAY(FN(nnft_cos)(z)); break;
    case NNFT_GELU: NNFT_OVER_ARRAY(FN(nnft_gelu)(z)); break;
    case NNFT_SILU: NNFT_OVER_ARRAY(FN(nnft_silu)(z)); break;
    case NNFT_SOFTPLUS: NNFT_OVER_ARRAY(FN(nnft_softplus)(z)); break;
    case NNFT_SIGMOID: NNFT_OVER_ARRAY(FN(nnft_sigmoid)(z)); break;
    case NNFT_QUADRATIC: {
        const VR a0 = R_(set)((REAL)parameters[0]), a1 = R_(set)((REAL)parameters[1]);
        const VR a2 = R_(set)((REAL)parameters[2]);
        NNFT_OVER_ARRAY(R_(fma)(R_(fma)(a2, z, a1), z, a0));
        break;
    }
    case NNFT_EXP: NNFT_OVER_ARRAY(FN(nnft_exp)(z)); break;
    default: memmove(out, in, (size_t)count * sizeof(REAL)); break;
    }
}

static void FN(nnft_activate_derivative)(
    int kind, const double *parameters, int64_t count, const REAL *in, REAL *out)
{
    switch (kind) {
    case NNFT_RELU: NNFT_OVER_ARRAY(FN(nnft_relu_derivative)(z)); break;
    case NNFT_LEAKY_RELU: {
        const VR zero = R_(set)(0), above = R_(set)((REAL)parameters[0]), below = R_(set)((REAL)parameters[1]);
        NNFT_OVER_ARRAY(R_(select)(R_(isnan)(z), z, R_(select)(R_(lt)(zero, z), above, below)));
        break;
    }
    case NNFT_TANH: NNFT_OVER_ARRAY(FN(nnft_tanh_derivative)(z)); break;
    case NNFT_ERF: NNFT_OVER_ARRAY(FN(nnft_erf_derivative)(z)); break;
    case NNFT_SIN: NNFT_OVER_ARRAY(FN(nnft_sin_derivative)(z)); break;
    case NNFT_COS: NNFT_OVER_ARRAY(FN(nnft_cos_derivative)(z)); break;
    case NNFT_GELU: NNFT_OVER_ARRAY(FN(nnft_gelu_derivative)(z)); break;
    case NNFT_SILU: NNFT_OVER_ARRAY(FN(nnft_silu_derivative)(z)); break;
    case NNFT_SOFTPLUS: NNFT_OVER_ARRAY(FN(nnft_sigmoid)(z)); break;
    case NNFT_SIGMOID: NNFT_OVER_ARRAY(FN(nnft_sigmoid_derivative)(z)); break;
    case NNFT_QUADRATIC: {
        const VR a1 = R_(set)((REAL)parameters[1]), twice = R_(set)((REAL)(2.0 * parameters[2]));
        NNFT_OVER_ARRAY(R_(fma)(twice, z, a1));
        break;
    }
    case NNFT_EXP: NNFT_OVER_ARRAY(FN(nnft_exp)(z)); break;
    default: NNFT_OVER_ARRAY(R_(select)(R_(isnan)(z), z, R_(set)(1))); break;
    }
}
#undef NNFT_OVER_PAIRS
#undef NNFT_OVER_ARRAY
