/* Networks that are trained: products of all shapes, gradients, kernels. Every buffer has its exact size and starts
 * as not-a-numbers, so that nothing is read that was not written, and nothing beyond. */
#include "activation_kinds.h"
#include "check.h"

enum { MOST = 4, PAD = 8, GROUP = 16 };

typedef struct {
    int64_t layers, points, kind, dimension, rows[MOST], biased[MOST], trained[MOST], waves;
} recipe;

typedef struct {
    int64_t *header, layers, points, padded, outputs, set_size, size, work_size;
    double *parameters, *set, *weights;
} model;

static int64_t up(int64_t count, int64_t to) { return (count + to - 1) / to * to; }

static int64_t layer_number(const model *m, int64_t l, int k)
{
    return m->header[NNFT_T_LAYER + NNFT_T_NUMBERS * l + k];
}

static double *row_of(const model *m, double *numbers, int64_t l, int64_t i)
{
    return numbers + layer_number(m, l, 4) + i * layer_number(m, l, 3);
}

static double *targets_of(const model *m)
{
    return m->set + layer_number(m, 0, 2) * m->padded + m->points * layer_number(m, 0, 3);
}

/* numbers between -1 and 1, or small whole ones */
static double number(int64_t k, int whole)
{
    return whole ? (double)((k * 7 + k / 3) % 9 - 4) : sin(1.0 + 1.7 * (double)k + 0.01 * (double)(k * k % 97));
}

static model build(const recipe *r, int whole)
{
    const int64_t L = r->layers, P = r->points;
    model m = { exact_bytes((size_t)(NNFT_T_LAYER + NNFT_T_NUMBERS * L) * sizeof(int64_t)), L, P, up(P, PAD),
                r->rows[L - 1], 0, 0, 0, exact_double(4 + 2 * L), NULL, NULL };
    const int64_t head[NNFT_T_LAYER] = { L, P, m.padded, r->kind, (r->rows[L - 1] - 1) / 2 };
    memcpy(m.header, head, sizeof head);
    for (int64_t l = 0; l < L; l++) {
        int64_t fan_in = l ? r->rows[l - 1] : r->dimension, columns = fan_in + r->biased[l], stride = up(columns, PAD);
        const int64_t numbers[NNFT_T_NUMBERS] = { r->rows[l], fan_in, columns, stride, m.size, r->trained[l] };
        memcpy(m.header + NNFT_T_LAYER + NNFT_T_NUMBERS * l, numbers, sizeof numbers);
        m.size += up(r->rows[l] * stride, GROUP);
    }
    const double activation[4] = { 0.5, 0.25, 0.125, 0 }, none[4] = { 0 }; /* F > 0 makes a network of cosines, waves.h */
    memcpy(m.parameters, r->kind == NNFT_COS && !r->waves ? none : activation, sizeof activation);
    for (int64_t l = 0; l < L; l++) {
        m.parameters[4 + l] = whole ? 2 : 0.5 + (double)l;
        m.parameters[4 + L + l] = !r->biased[l] ? 0 : whole ? 3 : 0.25 * (double)(l + 1);
    }
    m.weights = exact_double(m.size); /* what is not a weight stays not-a-number: it is never looked at */
    for (int64_t l = 0, k = 0; l < L; l++)
        for (int64_t i = 0; i < r->rows[l]; i++)
            for (int64_t j = 0; j < layer_number(&m, l, 2); j++, k++) {
                double scale = whole ? 1 : 1.2 / sqrt((double)layer_number(&m, l, 1));
                row_of(&m, m.weights, l, i)[j] = scale * number(k, whole);
            }
    const int64_t columns = layer_number(&m, 0, 2), stride = layer_number(&m, 0, 3);
    m.set_size = columns * m.padded + P * stride + (m.outputs + 1) * m.padded;
    m.set = exact_double(m.set_size);
    memset(m.set, 0, (size_t)m.set_size * sizeof(double));
    double *targets = targets_of(&m);
    for (int64_t a = 0; a < P; a++) {
        for (int64_t j = 0; j < columns; j++) {
            double x = j < r->dimension ? number(1000 + 31 * a + j, whole) : 1;
            m.set[j * m.padded + a] = m.set[columns * m.padded + a * stride + j] = x;
        }
        for (int64_t i = 0; i < m.outputs; i++) targets[i * m.padded + a] = number(5000 + 17 * i + a, whole);
        targets[m.outputs * m.padded + a] = 1;
    }
    m.work_size = nnft_training_work_size(m.header);
    return m;
}

