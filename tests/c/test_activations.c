/* Activations and derivatives against the C library, every array length, every kind of number.
 *
 * The bounds are loose, 1e-14 and 2e-6 of 1 + |value|: the tests of accuracy in units of the last
 * place are elsewhere. Here a wrong branch, a lost tail or a store too far has to show.
 */
#include "activation_kinds.h"
#include "check.h"

static const double parameters[NNFT_ACTIVATION_COUNT][4] = {
    [NNFT_LEAKY_RELU] = { 0.75, -0.25 }, [NNFT_QUADRATIC] = { 0.5, -1.5, 0.25 } };

static double logistic(double z) { return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z)); }
static double normal_below(double z) { return 0.5 * erfc(-z / sqrt(2)); }
static double normal_density(double z) { return exp(-z * z / 2) / sqrt(2 * acos(-1)); }

static double expected_value(int kind, double z)
{
    const double *p = parameters[kind];
    switch (kind) {
    case NNFT_RELU: return z > 0 ? z : 0;
    case NNFT_LEAKY_RELU: return z > 0 ? p[0] * z : p[1] * z;
    case NNFT_TANH: return tanh(z);
    case NNFT_ERF: return erf(z);
    case NNFT_SIN: return sin(z);
    case NNFT_COS: return cos(z);
    case NNFT_GELU: return z * normal_below(z);
    case NNFT_SILU: return z * logistic(z);
    case NNFT_SOFTPLUS: return fmax(z, 0) + log1p(exp(-fabs(z)));
    case NNFT_SIGMOID: return logistic(z);
    case NNFT_QUADRATIC: return p[0] + p[1] * z + p[2] * z * z;
    case NNFT_EXP: return exp(z);
    default: return z;
    }
}

static double expected_slope(int kind, double z)
{
    const double *p = parameters[kind];
    double s = logistic(z);
    switch (kind) {
    case NNFT_RELU: return z > 0 ? 1 : 0;
    case NNFT_LEAKY_RELU: return z > 0 ? p[0] : p[1];
    case NNFT_TANH: return 1 / (cosh(z) * cosh(z));
    case NNFT_ERF: return 2 / sqrt(acos(-1)) * exp(-z * z);
    case NNFT_SIN: return cos(z);
    case NNFT_COS: return -sin(z);
    case NNFT_GELU: return normal_below(z) + z * normal_density(z);
    case NNFT_SILU: return s + z * s * (1 - s);
    case NNFT_SOFTPLUS: return s;
    case NNFT_SIGMOID: return s * (1 - s);
    case NNFT_QUADRATIC: return p[1] + 2 * p[2] * z;
    case NNFT_EXP: return exp(z);
    default: return 1;
    }
}

static int near(double found, double expected, double bound)
{
    return fabs(found - expected) <= bound * (1 + fabs(expected));
}

/* points spread unevenly over [-20, 20], zero and both its signs among them */
static double sample_point(int64_t i)
{
    if (i % 97 == 0) return i % 2 ? 0.0 : -0.0;
    double u = fmod(0.6180339887498949 * (double)i, 1.0) * 2 - 1;
    return 20 * u * u * u;
}

static int wrong_double(int kind, int64_t count)
{
    double *in = exact_double(count), *out = exact_double(count), *slope = exact_double(count);
    int wrong = 0;
    for (int64_t i = 0; i < count; i++) in[i] = sample_point(i);
    core->activate_d(kind, parameters[kind], count, in, out);
    core->derivative_d(kind, parameters[kind], count, in, slope);
    for (int64_t i = 0; i < count; i++)
        wrong += !near(out[i], expected_value(kind, in[i]), 1e-14) +
                 !near(slope[i], expected_slope(kind, in[i]), 1e-14);
    core->activate_d(kind, parameters[kind], count, in, in);
    wrong += memcmp(in, out, (size_t)count * sizeof *in) != 0;
    free(in);
    free(out);
    free(slope);
    return wrong;
}

