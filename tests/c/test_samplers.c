/* The two samplers on one network at a time: exact buffers, no memory of the work space, the law of
 * a deep linear network, and the kernels that are singular by right. */
#include "activation_kinds.h"
#include "check.h"

enum { MOST_LAYERS = 5, COLLAPSED_D, COLLAPSED_F, EXPLICIT_D, EXPLICIT_F, SAMPLERS, WAVES_D = SAMPLERS };

typedef struct {
    int64_t layers, points, outputs, dimension, kind, widths[MOST_LAYERS - 1];
    double weight_variance[MOST_LAYERS], bias_variance[MOST_LAYERS], parameters[4];
    int64_t copy; /* this point repeats point 0, if above 0 */
} recipe;

typedef struct {
    int64_t layers, points, pairs, outputs, *header;
    double *reals;
} model;

static double coordinate(const recipe *r, int64_t j, int64_t a)
{
    if (r->copy > 0 && a == r->copy) a = 0;
    return cos(1.0 + 2.3 * (double)j + 0.7 * (double)(a * a)) + 0.1 * (double)a;
}

static model build(const recipe *r, uint64_t key)
{
    const int64_t P = r->points, L = r->layers, Q = P * (P + 1) / 2;
    model m = { L, P, Q, r->outputs, exact_bytes((size_t)(NNFT_H_WIDTHS + L - 1) * sizeof(int64_t)),
                exact_double(4 + 2 * L + Q + P * P + r->dimension * P) };
    const int64_t head[NNFT_H_WIDTHS] = { L, P, r->outputs, r->kind, r->dimension, (int64_t)key };
    memcpy(m.header, head, sizeof head);
    memcpy(m.header + NNFT_H_WIDTHS, r->widths, (size_t)(L - 1) * sizeof(int64_t));
    memcpy(m.reals, r->parameters, 4 * sizeof(double));
    memcpy(m.reals + 4, r->weight_variance, (size_t)L * sizeof(double));
    memcpy(m.reals + 4 + L, r->bias_variance, (size_t)L * sizeof(double));
    double *kernel = m.reals + 4 + 2 * L, *factor = kernel + Q, *inputs = factor + P * P;
    for (int64_t a = 0; a < P; a++)
        for (int64_t b = 0; b < P; b++) {
            double sum = 0;
            for (int64_t j = 0; j < r->dimension; j++) sum += coordinate(r, j, a) * coordinate(r, j, b);
            sum = r->bias_variance[0] + r->weight_variance[0] / (double)r->dimension * sum;
            factor[a * P + b] = sum;
            if (a <= b) *kernel++ = sum;
        }
    core->factor(P, 1e-13, factor);
    for (int64_t j = 0; j < r->dimension; j++)
        for (int64_t a = 0; a < P; a++) inputs[j * P + a] = coordinate(r, j, a);
    return m;
}

static void discard(model *m)
{
    free(m->header);
    free(m->reals);
}

/* one network; work space of exactly the announced size, filled with `fill` */
static int64_t draw(const model *m, int sampler, uint64_t network, int fill, double *kernels, double *fields)
{
    int64_t (*const samplers[])(const int64_t *, const double *, uint64_t, double *, double *, double *) = {
        core->collapsed_d, core->collapsed_f, core->explicit_d, core->explicit_f, core->waves_d };
    const int64_t size = nnft_work_size(m->header);
    double *work = exact_double(size);
    memset(work, fill, (size_t)size * sizeof *work);
    int64_t status = samplers[sampler - COLLAPSED_D](m->header, m->reals, network, work, kernels, fields);
    free(work);
    return status;
}

static void check_one(const model *m, int sampler)
{
    const int64_t n_kernels = m->layers * m->pairs, n_fields = m->outputs * m->points;
    double *kernels = exact_double(n_kernels), *again = exact_double(n_kernels);
    double *fields = exact_double(n_fields), *fields_again = exact_double(n_fields);
    CHECK(draw(m, sampler, 12, 0xff, kernels, fields) == NNFT_OK);
    CHECK(draw(m, sampler, 12, 0x00, again, fields_again) == NNFT_OK);
    CHECK(memcmp(kernels, again, (size_t)n_kernels * sizeof *kernels) == 0);
    CHECK(memcmp(fields, fields_again, (size_t)n_fields * sizeof *fields) == 0);
    CHECK(draw(m, sampler, 12, 0x7f, again, NULL) == NNFT_OK);
    CHECK(memcmp(kernels, again, (size_t)n_kernels * sizeof *kernels) == 0);
    int finite = 1;
    for (int64_t i = 0; i < n_kernels; i++) finite &= isfinite(kernels[i]) != 0;
    for (int64_t i = 0; i < n_fields; i++) finite &= isfinite(fields[i]) != 0;
    CHECK(finite);
    CHECK(memcmp(kernels, m->reals + 4 + 2 * m->layers, (size_t)m->pairs * sizeof *kernels) == 0);
    CHECK(draw(m, sampler, 13, 0xff, again, fields_again) == NNFT_OK);
    CHECK(memcmp(fields, fields_again, (size_t)n_fields * sizeof *fields) != 0);
    free(kernels);
    free(again);
    free(fields);
    free(fields_again);
}