static void discard(model *m)
{
    free(m->header);
    free(m->parameters);
    free(m->set);
    free(m->weights);
}

/* sum of squares and gradient; working memory of the announced size, filled with `fill` */
static double gradient(const model *m, int fill, double *out)
{
    double *work = exact_double(m->work_size);
    memset(work, fill, (size_t)m->work_size * sizeof *work);
    double loss = core->gradient_d(m->header, m->parameters, m->set, m->weights, work, out);
    free(work);
    return loss;
}

static double *outputs(const model *m)
{
    double *work = exact_double(m->work_size), *out = exact_double(m->outputs * m->points);
    core->outputs_d(m->header, m->parameters, m->set, m->weights, work, out);
    free(work);
    return out;
}

/* the three products of a network without hidden layers, in whole numbers: outputs, gradient, kernel are exact */
static void check_products(const model *m)
{
    const int64_t P = m->points, columns = layer_number(m, 0, 2), fan_in = layer_number(m, 0, 1);
    double *f = outputs(m), *slope = exact_double(m->size), *kernel = exact_double(P * (P + 1) / 2);
    double *tangent = exact_double(P * (P + 1) / 2), *work = exact_double(m->work_size);
    double loss = gradient(m, 0xff, slope), expected_loss = 0;
    core->kernels_d(m->header, m->parameters, m->set, m->weights, work, kernel, tangent);
    int same = 1;
    for (int64_t i = 0; i < m->outputs; i++) {
        for (int64_t a = 0; a < P; a++) {
            double sum = 0, r;
            for (int64_t j = 0; j < columns; j++) sum += row_of(m, m->weights, 0, i)[j] * m->set[j * m->padded + a];
            same &= f[i * P + a] == sum;
            r = sum - targets_of(m)[i * m->padded + a];
            expected_loss += r * r;
        }
        for (int64_t j = 0; j < layer_number(m, 0, 3); j++) {
            double sum = 0;
            for (int64_t a = 0; j < columns && a < P; a++)
                sum += (f[i * P + a] - targets_of(m)[i * m->padded + a]) * m->set[j * m->padded + a];
            same &= row_of(m, slope, 0, i)[j] == sum; /* zero in the padding */
        }
    }
    for (int64_t a = 0, q = 0; a < P; a++)
        for (int64_t b = a; b < P; b++, q++) {
            double sum = 0;
            for (int64_t j = 0; j < fan_in; j++) sum += m->set[j * m->padded + a] * m->set[j * m->padded + b];
            same &= kernel[q] == sum && tangent[q] == 2 * sum + (columns > fan_in ? 3 : 0);
        }
    CHECK(same);
    CHECK(loss == expected_loss && gradient(m, 0, NULL) == loss);
    free(f);
    free(slope);
    free(kernel);
    free(tangent);
    free(work);
}

static uint64_t test_products(void)
{
    const int64_t points[] = { 1, 2, 7, 8, 9, 16, 17, 31, 40, 100 };
    for (int64_t rows = 1; rows <= 13; rows++)
        for (int64_t fan_in = 1; fan_in <= 18; fan_in++) {
            recipe r = { .layers = 1, .points = points[(rows + fan_in) % 10], .dimension = fan_in, .rows = { rows },
                         .biased = { (rows * fan_in) % 2 }, .trained = { 1 } };
            model m = build(&r, 1);
            check_products(&m);
            discard(&m);
        }
    return 0;
}

