/* The activations on arrays: part of activations.h. Arrays need no alignment; in and out may be the same. */
#ifndef NNFT_ACTIVATION_ARRAYS_H
#define NNFT_ACTIVATION_ARRAYS_H

/* out[i] = expression(z) over the array; the rest shorter than a vector goes through a padded copy */
#define NNFT_OVER_ARRAY(T, V, lanes, load, store, expression) \
    do { \
        int64_t i = 0; \
        for (; i + lanes <= count; i += lanes) { \
            V z = load(in + i); \
            store(out + i, expression); \
        } \
        if (i < count) { \
            T padded[lanes] = { 0 }; \
            memcpy(padded, in + i, (size_t)(count - i) * sizeof(T)); \
            V z = load(padded); \
            store(padded, expression); \
            memcpy(out + i, padded, (size_t)(count - i) * sizeof(T)); \
        } \
    } while (0)
#define NNFT_OVER_D(expression) NNFT_OVER_ARRAY(double, vd, VD_LANES, vd_load, vd_store, expression)
#define NNFT_OVER_F(expression) NNFT_OVER_ARRAY(float, vf, VF_LANES, vf_load, vf_store, expression)

static void nnft_activate_d(int kind, const double *parameters, int64_t count, const double *in, double *out)
{
    const vd zero = vd_set(0.0);
    switch (kind) {
    case NNFT_RELU: NNFT_OVER_D(nnft_relu_vd(z)); break;
    case NNFT_LEAKY_RELU: {
        const vd above = vd_set(parameters[0]), below = vd_set(parameters[1]);
        NNFT_OVER_D(vd_mul(z, vd_select(vd_lt(zero, z), above, below)));
        break;
    }
    case NNFT_TANH: NNFT_OVER_D(nnft_tanh_vd(z)); break;
    case NNFT_ERF: NNFT_OVER_D(nnft_erf_vd(z)); break;
    case NNFT_SIN: NNFT_OVER_D(nnft_sin_vd(z)); break;
    case NNFT_COS: NNFT_OVER_D(nnft_cos_vd(z)); break;
    case NNFT_GELU: NNFT_OVER_D(nnft_gelu_vd(z)); break;
    case NNFT_SILU: NNFT_OVER_D(nnft_silu_vd(z)); break;
    case NNFT_SOFTPLUS: NNFT_OVER_D(nnft_softplus_vd(z)); break;
    case NNFT_SIGMOID: NNFT_OVER_D(nnft_sigmoid_vd(z)); break;
    case NNFT_QUADRATIC: {
        const vd a0 = vd_set(parameters[0]), a1 = vd_set(parameters[1]), a2 = vd_set(parameters[2]);
        NNFT_OVER_D(vd_fma(vd_fma(a2, z, a1), z, a0));
        break;
    }
    case NNFT_EXP: NNFT_OVER_D(nnft_exp_vd(z)); break;
    default: memmove(out, in, (size_t)count * sizeof(double)); break;
    }
}

static void nnft_activate_derivative_d(int kind, const double *parameters, int64_t count, const double *in, double *out)
{
    const vd zero = vd_set(0.0), one = vd_set(1.0);
    switch (kind) {
    case NNFT_RELU: NNFT_OVER_D(nnft_relu_derivative_vd(z)); break;
    case NNFT_LEAKY_RELU: {
        const vd above = vd_set(parameters[0]), below = vd_set(parameters[1]);
        NNFT_OVER_D(vd_select(vd_isnan(z), z, vd_select(vd_lt(zero, z), above, below)));
        break;
    }
    case NNFT_TANH: NNFT_OVER_D(nnft_tanh_derivative_vd(z)); break;
    case NNFT_ERF: NNFT_OVER_D(nnft_erf_derivative_vd(z)); break;
    case NNFT_SIN: NNFT_OVER_D(nnft_sin_derivative_vd(z)); break;
    case NNFT_COS: NNFT_OVER_D(nnft_cos_derivative_vd(z)); break;
    case NNFT_GELU: NNFT_OVER_D(nnft_gelu_derivative_vd(z)); break;
    case NNFT_SILU: NNFT_OVER_D(nnft_silu_derivative_vd(z)); break;
    case NNFT_SOFTPLUS: NNFT_OVER_D(nnft_sigmoid_vd(z)); break;
    case NNFT_SIGMOID: NNFT_OVER_D(nnft_sigmoid_derivative_vd(z)); break;
    case NNFT_QUADRATIC: {
        const vd a1 = vd_set(parameters[1]), twice = vd_set(2.0 * parameters[2]);
        NNFT_OVER_D(vd_fma(twice, z, a1));
        break;
    }
    case NNFT_EXP: NNFT_OVER_D(nnft_exp_vd(z)); break;
    default: NNFT_OVER_D(vd_select(vd_isnan(z), z, one)); break;
    }
}