static uint64_t test_shapes(void)
{
    const int64_t points[] = { 1, 2, 3, 4, 5, 7, 8, 13, 16, 17 }, widths[] = { 1, 3, 8, 17, 64, 70 };
    for (size_t p = 0; p < sizeof points / sizeof *points; p++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            recipe r = { .layers = 1 + (int64_t)(p + w) % 4, .points = points[p], .outputs = 1 + (int64_t)w % 5,
                         .dimension = 1 + (int64_t)(5 * p + w) % 21, .kind = (int64_t)(p + 2 * w) % NNFT_EXP,
                         .widths = { widths[w], widths[(w + p) % 6], widths[p % 6] },
                         .parameters = { 0.5, 0.25, 0.125, 0 } };
            for (int l = 0; l < MOST_LAYERS; l++) r.weight_variance[l] = 1.0, r.bias_variance[l] = 0.1 * (double)(l % 2);
            model m = build(&r, 20240605 + p);
            for (int sampler = COLLAPSED_D; sampler < SAMPLERS; sampler++) check_one(&m, sampler);
            discard(&m);
        }
    return 0;
}

/* (mean of x - expected) over its standard error from the sample */
static double pull(double sum, double square, double expected, int64_t count)
{
    double n = (double)count, mean = sum / n;
    return (mean - expected) / sqrt((square / n - mean * mean) / n);
}

/* Deep linear network, no biases, one point: E[Ghat] = K, E[Ghat^2] = K^2 prod (1 + 2/n), where
 * K = prod C_W x.x/d (Zavatone-Veth and Pehlevan 2021); E[f^2] = K. */
static uint64_t test_deep_linear_moments(void)
{
    enum { NETWORKS = 4000 };
    const recipe r = { .layers = 3, .points = 1, .outputs = 1, .dimension = 2, .kind = NNFT_LINEAR,
                       .widths = { 6, 10 }, .weight_variance = { 1.5, 0.8, 1.2 } };
    model m = build(&r, 20240606);
    const double first = m.reals[4 + 2 * 3], K = first * 0.8 * 1.2, second = K * K * (1 + 2.0 / 6) * (1 + 2.0 / 10);
    double kernels[3], field;
    for (int sampler = COLLAPSED_D; sampler < SAMPLERS; sampler++) {
        double s[6] = { 0 };
        for (uint64_t i = 0; i < NETWORKS; i++) {
            CHECK(draw(&m, sampler, i, 0xff, kernels, &field) == NNFT_OK);
            double g = kernels[2], x[3] = { g, g * g, field * field };
            for (int k = 0; k < 3; k++) s[2 * k] += x[k], s[2 * k + 1] += x[k] * x[k];
        }
        CHECK(fabs(pull(s[0], s[1], K, NETWORKS)) < 5.85);
        CHECK(fabs(pull(s[2], s[3], second, NETWORKS)) < 5.85);
        CHECK(fabs(pull(s[4], s[5], K, NETWORKS)) < 5.85);
    }
    discard(&m);
    return 0;
}

/* With biases and two points the mean obeys G -> C_b + C_W G; different outputs are uncorrelated. */
static uint64_t test_biases_and_outputs(void)
{
    enum { NETWORKS = 4000 };
    const recipe r = { .layers = 3, .points = 2, .outputs = 2, .dimension = 3, .kind = NNFT_LINEAR,
                       .widths = { 5, 9 }, .weight_variance = { 1.1, 0.7, 1.3 }, .bias_variance = { 0.2, 0.4, 0.3 } };
    model m = build(&r, 20240607);
    double expected = 0.3 + 1.3 * (0.4 + 0.7 * m.reals[4 + 2 * 3 + 1]), kernels[9], f[4];
    for (int sampler = COLLAPSED_D; sampler < SAMPLERS; sampler++) {
        double s[6] = { 0 };
        for (uint64_t i = 0; i < NETWORKS; i++) {
            CHECK(draw(&m, sampler, i, 0xff, kernels, f) == NNFT_OK);
            double x[3] = { kernels[7], f[0] * f[1], f[0] * f[3] };
            for (int k = 0; k < 3; k++) s[2 * k] += x[k], s[2 * k + 1] += x[k] * x[k];
        }
        CHECK(fabs(pull(s[0], s[1], expected, NETWORKS)) < 5.85);
        CHECK(fabs(pull(s[2], s[3], expected, NETWORKS)) < 5.85);
        CHECK(fabs(pull(s[4], s[5], 0, NETWORKS)) < 5.85);
    }
    discard(&m);
    return 0;
}