/* central differences of the sum of squares with respect to some weights of every layer */
static void check_differences(const recipe *r)
{
    model m = build(r, 0);
    double *slope = exact_double(m.size), *again = exact_double(m.size);
    double loss = gradient(&m, 0xff, slope);
    CHECK(gradient(&m, 0x00, again) == loss && gradient(&m, 0x7f, NULL) == loss);
    CHECK(memcmp(slope, again, (size_t)m.size * sizeof *slope) == 0);
    for (int64_t l = 0, k = 0; l < m.layers; l++)
        for (int64_t i = 0; i < r->rows[l]; i++) {
            double *row = row_of(&m, m.weights, l, i), *at = row_of(&m, slope, l, i);
            for (int64_t j = layer_number(&m, l, 2); j < layer_number(&m, l, 3); j++)
                CHECK(r->trained[l] ? at[j] == 0 : isnan(at[j]));
            for (int64_t j = 0; j < layer_number(&m, l, 2); j++, k++) {
                if (!r->trained[l]) CHECK(isnan(at[j])); /* left as it was */
                if (!r->trained[l] || k % 5) continue;
                const double step = 1e-5, kept = row[j];
                row[j] = kept + step;
                double above = gradient(&m, 0xff, NULL);
                row[j] = kept - step;
                double below = gradient(&m, 0xff, NULL);
                row[j] = kept;
                CHECK(fabs(at[j] - (above - below) / (4 * step)) <= 1e-7 * (1 + loss));
            }
        }
    free(slope);
    free(again);
    discard(&m);
}

static uint64_t test_differences(void)
{
    const int64_t points[] = { 1, 7, 8, 9, 20 };
    for (int64_t kind = 0; kind < NNFT_ACTIVATION_COUNT; kind++)
        for (int64_t layers = 1; layers <= MOST; layers++) {
            int64_t k = kind + 3 * layers;
            recipe r = { .layers = layers, .points = points[k % 5], .kind = kind, .dimension = 1 + k % 4 };
            for (int64_t l = 0; l < layers; l++) {
                r.rows[l] = l + 1 < layers ? 3 + (k + 5 * l) % 9 : 1 + k % 3;
                r.biased[l] = (k + l) % 2;
                r.trained[l] = layers == 1 || (k >> l) % 4 != 1;
            }
            check_differences(&r);
        }
    const recipe waves = { .layers = 2, .points = 20, .kind = NNFT_COS, .dimension = 2, .rows = { 9, 2 },
                           .biased = { 1, 0 }, .trained = { 0, 1 }, .waves = 1 };
    check_differences(&waves);
    return 0;
}

static const recipe deep = { .layers = 4, .points = 13, .kind = NNFT_TANH, .dimension = 3, .rows = { 17, 8, 5, 2 },
                             .biased = { 1, 0, 1, 1 }, .trained = { 1, 1, 1, 1 } };

/* Tangent kernel from the gradient: with targets that leave a residual of one at a single point, the gradient is
 * that point's row of the Jacobian. */
static uint64_t test_tangent_kernel(void)
{
    for (int64_t points = 1; points <= 17; points += 4) {
        recipe r = deep;
        r.points = points;
        model m = build(&r, 0);
        double *f = outputs(&m), *rows = exact_double(points * m.size), *work = exact_double(m.work_size);
        double *kernel = exact_double(points * (points + 1) / 2), *tangent = exact_double(points * (points + 1) / 2);
        for (int64_t a = 0; a < points; a++) {
            for (int64_t i = 0; i < m.outputs; i++)
                for (int64_t b = 0; b < points; b++)
                    targets_of(&m)[i * m.padded + b] = f[i * points + b] - (a == b && i == m.header[NNFT_T_OBSERVED]);
            gradient(&m, 0xff, rows + a * m.size);
        }
        core->kernels_d(m.header, m.parameters, m.set, m.weights, work, kernel, tangent);
        for (int64_t a = 0, q = 0; a < points; a++)
            for (int64_t b = a; b < points; b++, q++) {
                double sum = 0;
                for (int64_t l = 0; l < m.layers; l++)
                    for (int64_t i = 0; i < r.rows[l]; i++)
                        for (int64_t j = 0; j < layer_number(&m, l, 2); j++)
                            sum += m.parameters[4 + l + (j < layer_number(&m, l, 1) ? 0 : m.layers)] *
                                   row_of(&m, rows + a * m.size, l, i)[j] * row_of(&m, rows + b * m.size, l, i)[j];
                CHECK(fabs(tangent[q] - sum) <= 1e-12 * (1 + fabs(sum)));
            }
        double *alone = exact_double(points * (points + 1) / 2);
        memset(work, 0xff, (size_t)m.work_size * sizeof *work);
        core->kernels_d(m.header, m.parameters, m.set, m.weights, work, alone, NULL);
        CHECK(memcmp(alone, kernel, (size_t)(points * (points + 1) / 2) * sizeof *kernel) == 0);
        free(alone);
        free(f);
        free(rows);
        free(work);
        free(kernel);
        free(tangent);
        discard(&m);
    }
    return 0;
}