static void nnft_activate_f(int kind, const double *parameters, int64_t count, const float *in, float *out)
{
    const vf zero = vf_set(0.0f);
    switch (kind) {
    case NNFT_RELU: NNFT_OVER_F(nnft_relu_vf(z)); break;
    case NNFT_LEAKY_RELU: {
        const vf above = vf_set((float)parameters[0]), below = vf_set((float)parameters[1]);
        NNFT_OVER_F(vf_mul(z, vf_select(vf_lt(zero, z), above, below)));
        break;
    }
    case NNFT_TANH: NNFT_OVER_F(nnft_tanh_vf(z)); break;
    case NNFT_ERF: NNFT_OVER_F(nnft_erf_vf(z)); break;
    case NNFT_SIN: NNFT_OVER_F(nnft_sin_vf(z)); break;
    case NNFT_COS: NNFT_OVER_F(nnft_cos_vf(z)); break;
    case NNFT_GELU: NNFT_OVER_F(nnft_gelu_vf(z)); break;
    case NNFT_SILU: NNFT_OVER_F(nnft_silu_vf(z)); break;
    case NNFT_SOFTPLUS: NNFT_OVER_F(nnft_softplus_vf(z)); break;
    case NNFT_SIGMOID: NNFT_OVER_F(nnft_sigmoid_vf(z)); break;
    case NNFT_QUADRATIC: {
        const vf a0 = vf_set((float)parameters[0]), a1 = vf_set((float)parameters[1]);
        const vf a2 = vf_set((float)parameters[2]);
        NNFT_OVER_F(vf_fma(vf_fma(a2, z, a1), z, a0));
        break;
    }
    case NNFT_EXP: NNFT_OVER_F(nnft_exp_vf(z)); break;
    default: memmove(out, in, (size_t)count * sizeof(float)); break;
    }
}

static void nnft_activate_derivative_f(int kind, const double *parameters, int64_t count, const float *in, float *out)
{
    const vf zero = vf_set(0.0f), one = vf_set(1.0f);
    switch (kind) {
    case NNFT_RELU: NNFT_OVER_F(nnft_relu_derivative_vf(z)); break;
    case NNFT_LEAKY_RELU: {
        const vf above = vf_set((float)parameters[0]), below = vf_set((float)parameters[1]);
        NNFT_OVER_F(vf_select(vf_isnan(z), z, vf_select(vf_lt(zero, z), above, below)));
        break;
    }
    case NNFT_TANH: NNFT_OVER_F(nnft_tanh_derivative_vf(z)); break;
    case NNFT_ERF: NNFT_OVER_F(nnft_erf_derivative_vf(z)); break;
    case NNFT_SIN: NNFT_OVER_F(nnft_sin_derivative_vf(z)); break;
    case NNFT_COS: NNFT_OVER_F(nnft_cos_derivative_vf(z)); break;
    case NNFT_GELU: NNFT_OVER_F(nnft_gelu_derivative_vf(z)); break;
    case NNFT_SILU: NNFT_OVER_F(nnft_silu_derivative_vf(z)); break;
    case NNFT_SOFTPLUS: NNFT_OVER_F(nnft_sigmoid_vf(z)); break;
    case NNFT_SIGMOID: NNFT_OVER_F(nnft_sigmoid_derivative_vf(z)); break;
    case NNFT_QUADRATIC: {
        const vf a1 = vf_set((float)parameters[1]), twice = vf_set((float)(2.0 * parameters[2]));
        NNFT_OVER_F(vf_fma(twice, z, a1));
        break;
    }
    case NNFT_EXP: NNFT_OVER_F(nnft_exp_vf(z)); break;
    default: NNFT_OVER_F(vf_select(vf_isnan(z), z, one)); break;
    }
}

#endif