/* A repeated input gives equal outputs to the last bit; no weights and no biases give zero. */
static uint64_t test_singular_kernels(void)
{
    recipe r = { .layers = 4, .points = 6, .outputs = 3, .dimension = 4, .kind = NNFT_RELU, .widths = { 2, 33, 4 },
                 .weight_variance = { 2, 2, 2, 2 }, .copy = 4 };
    double kernels[4 * 21], f[18];
    for (int sampler = COLLAPSED_D; sampler < SAMPLERS; sampler++) {
        model m = build(&r, 20240608);
        int unequal = 0;
        for (uint64_t network = 0; network < 50; network++) {
            CHECK(draw(&m, sampler, network, 0xff, kernels, f) == NNFT_OK);
            for (int i = 0; i < 3; i++) unequal += f[6 * i] != f[6 * i + 4];
        }
        CHECK(unequal == 0);
        discard(&m);
    }
    r.weight_variance[2] = r.weight_variance[3] = 0;
    for (int sampler = COLLAPSED_D; sampler < SAMPLERS; sampler++) {
        model m = build(&r, 20240609);
        CHECK(draw(&m, sampler, 1, 0xff, kernels, f) == NNFT_OK);
        for (int i = 0; i < 18; i++) CHECK(f[i] == 0);
        for (int q = 0; q < 21; q++) CHECK(kernels[3 * 21 + q] == 0);
        discard(&m);
    }
    return 0;
}

/* exp of a wide normal overflows: the status names what happened and where */
static uint64_t test_overflow_is_reported(void)
{
    const recipe r = { .layers = 3, .points = 2, .outputs = 1, .dimension = 1, .kind = NNFT_EXP, .widths = { 40, 40 },
                       .weight_variance = { 1e9, 1, 1 } };
    model m = build(&r, 20240610);
    double kernels[9], f[2];
    for (int sampler = COLLAPSED_D; sampler < SAMPLERS; sampler++)
        CHECK(draw(&m, sampler, 3, 0xff, kernels, f) == (NNFT_NOT_FINITE | 2 << 8));
    discard(&m);
    return 0;
}

/* Networks of cosines: exact buffers, no memory of the work space, momenta inside the ball, <f^2> = C_W / 2 without a
 * denominator. */
static uint64_t test_waves(void)
{
    enum { NETWORKS = 4000 };
    const int64_t widths[] = { 1, 8, 13, 64, 65 };
    for (int k = 0; k < 5; k++) {
        const recipe r = { .layers = 2, .points = 1 + k, .outputs = 1 + k % 3, .dimension = 1 + k, .kind = NNFT_COS,
                           .widths = { widths[k] }, .weight_variance = { 1, 2 }, .bias_variance = { 1, 0 },
                           .parameters = { 1.5, k % 2 ? 0.25 : -1, 0.7, k % 4 } };
        model m = build(&r, 20240611);
        check_one(&m, WAVES_D);
        const int64_t d = r.dimension, shape[3] = { widths[k], d, d + 3 };
        double *rows = exact_double(widths[k] * (d + 3)), *work = exact_double(3 * ((widths[k] + 63) / 64 * 64));
        core->draw_waves_d(7, 3, r.parameters, shape, work, rows);
        for (int64_t i = 0; i < widths[k]; i++) {
            double square = 0;
            for (int64_t j = 0; j < d; j++) square += rows[i * (d + 3) + j] * rows[i * (d + 3) + j];
            if (k % 2) CHECK(square <= 0.49 * (1 + 1e-12));
            CHECK(fabs(rows[i * (d + 3) + d]) <= 3.1415926535897936);
        }
        free(rows);
        free(work);
        discard(&m);
    }
    const recipe r = { .layers = 2, .points = 1, .outputs = 1, .dimension = 2, .kind = NNFT_COS, .widths = { 9 },
                       .weight_variance = { 1, 3 }, .bias_variance = { 1, 0 }, .parameters = { 1, -1, 2, 0 } };
    model m = build(&r, 20240612);
    double kernels[2], f, s[4] = { 0 };
    for (uint64_t i = 0; i < NETWORKS; i++) {
        CHECK(draw(&m, WAVES_D, i, 0xff, kernels, &f) == NNFT_OK);
        double x[2] = { kernels[1], f * f };
        for (int k = 0; k < 2; k++) s[2 * k] += x[k], s[2 * k + 1] += x[k] * x[k];
    }
    CHECK(fabs(pull(s[0], s[1], 1.5, NETWORKS)) < 5.85);
    CHECK(fabs(pull(s[2], s[3], 1.5, NETWORKS)) < 5.85);
    discard(&m);
    return 0;
}

int main(void)
{
    on_every_core(test_shapes);
    on_every_core(test_deep_linear_moments);
    on_every_core(test_biases_and_outputs);
    on_every_core(test_singular_kernels);
    on_every_core(test_overflow_is_reported);
    on_every_core(test_waves);
    return verdict("samplers");
}