/* a row of the Jacobian from its factors */
static int is_row(const model *m, const recipe *r, const double *factors, int64_t output, int64_t point, double *row)
{
    for (int64_t l = 0; l < m->layers; l++) {
        const int64_t rows = r->rows[l], columns = layer_number(m, l, 2);
        const double *values = factors, *deltas = factors + columns * r->points;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                double found = deltas[(output * rows + i) * r->points + point] * values[j * r->points + point];
                double want = row_of(m, row, l, i)[j];
                if (!(fabs(found - want) <= 1e-12 * (1 + fabs(want)))) return 0;
            }
        factors = deltas + m->outputs * rows * r->points;
    }
    return 1;
}

/* Sums of squared derivatives from the gradient: a residual of one at a single point and output is one row of the
 * Jacobian. More points than a block of a gradient takes. */
static uint64_t test_squared_slopes(void)
{
    for (int64_t points = 1; points <= 97; points += 32) {
        recipe r = deep;
        r.points = points;
        model m = build(&r, 0);
        double *f = outputs(&m), *row = exact_double(m.size), *sums = exact_double(m.size);
        double *found = exact_double(m.size), *work = exact_double(m.work_size);
        int64_t count = 0;
        for (int64_t l = 0; l < m.layers; l++) count += (layer_number(&m, l, 2) + m.outputs * r.rows[l]) * points;
        double *factors = exact_double(count);
        memset(sums, 0, (size_t)m.size * sizeof *sums);
        memset(work, 0xff, (size_t)m.work_size * sizeof *work);
        core->slopes_d(m.header, m.parameters, m.set, m.weights, work, factors);
        memset(work, 0xff, (size_t)m.work_size * sizeof *work);
        for (int64_t k = 0; k < points * m.outputs; k++) {
            for (int64_t i = 0; i < m.outputs; i++)
                for (int64_t b = 0; b < points; b++)
                    targets_of(&m)[i * m.padded + b] = f[i * points + b] - (k == i * points + b);
            gradient(&m, 0xff, row);
            for (int64_t j = 0; j < m.size; j++) sums[j] += row[j] * row[j];
            CHECK(is_row(&m, &r, factors, k / points, k % points, row));
        }
        core->squared_slopes_d(m.header, m.parameters, m.set, m.weights, work, found);
        for (int64_t l = 0; l < m.layers; l++)
            for (int64_t i = 0; i < r.rows[l]; i++)
                for (int64_t j = 0; j < layer_number(&m, l, 2); j++) {
                    double want = row_of(&m, sums, l, i)[j];
                    CHECK(fabs(row_of(&m, found, l, i)[j] - want) <= 1e-12 * (1 + want));
                }
        free(f);
        free(row);
        free(sums);
        free(found);
        free(work);
        free(factors);
        discard(&m);
    }
    return 0;
}