static int wrong_float(int kind, int64_t count)
{
    float *in = exact_float(count), *out = exact_float(count), *slope = exact_float(count);
    int wrong = 0;
    for (int64_t i = 0; i < count; i++) in[i] = (float)sample_point(i);
    core->activate_f(kind, parameters[kind], count, in, out);
    core->derivative_f(kind, parameters[kind], count, in, slope);
    for (int64_t i = 0; i < count; i++)
        wrong += !near((double)out[i], expected_value(kind, (double)in[i]), 2e-6) +
                 !near((double)slope[i], expected_slope(kind, (double)in[i]), 2e-6);
    core->activate_f(kind, parameters[kind], count, in, in);
    wrong += memcmp(in, out, (size_t)count * sizeof *in) != 0;
    free(in);
    free(out);
    free(slope);
    return wrong;
}

static uint64_t test_values(void)
{
    for (int kind = 0; kind < NNFT_ACTIVATION_COUNT; kind++) {
        for (int64_t count = 0; count <= 35; count++) {
            CHECK(wrong_double(kind, count) == 0);
            CHECK(wrong_float(kind, count) == 0);
        }
        CHECK(wrong_double(kind, 5003) == 0);
        CHECK(wrong_float(kind, 5003) == 0);
    }
    return 0;
}

static const double hard[] = { 0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e-40, 1e-20, -1e-20, 0.5, 1e3, -1e3, 1e10,
                               -1e10, 1.7e308, -1.7e308, INFINITY, -INFINITY, NAN };
enum { HARD = sizeof hard / sizeof *hard };

/* No undefined behaviour for any number, NaN stays NaN, and nothing else becomes NaN without cause. */
static uint64_t test_hard_numbers(void)
{
    double *out = exact_double(HARD), *slope = exact_double(HARD);
    float *in_f = exact_float(HARD), *out_f = exact_float(HARD), *slope_f = exact_float(HARD);
    uint64_t bits = 0;
    for (int i = 0; i < HARD; i++) in_f[i] = fabs(hard[i]) > 3e38 ? copysignf(INFINITY, (float)copysign(1, hard[i]))
                                                                  : (float)hard[i];
    in_f[HARD - 1] = NAN;
    for (int kind = 0; kind < NNFT_ACTIVATION_COUNT; kind++) {
        core->activate_d(kind, parameters[kind], HARD, hard, out);
        core->derivative_d(kind, parameters[kind], HARD, hard, slope);
        core->activate_f(kind, parameters[kind], HARD, in_f, out_f);
        core->derivative_f(kind, parameters[kind], HARD, in_f, slope_f);
        CHECK(isnan(out[HARD - 1]) && isnan(out_f[HARD - 1]));
        for (int i = 0; i < 9; i++) CHECK(near(out[i], expected_value(kind, hard[i]), 1e-14));
        for (int i = 0; i < 9; i++) CHECK(near((double)out_f[i], expected_value(kind, hard[i]), 2e-6));
        for (int i = 0; i < HARD - 3; i++) CHECK(!isnan(out[i]) || fabs(hard[i]) > 1e300);
        bits = digest(bits, out, (HARD - 1) * sizeof *out);
    }
    free(out);
    free(slope);
    free(in_f);
    free(out_f);
    free(slope_f);
    return bits;
}

/* The same bits from AVX2 and AVX-512: compared by on_every_core. */
static uint64_t test_bits(void)
{
    enum { N = 4001 };
    double *in = exact_double(N), *out = exact_double(N);
    float *in_f = exact_float(N), *out_f = exact_float(N);
    uint64_t bits = 0;
    for (int i = 0; i < N; i++) in_f[i] = (float)(in[i] = sample_point(i));
    for (int kind = 0; kind < NNFT_ACTIVATION_COUNT; kind++) {
        core->activate_d(kind, parameters[kind], N, in, out);
        bits = digest(bits, out, N * sizeof *out);
        core->derivative_d(kind, parameters[kind], N, in, out);
        bits = digest(bits, out, N * sizeof *out);
        core->activate_f(kind, parameters[kind], N, in_f, out_f);
        bits = digest(bits, out_f, N * sizeof *out_f);
        core->derivative_f(kind, parameters[kind], N, in_f, out_f);
        bits = digest(bits, out_f, N * sizeof *out_f);
    }
    CHECK(bits != 0);
    free(in);
    free(out);
    free(in_f);
    free(out_f);
    return bits;
}

int main(void)
{
    on_every_core(test_values);
    on_every_core(test_hard_numbers);
    on_every_core(test_bits);
    return verdict("activations");
}