/* numbers of the readout replaced: outputs of the whole network with them, at every cutoff, nested and anew */
static uint64_t test_readout_moves(void)
{
    const int64_t cutoffs = 4, last = 3;
    for (int64_t points = 3; points <= 67; points += 32)
        for (int64_t anew = 0; anew < 2; anew++) {
            recipe r = deep;
            r.points = points;
            model m = build(&r, 0);
            const int64_t stride = layer_number(&m, last, 3), numbers = m.outputs * stride;
            const int64_t shape[2] = { cutoffs, anew };
            int64_t *first = exact_bytes((size_t)numbers * sizeof *first);
            double *amounts = exact_double((anew ? cutoffs : 1) * numbers), *work = exact_double(m.work_size);
            double *base = exact_double(m.outputs * points), *moved = exact_double(cutoffs * m.outputs * points);
            double *kept = row_of(&m, m.weights, last, 0), *before = exact_double(numbers), *f = outputs(&m);
            memcpy(before, kept, (size_t)numbers * sizeof *before);
            for (int64_t k = 0; k < numbers; k++) first[k] = (k * 7) % (cutoffs + 1);
            for (int64_t k = 0; k < (anew ? cutoffs : 1) * numbers; k++) amounts[k] = number(k + 11, 0);
            memset(moved, 0, (size_t)(cutoffs * m.outputs * points) * sizeof *moved);
            memset(work, 0xff, (size_t)m.work_size * sizeof *work);
            core->readout_moves_d(m.header, m.parameters, m.set, m.weights, work, first, amounts, shape, base, moved);
            CHECK(memcmp(base, f, (size_t)(m.outputs * points) * sizeof *f) == 0);
            for (int64_t c = 0; c < cutoffs; c++) {
                for (int64_t k = 0; k < numbers; k++) {
                    int inside = k % stride < layer_number(&m, last, 2) && first[k] <= c;
                    kept[k] = before[k] + (inside ? amounts[(anew ? c * numbers : 0) + k] : 0);
                }
                double *want = outputs(&m);
                for (int64_t k = 0; k < m.outputs * points; k++) {
                    double sum = base[k];
                    for (int64_t b = anew ? c : 0; b <= c; b++) sum += moved[b * m.outputs * points + k];
                    CHECK(fabs(sum - want[k]) <= 1e-12 * (1 + fabs(want[k])));
                }
                free(want);
            }
            free(first);
            free(amounts);
            free(work);
            free(base);
            free(moved);
            free(before);
            free(f);
            discard(&m);
        }
    return 0;
}

/* the last layer alone on the set of its features has the last layer's gradient, to the last bit */
static uint64_t test_features(void)
{
    for (int64_t layers = 1; layers <= 4; layers++) {
        recipe r = deep;
        r.layers = layers;
        model m = build(&r, 0), top = m;
        const int64_t last = layers - 1, size = up(layer_number(&m, last, 0) * layer_number(&m, last, 3), GROUP);
        top.header = exact_bytes((size_t)(NNFT_T_LAYER + NNFT_T_NUMBERS) * sizeof(int64_t));
        memcpy(top.header, m.header, NNFT_T_LAYER * sizeof(int64_t));
        memcpy(top.header + NNFT_T_LAYER, m.header + NNFT_T_LAYER + NNFT_T_NUMBERS * last, 6 * sizeof(int64_t));
        top.header[NNFT_T_LAYERS] = 1;
        top.header[NNFT_T_LAYER + 4] = 0;
        top.layers = 1;
        int64_t columns = layer_number(&m, last, 2), stride = layer_number(&m, last, 3);
        top.set = exact_double(columns * m.padded + m.points * stride + (m.outputs + 1) * m.padded);
        top.weights = exact_double(size);
        memcpy(top.weights, m.weights + layer_number(&m, last, 4), (size_t)size * sizeof(double));
        double *work = exact_double(m.work_size), *whole = exact_double(m.size), *part = exact_double(size);
        core->features_d(m.header, m.parameters, m.set, m.weights, work, top.set);
        top.work_size = nnft_training_work_size(top.header);
        CHECK(gradient(&m, 0xff, whole) == gradient(&top, 0xff, part));
        CHECK(memcmp(part, whole + layer_number(&m, last, 4), (size_t)size * sizeof(double)) == 0);
        discard(&top);
        free(m.header);
        free(m.set);
        free(m.weights);
        free(work);
        free(whole);
        free(part);
    }
    return 0;
}

/* points of the padding may stand anywhere, also where the network overflows */
static uint64_t test_padding_of_points(void)
{
    for (int64_t kind = 0; kind < NNFT_ACTIVATION_COUNT; kind++) {
        recipe r = deep;
        r.kind = kind;
        model m = build(&r, 0);
        double *slope = exact_double(m.size), *again = exact_double(m.size);
        double loss = gradient(&m, 0xff, slope);
        for (int64_t j = 0; j < layer_number(&m, 0, 2); j++)
            for (int64_t a = m.points; a < m.padded; a++) m.set[j * m.padded + a] = 1e200 * number(j + a, 0);
        for (int64_t i = 0; i < m.outputs; i++)
            for (int64_t a = m.points; a < m.padded; a++) targets_of(&m)[i * m.padded + a] = 1e300;
        CHECK(gradient(&m, 0xff, again) == loss);
        CHECK(memcmp(slope, again, (size_t)m.size * sizeof *slope) == 0);
        free(slope);
        free(again);
        discard(&m);
    }
    return 0;
}

static uint64_t test_sums(void)
{
    for (int64_t n = 0; n <= 130; n++) {
        double *a = exact_double(n), *b = exact_double(n), expected = 0;
        for (int64_t i = 0; i < n; i++) a[i] = number(i, 1), b[i] = number(3 * i + 1, 1), expected += a[i] * b[i];
        CHECK(core->dot_d(n, a, b) == expected);
        free(a);
        free(b);
    }
    for (int64_t rows = 0; rows <= 5; rows++)
        for (int64_t stride = PAD; stride <= 5 * PAD; stride += PAD) {
            double *weight = exact_double(stride), *data = exact_double(rows * stride), expected = 0;
            for (int64_t j = 0; j < stride; j++) weight[j] = number(j, 1);
            for (int64_t k = 0; k < rows * stride; k++)
                data[k] = number(k + 5, 1), expected += weight[k % stride] * data[k] * data[k];
            CHECK(core->weighted_square_d(rows, stride, weight, data) == expected);
            free(weight);
            free(data);
        }
    return 0;
}

/* A step of a layer with and without noise, in whole numbers and in the normals of its stream; rows of `columns` are
 * longer than those of the layer. */
static uint64_t test_noisy_step(void)
{
    uint64_t bits = 0;
    for (int64_t rows = 1; rows <= 40; rows += 13)
        for (int64_t stride = PAD; stride <= 5 * PAD; stride += 2 * PAD) {
            const int64_t count = rows * stride, row = stride + 3 * PAD, groups = up(count, GROUP) / GROUP;
            const int64_t where[7] = { 77, (int64_t)1 << 40, 5 << 12 | 3, 6 * groups, count, stride, row };
            double *columns = exact_double(3 * row + stride), *slope = exact_double(count);
            double *start = exact_double(count);
            double *normals = exact_double(groups * GROUP), *theta = exact_double(count);
            for (int64_t j = 0; j < stride; j++) {
                columns[j] = number(j, 1);
                columns[row + j] = number(j + 3, 1);
                columns[3 * row + j] = number(j + 8, 1);
            }
            for (int64_t k = 0; k < count; k++) slope[k] = number(k, 1), start[k] = number(2 * k + 1, 1);
            core->normals_d(77, (uint64_t)1 << 40, 5 << 12 | 3, (uint64_t)(6 * groups), groups, normals);
            for (int noisy = 0; noisy < 2; noisy++) {
                const double numbers[4] = { 0.5, 2, 0.25, noisy ? 0.125 : 0 };
                memcpy(theta, start, (size_t)count * sizeof *theta);
                core->noisy_step_d(where, numbers, columns, slope, theta);
                int good = 1;
                for (int64_t k = 0; k < count; k++) {
                    int64_t j = k % stride;
                    double force = 2 * slope[k] + 0.25 * columns[row + j] * start[k];
                    double moved = start[k] - 0.5 * columns[j] * force;
                    double kick = noisy ? 0.125 * columns[3 * row + j] * normals[k] : 0;
                    good &= noisy ? fabs(theta[k] - moved - kick) <= 1e-14 * (1 + fabs(moved)) : theta[k] == moved;
                }
                CHECK(good);
                bits = digest(bits, theta, (size_t)count * sizeof *theta);
            }
            free(columns);
            free(slope);
            free(theta);
            free(normals);
            free(start);
        }
    return bits;
}

/* Batches of a readout in the variables of the points, against a plain loop; the last batch short, with its scale */
static uint64_t test_residual_steps(void)
{
    uint64_t bits = 0;
    for (int64_t points = 1; points <= 21; points++)
        for (int64_t batch = 1; batch <= points; batch += 3) {
            const int64_t count = points + points % 3, shape[3] = { points, count, batch };
            const double scales[2] = { 0.125, 0.25 };
            int64_t *order = exact_bytes((size_t)count * sizeof *order);
            double *kernel = exact_double(points * points), *r = exact_double(points), *moves = exact_double(points);
            double *picked = exact_double(batch > 8 ? batch : 8), *expected = exact_double(points);
            double *sums = exact_double(points);
            for (int64_t k = 0; k < points * points; k++) kernel[k] = number(k, 0);
            for (int64_t k = 0; k < count; k++) order[k] = (5 * k + k / 2) % points;
            for (int64_t k = 0; k < points; k++) {
                r[k] = expected[k] = number(k + 9, 0);
                moves[k] = sums[k] = number(k, 0);
            }
            core->residual_steps_d(shape, order, kernel, scales, r, moves, picked);
            for (int64_t first = 0; first < count; first += batch) {
                int64_t taken = count - first < batch ? count - first : batch;
                double before[21], scale = taken < batch ? 0.25 : 0.125;
                memcpy(before, expected, (size_t)points * sizeof *before);
                for (int64_t k = first; k < first + taken; k++) {
                    sums[order[k]] += scale * before[order[k]];
                    for (int64_t b = 0; b < points; b++)
                        expected[b] -= scale * before[order[k]] * kernel[order[k] * points + b];
                }
            }
            int good = 1;
            for (int64_t k = 0; k < points; k++)
                good &= fabs(r[k] - expected[k]) <= 1e-12 && fabs(moves[k] - sums[k]) <= 1e-12;
            CHECK(good);
            bits = digest(bits, r, (size_t)points * sizeof *r);
            free(order);
            free(kernel);
            free(r);
            free(moves);
            free(picked);
            free(expected);
            free(sums);
        }
    return bits;
}

/* the same bits with AVX2 and AVX-512 */
static uint64_t test_bits(void)
{
    uint64_t bits = 0;
    for (int64_t kind = 0; kind < NNFT_ACTIVATION_COUNT; kind++) {
        recipe r = deep;
        r.kind = kind;
        r.points = 20 + kind;
        model m = build(&r, 0);
        double *slope = exact_double(m.size), *work = exact_double(m.work_size), *f = outputs(&m);
        memset(slope, 0, (size_t)m.size * sizeof *slope); /* groups end with numbers of no row */
        const int64_t pairs = r.points * (r.points + 1) / 2;
        double *kernels = exact_double(2 * pairs), loss = gradient(&m, 0xff, slope);
        core->kernels_d(m.header, m.parameters, m.set, m.weights, work, kernels, kernels + pairs);
        double sums[2] = { loss, core->dot_d(m.size, slope, slope) };
        bits = digest(bits, sums, sizeof sums);
        bits = digest(bits, slope, (size_t)m.size * sizeof *slope);
        bits = digest(bits, f, (size_t)(m.outputs * m.points) * sizeof *f);
        bits = digest(bits, kernels, (size_t)(2 * pairs) * sizeof *kernels);
        free(slope);
        free(work);
        free(f);
        free(kernels);
        discard(&m);
    }
    return bits;
}

int main(void)
{
    on_every_core(test_products);
    on_every_core(test_differences);
    on_every_core(test_tangent_kernel);
    on_every_core(test_squared_slopes);
    on_every_core(test_readout_moves);
    on_every_core(test_features);
    on_every_core(test_padding_of_points);
    on_every_core(test_sums);
    on_every_core(test_noisy_step);
    on_every_core(test_residual_steps);
    on_every_core(test_bits);
    return verdict("training");
}
