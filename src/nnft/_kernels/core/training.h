/* One network on a set of points: outputs, gradient of the squared error, kernels. Hand-written backpropagation.
 *
 * Header (int64): see nnft_training in api.h. Weights: layer l is a row-major matrix of `rows` neurons, each row
 * fan_in weights, then one bias if the layer has any, padded with zeros to `stride`. A set of points is one array:
 * inputs feature-major (columns_1 x P', the last row ones if layer 1 has biases), inputs point-major (P x stride_1),
 * targets (D x P'), mask (P'; 1 for a point, 0 for padding), with P' = P padded to whole vectors.
 * Activations are kept neuron-major, one row of P' points for each neuron, so that points are the vector lanes.
 * Included once for each precision (real_*.h). */

/* the set's parts */
NNFT_INLINE const REAL *FN(set_point_major)(const nnft_training *t, const REAL *set)
{
    return set + t->layer[0].columns * t->padded;
}
NNFT_INLINE const REAL *FN(set_targets)(const nnft_training *t, const REAL *set)
{
    return FN(set_point_major)(t, set) + t->points * t->layer[0].stride;
}

/* out[j][p] = slope[j][p] * (out[j][p], or weights[j] * delta[p] where weights are given), rows of whole vectors;
 * slopes from the values of the activation, or as they were kept */
static void FN(times_slopes)(int64_t kind, int64_t rows, int64_t width, const REAL *values, const REAL *slopes,
                             const REAL *weights, const REAL *delta, REAL *out)
{
    const VR one = R_(set)(1), zero = R_(set)(0);
#define OVER_ROWS(source, expression) \
    for (int64_t j = 0; j < rows; j++, source += width, out += width) { \
        VR weight = R_(set)(weights ? weights[j] : 1); \
        const REAL *from = weights ? delta : out; \
        for (int64_t p = 0; p < width; p += VR_LANES) { \
            VR a = R_(load)(source + p); \
            R_(store)(out + p, R_(mul)(R_(mul)(weight, R_(load)(from + p)), expression)); \
        } \
    } \
    break
    switch (kind) {
    case NNFT_TANH: OVER_ROWS(values, R_(fnma)(a, a, one));
    case NNFT_RELU: OVER_ROWS(values, R_(select)(R_(lt)(zero, a), one, zero));
    case NNFT_SIGMOID: OVER_ROWS(values, R_(mul)(a, R_(sub)(one, a)));
    case NNFT_LINEAR: OVER_ROWS(values, ((void)a, one));
    case NNFT_EXP: OVER_ROWS(values, a);
    default: OVER_ROWS(slopes, a);
    }
#undef OVER_ROWS
}

/* A block of the points of a set: `width` numbers a row in the work array, padding included. Its parts there:
 * activations of the hidden layers, slopes where they are kept, two rows of deltas, rest. */
typedef struct {
    int64_t first, points, width;
    REAL *values[NNFT_MOST_LAYERS], *slopes[NNFT_MOST_LAYERS], *delta[2], *rest;
} FN(training_work);

static FN(training_work) FN(training_parts)(const nnft_training *t, int64_t width, REAL *work)
{
    FN(training_work) w = { .first = 0, .points = t->points, .width = width };
    const int keep = !nnft_slope_from_value(t->kind);
    int64_t widest = t->layer[t->layers - 1].rows;
    for (int64_t l = 0; l + 1 < t->layers; l++) {
        int64_t rows = t->layer[l].rows;
        widest = rows > widest ? rows : widest;
        w.values[l] = work;
        work += (rows + 1) * width;
        w.slopes[l] = work;
        work += keep ? rows * width : 0;
    }
    for (int k = 0; k < 2; k++) {
        w.delta[k] = work;
        work += widest * width;
    }
    w.rest = work;
    return w;
}

/* pre-activations of layer l (0-based) from the values below */
static void FN(affine)(const nnft_training *t, int64_t l, const REAL *weights, const REAL *below, int64_t below_row,
                       int64_t width, REAL *out)
{
    const nnft_training_layer *a = &t->layer[l];
    FN(nnft_factor_view) w = { weights + a->offset, a->stride, 1 };
    FN(product)(a->rows, width / VR_LANES, a->columns, w, below, below_row, 0, out, width);
}

/* features of cosines: values (and slopes) of neuron i times F / (b^2 + m^2)^(1/2), see waves.h */
static void FN(wave_gains)(const nnft_training *t, const double *parameters, const REAL *weights, int64_t width,
                           REAL *values, REAL *slopes)
{
    const nnft_training_layer *a = &t->layer[0];
    for (int64_t i = 0; i < a->rows; i++, values += width, slopes += width) {
        const REAL *row = weights + a->offset + i * a->stride;
        double square = parameters[1], gain = parameters[0];
        for (int64_t j = 0; j < a->fan_in; j++) square = fma(row[j], row[j], square);
        if (parameters[1] >= 0) gain /= sqrt(square);
        const VR times = R_(set)((REAL)gain);
        for (int64_t p = 0; p < width; p += VR_LANES) {
            R_(store)(values + p, R_(mul)(times, R_(load)(values + p)));
            R_(store)(slopes + p, R_(mul)(times, R_(load)(slopes + p)));
        }
    }
}

/* values and slopes of all hidden layers, then the outputs (D x width), of a block of points */
static void FN(forward)(const nnft_training *t, const double *parameters, const REAL *set, const REAL *weights,
                        const FN(training_work) *w, REAL *outputs)
{
    const REAL *below = set + w->first;
    const int kind = (int)t->kind, keep = !nnft_slope_from_value(kind);
    int64_t row = t->padded;
    for (int64_t l = 0; l + 1 < t->layers; l++) {
        int64_t count = t->layer[l].rows * w->width;
        REAL *values = w->values[l];
        FN(affine)(t, l, weights, below, row, w->width, values);
        if (keep) FN(nnft_activate_derivative)(kind, parameters, count, values, w->slopes[l]);
        FN(nnft_activate)(kind, parameters, count, values, values);
        if (kind == NNFT_COS && parameters[0] != 0) FN(wave_gains)(t, parameters, weights, w->width, values, w->slopes[l]);
        for (int64_t a = 0; a < w->width; a++) values[count + a] = 1; /* for the biases above */
        below = values;
        row = w->width;
    }
    FN(affine)(t, t->layers - 1, weights, below, row, w->width, outputs);
}

/* delta of layer l - 1 from that of layer l: transposed weights, times slopes */
static void FN(backward)(const nnft_training *t, int64_t l, const REAL *weights, const FN(training_work) *w,
                         const REAL *above, REAL *out)
{
    const nnft_training_layer *a = &t->layer[l];
    const REAL *line = a->rows == 1 ? weights + a->offset : NULL;
    if (!line) {
        FN(nnft_factor_view) transposed = { weights + a->offset, 1, a->stride };
        FN(product)(a->fan_in, w->width / VR_LANES, a->rows, transposed, above, w->width, 0, out, w->width);
    }
    FN(times_slopes)(t->kind, a->fan_in, w->width, w->values[l - 1], w->slopes[l - 1], line, above, out);
}

/* values of a hidden layer (columns x width) as rows of points (points x row), zeros beyond the columns up to
 * `stride`; blocks of eight neurons by eight points are turned in registers */
static void FN(to_point_major)(const FN(training_work) *w, int64_t columns, int64_t stride, int64_t row,
                               const REAL *values, REAL *out)
{
    for (int64_t j0 = 0; j0 < stride; j0 += 8) {
        int rows = (int)(columns - j0 < 8 ? columns - j0 : 8);
        for (int64_t p0 = 0; p0 < w->points; p0 += 8) {
            int points = (int)(w->points - p0 < 8 ? w->points - p0 : 8);
            VR block[8];
            for (int j = 0; j < 8; j++)
                block[j] = j < rows ? R_(load)(values + (j0 + j) * w->width + p0) : R_(set)(0);
            R_(transpose8)(block);
            for (int p = 0; p < points; p++) R_(store)(out + (p0 + p) * row + j0, block[p]);
        }
    }
}

/* deltas of the outputs of a block, f - y, zero in the padding; their squares are added to the lanes of `total` */
static void FN(residuals)(const nnft_training *t, const REAL *set, const FN(training_work) *w, REAL *delta, VR *total)
{
    const REAL *targets = FN(set_targets)(t, set) + w->first, *mask = targets + t->outputs * t->padded;
    for (int64_t i = 0; i < t->outputs; i++)
        for (int64_t a = 0; a < w->width; a += VR_LANES) {
            REAL *at = delta + i * w->width + a;
            VR residual = R_(sub)(R_(load)(at), R_(load)(targets + i * t->padded + a));
            /* chosen, not multiplied: an output of the padding may be infinite */
            residual = R_(select)(R_(lt)(R_(set)(0), R_(load)(mask + a)), residual, R_(set)(0));
            *total = R_(fma)(residual, residual, *total);
            R_(store)(at, residual);
        }
}

/* gradient of a last layer with few outputs: scalar products of deltas and values along the points, eight columns
 * at a time */
static void FN(add_readout)(const nnft_training *t, const REAL *set, const FN(training_work) *w, const REAL *delta,
                            REAL *gradient)
{
    const nnft_training_layer *a = &t->layer[t->layers - 1];
    const REAL *values = t->layers > 1 ? w->values[t->layers - 2] : set + w->first;
    const REAL *mask = FN(set_targets)(t, set) + t->outputs * t->padded;
    const int64_t row_size = t->layers > 1 ? w->width : t->padded;
    const int64_t last = w->points % VR_LANES ? w->width - VR_LANES : w->width;
    for (int64_t i = 0; i < a->rows; i++, delta += w->width)
        for (int64_t j0 = 0; j0 < a->stride; j0 += 8) {
            VR sum[8];
            for (int j = 0; j < 8; j++) {
                const REAL *row = values + (j0 + j) * row_size;
                sum[j] = R_(set)(0);
                if (j0 + j >= a->columns) continue;
                for (int64_t p = 0; p < last; p += VR_LANES)
                    sum[j] = R_(fma)(R_(load)(row + p), R_(load)(delta + p), sum[j]);
                if (last < w->width) { /* values of the padding may be infinite */
                    VR real = R_(load)(mask + w->first + last);
                    VR value = R_(select)(R_(lt)(R_(set)(0), real), R_(load)(row + last), R_(set)(0));
                    sum[j] = R_(fma)(value, R_(load)(delta + last), sum[j]);
                }
            }
            REAL *at = gradient + a->offset + i * a->stride + j0;
            VR total = R_(sum8)(sum);
            R_(store)(at, w->first ? R_(add)(R_(load)(at), total) : total);
        }
}

/* gradient of layer l from its deltas and the values below, added to that of the blocks before this one */
static void FN(add_gradient)(const nnft_training *t, int64_t l, const REAL *set, const FN(training_work) *w,
                             const REAL *delta, REAL *gradient)
{
    const nnft_training_layer *a = &t->layer[l];
    if (l + 1 == t->layers && a->rows <= 4 && (l || t->points >= 8)) {
        FN(add_readout)(t, set, w, delta, gradient);
        return;
    }
    const REAL *points = FN(set_point_major)(t, set) + w->first * a->stride;
    int64_t row = a->stride;
    if (l) {
        row = nnft_point_row(a->stride);
        FN(to_point_major)(w, a->columns, a->stride, row, w->values[l - 1], w->rest);
        points = w->rest;
    }
    FN(nnft_factor_view) left = { delta, w->width, 1 };
    FN(product)(a->rows, a->stride / VR_LANES, w->points, left, points, row, w->first > 0, gradient + a->offset,
                a->stride);
}

/* Gradient of 1/2 sum (f - y)^2 with respect to the weights of the trainable layers (nothing for NULL); returns
 * sum (f - y)^2. Numbers of layers that are not trained are left as they are. Points are taken in blocks that stay
 * in the cache; every sum over points runs in their order. */
static double FN(nnft_gradient)(const int64_t *header, const double *parameters, const REAL *set,
                                const REAL *weights, REAL *work, REAL *gradient)
{
    nnft_training t;
    nnft_read_training(header, &t);
    const int64_t most = nnft_training_block(&t);
    FN(training_work) w = FN(training_parts)(&t, most, work);
    VR total = R_(set)(0);
    for (int64_t block = 0; w.first < t.padded; block++, w.first += w.width) {
        REAL *above = w.delta[0], *below = w.delta[1];
        w.width = 8 * nnft_even_part(t.padded / 8, most / 8, block);
        w.points = t.points - w.first < w.width ? t.points - w.first : w.width;
        FN(forward)(&t, parameters, set, weights, &w, above);
        FN(residuals)(&t, set, &w, above, &total);
        for (int64_t l = t.layers - 1; gradient && l >= t.first; l--) {
            if (t.layer[l].trainable) FN(add_gradient)(&t, l, set, &w, above, gradient);
            if (l > t.first) {
                FN(backward)(&t, l, weights, &w, above, below);
                REAL *swap = above;
                above = below;
                below = swap;
            }
        }
    }
    return (double)R_(sum)(total);
}

/* squares of whole vectors */
static void FN(squares)(int64_t count, const REAL *in, REAL *out)
{
    for (int64_t i = 0; i < count; i += VR_LANES) {
        VR x = R_(load)(in + i);
        R_(store)(out + i, R_(mul)(x, x));
    }
}

/* sum over the points of a block of squares of the derivatives of one output with respect to the weights of layer l:
 * squares of deltas (rows x width, in `square`) times squares of the values below */
static void FN(add_squares)(const nnft_training *t, int64_t l, const REAL *set, const FN(training_work) *w,
                            const REAL *square, int more, REAL *out)
{
    const nnft_training_layer *a = &t->layer[l];
    const int64_t row = nnft_point_row(a->stride);
    if (l) {
        FN(to_point_major)(w, a->columns, a->stride, row, w->values[l - 1], w->rest);
    } else {
        const REAL *points = FN(set_point_major)(t, set) + w->first * a->stride;
        for (int64_t p = 0; p < w->points; p++) memcpy(w->rest + p * row, points + p * a->stride, (size_t)a->stride * 8);
    }
    FN(squares)(w->points * row, w->rest, w->rest);
    FN(nnft_factor_view) left = { square, w->width, 1 };
    FN(product)(a->rows, a->stride / VR_LANES, w->points, left, w->rest, row, more, out + a->offset, a->stride);
}

/* Diagonal of J^T J: sum over outputs and points of the squares of the derivatives of the outputs with respect to the
 * weights of the layers that are marked as trained; the other numbers are left as they are. */
static void FN(nnft_squared_slopes)(const int64_t *header, const double *parameters, const REAL *set,
                                    const REAL *weights, REAL *work, REAL *out)
{
    nnft_training t;
    nnft_read_training(header, &t);
    const int64_t most = nnft_training_block(&t);
    FN(training_work) w = FN(training_parts)(&t, most, work);
    for (int64_t block = 0; w.first < t.padded; block++, w.first += w.width) {
        w.width = 8 * nnft_even_part(t.padded / 8, most / 8, block);
        w.points = t.points - w.first < w.width ? t.points - w.first : w.width;
        FN(forward)(&t, parameters, set, weights, &w, w.delta[0]);
        for (int64_t o = 0; o < t.outputs; o++) {
            REAL *above = w.delta[0], *below = w.delta[1];
            for (int64_t i = 0; i < t.outputs * w.width; i++) above[i] = i / w.width == o;
            for (int64_t l = t.layers - 1; l >= t.first; l--) {
                if (t.layer[l].trainable) {
                    FN(squares)(t.layer[l].rows * w.width, above, below);
                    FN(add_squares)(&t, l, set, &w, below, block > 0 || o > 0, out);
                }
                if (l > t.first) {
                    FN(backward)(&t, l, weights, &w, above, below);
                    REAL *swap = above;
                    above = below;
                    below = swap;
                }
            }
        }
    }
}

/* outputs (D x P) of a network on a set of points */
static void FN(nnft_outputs)(const int64_t *header, const double *parameters, const REAL *set, const REAL *weights,
                             REAL *work, double *outputs)
{
    nnft_training t;
    nnft_read_training(header, &t);
    const int64_t most = nnft_training_block(&t);
    FN(training_work) w = FN(training_parts)(&t, most, work);
    for (int64_t block = 0; w.first < t.padded; block++, w.first += w.width) {
        w.width = 8 * nnft_even_part(t.padded / 8, most / 8, block);
        w.points = t.points - w.first < w.width ? t.points - w.first : w.width;
        FN(forward)(&t, parameters, set, weights, &w, w.delta[0]);
        for (int64_t i = 0; i < t.outputs; i++)
            for (int64_t a = 0; a < w.points; a++)
                outputs[i * t.points + w.first + a] = (double)w.delta[0][i * w.width + a];
    }
}

/* What replacing numbers of the readout does to the outputs. base: outputs (D x P). A number (o, j) at place
 * k = o * stride + j of the last layer is replaced from cutoff first[k] on (none if that is not below shape[0]):
 * moved[c][o][p] (C x D x P) gets amounts[k] times the value below, at c = first[k] alone, or for shape[1] at every
 * c from there on with amounts of its own (C x numbers of the layer). */
static void FN(nnft_readout_moves)(const int64_t *header, const double *parameters, const REAL *set,
                                   const REAL *weights, REAL *work, const int64_t *first, const REAL *amounts,
                                   const int64_t *shape, REAL *base, REAL *moved)
{
    nnft_training t;
    nnft_read_training(header, &t);
    const nnft_training_layer *a = &t.layer[t.layers - 1];
    const int64_t most = nnft_training_block(&t), numbers = a->rows * a->stride, count = shape[0];
    FN(training_work) w = FN(training_parts)(&t, most, work);
    for (int64_t block = 0; w.first < t.padded; block++, w.first += w.width) {
        w.width = 8 * nnft_even_part(t.padded / 8, most / 8, block);
        w.points = t.points - w.first < w.width ? t.points - w.first : w.width;
        FN(forward)(&t, parameters, set, weights, &w, w.delta[0]);
        const REAL *values = t.layers > 1 ? w.values[t.layers - 2] : set + w.first;
        const int64_t row = t.layers > 1 ? w.width : t.padded;
        for (int64_t o = 0; o < a->rows; o++) {
            memcpy(base + o * t.points + w.first, w.delta[0] + o * w.width, (size_t)w.points * sizeof(REAL));
            for (int64_t j = 0; j < a->columns; j++) {
                const int64_t k = o * a->stride + j;
                for (int64_t c = first[k]; c < count && (c == first[k] || shape[1]); c++) {
                    const REAL amount = amounts[(shape[1] ? c * numbers : 0) + k], *line = values + j * row;
                    REAL *out = moved + (c * a->rows + o) * t.points + w.first;
                    for (int64_t p = 0; p < w.points; p++) out[p] += amount * line[p];
                }
            }
        }
    }
}

/* sum over rows of left[i][a] * left[i][b], pairs a <= b of points and some more, in `out` (P x P') */
static const REAL *FN(point_products)(const nnft_training *t, int64_t rows, const REAL *left, REAL *out)
{
    FN(nnft_factor_view) transposed = { left, 1, t->padded };
    for (int64_t first = 0; first < t->padded; first += TILE_VECTORS * VR_LANES) {
        int64_t end = first + TILE_VECTORS * VR_LANES < t->padded ? first + TILE_VECTORS * VR_LANES : t->padded;
        FN(product)(end < t->points ? end : t->points, (end - first) / VR_LANES, rows, transposed, left + first,
                    t->padded, 0, out + first, t->padded);
    }
    return out;
}

/* Packed pairs a <= b of points. kernel: scalar products of the inputs of the last layer, without the bias.
 * tangent (or NULL): sum over layers of rate * (products of deltas of output `observed`) * (products of the
 * layer's inputs), biases with rates of their own; parameters: 4 of the activation, then the L rates of the
 * weights, then the L rates of the biases. */
static void FN(nnft_kernels)(const int64_t *header, const double *parameters, const REAL *set, const REAL *weights,
                             REAL *work, double *kernel, double *tangent)
{
    nnft_training t;
    nnft_read_training(header, &t);
    FN(training_work) w = FN(training_parts)(&t, t.padded, work);
    const int64_t L = t.layers, P = t.points;
    REAL *products = w.rest, *deltas = w.rest + P * t.padded, *above = w.delta[0], *below = w.delta[1];
    FN(forward)(&t, parameters, set, weights, &w, above);
    for (int64_t i = 0; i < t.outputs * t.padded; i++) above[i] = i / t.padded == t.observed;
    for (int64_t q = 0; tangent && q < P * (P + 1) / 2; q++) tangent[q] = 0;
    for (int64_t l = L - 1; l >= 0; l--) {
        double rate = parameters[4 + l], bias = parameters[4 + L + l];
        FN(point_products)(&t, t.layer[l].fan_in, l ? w.values[l - 1] : set, products);
        if (l == L - 1)
            for (int64_t a = 0, q = 0; a < P; a++)
                for (int64_t b = a; b < P; b++) kernel[q++] = (double)products[a * t.padded + b];
        if (!tangent) return;
        FN(point_products)(&t, t.layer[l].rows, above, deltas);
        for (int64_t a = 0, q = 0; a < P; a++)
            for (int64_t b = a; b < P; b++, q++)
                tangent[q] += (double)deltas[a * t.padded + b] * (rate * (double)products[a * t.padded + b] + bias);
        if (l == 0) return;
        FN(backward)(&t, l, weights, &w, above, below);
        REAL *swap = above;
        above = below;
        below = swap;
    }
}

/* sum of products of two arrays, in eight (sixteen) lanes and four strands, any length */
static double FN(nnft_dot)(int64_t count, const REAL *left, const REAL *right)
{
    VR strand[4] = { R_(set)(0), R_(set)(0), R_(set)(0), R_(set)(0) };
    int64_t i = 0;
    for (; i + 4 * VR_LANES <= count; i += 4 * VR_LANES)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            strand[k] = R_(fma)(R_(load)(left + i + k * VR_LANES), R_(load)(right + i + k * VR_LANES), strand[k]);
    VR all = R_(add)(R_(add)(strand[0], strand[1]), R_(add)(strand[2], strand[3]));
    double total = (double)R_(sum)(all);
    for (; i < count; i++) total += (double)left[i] * (double)right[i];
    return total;
}

/* sum of weight[j] * data[i][j]^2 over rows of whole vectors */
static double FN(nnft_weighted_square)(int64_t rows, int64_t stride, const REAL *weight, const REAL *data)
{
    VR total = R_(set)(0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < stride; j += VR_LANES) {
            VR x = R_(load)(data + i * stride + j);
            total = R_(fma)(R_(mul)(R_(load)(weight + j), x), x, total);
        }
    return (double)R_(sum)(total);
}

/* The set of points of the last layer alone, whose inputs are the values of the last hidden layer: as a set of a
 * network without hidden layers, with the targets and the mask of this one. */
static void FN(nnft_features)(const int64_t *header, const double *parameters, const REAL *set, const REAL *weights,
                              REAL *work, REAL *out)
{
    nnft_training t;
    nnft_read_training(header, &t);
    FN(training_work) w = FN(training_parts)(&t, t.padded, work);
    const nnft_training_layer *a = &t.layer[t.layers - 1];
    const REAL *values = t.layers > 1 ? w.values[t.layers - 2] : set, *targets = FN(set_targets)(&t, set);
    FN(forward)(&t, parameters, set, weights, &w, w.delta[0]);
    memcpy(out, values, (size_t)(a->columns * t.padded) * sizeof *out);
    out += a->columns * t.padded;
    FN(to_point_major)(&w, a->columns, a->stride, a->stride, values, out);
    out += t.points * a->stride;
    memcpy(out, targets, (size_t)((t.outputs + 1) * t.padded) * sizeof *out);
}

/* One step of a layer, its noise drawn on the way; no noise for an amplitude of 0:
 * theta -= size * mobility * (factor * gradient + share * decay * theta) - amplitude * root * noise.
 * where: key, member, tag, first group of normals, numbers of the layer, stride of a row, length of a row of
 * `columns`. numbers: size, factor, share, amplitude. columns: rows mobility, decay, live, root of the mobility. */
static void FN(nnft_noisy_step)(const int64_t *where, const double *numbers, const double *columns,
                                const REAL *gradient, REAL *theta)
{
    const nnft_stream s = { (uint64_t)where[0], (uint64_t)where[1], (uint32_t)where[2] };
    const int64_t count = where[4], stride = where[5], row = where[6];
    const VR size = R_(set)(numbers[0]), factor = R_(set)(numbers[1]), share = R_(set)(numbers[2]);
    const VR amplitude = R_(set)(numbers[3]);
    REAL noise[R_GROUP * NNFT_CHUNK];
    for (int64_t done = 0, j = 0; done < count; done += R_GROUP * NNFT_CHUNK) {
        int64_t left = count - done < R_GROUP * NNFT_CHUNK ? count - done : R_GROUP * NNFT_CHUNK;
        if (numbers[3] != 0)
            FN(nnft_normals)(&s, (uint64_t)(where[3] + done / R_GROUP), (left + R_GROUP - 1) / R_GROUP, noise);
        for (int64_t i = 0; i < left; i += VR_LANES) {
            VR t = R_(load)(theta + done + i), g = R_(load)(gradient + done + i);
            VR move = R_(fma)(R_(mul)(share, R_(load)(columns + row + j)), t, R_(mul)(factor, g));
            t = R_(fnma)(R_(mul)(size, R_(load)(columns + j)), move, t);
            if (numbers[3] != 0) {
                VR spread = R_(mul)(amplitude, R_(load)(columns + 3 * row + j));
                t = R_(fma)(spread, R_(load)(noise + i), t);
            }
            R_(store)(theta + done + i, t);
            j = j + VR_LANES == stride ? 0 : j + VR_LANES;
        }
    }
}

/* r -= sum over k of picked[k] * K[chosen[k]], one product after the other for each point; up to eight points */
static void FN(move_residuals)(int64_t points, int64_t taken, const int64_t *chosen, const REAL *kernel,
                               const REAL *picked, REAL *r)
{
    const REAL *row[8];
    VR amount[8];
    for (int64_t k = 0; k < taken; k++) {
        row[k] = kernel + chosen[k] * points;
        amount[k] = R_(set)(picked[k]);
    }
    int64_t b = 0;
    if (taken == 8)
        for (; b + VR_LANES <= points; b += VR_LANES) {
            VR value = R_(load)(r + b);
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) value = R_(fnma)(amount[k], R_(load)(row[k] + b), value);
            R_(store)(r + b, value);
        }
    for (; b + VR_LANES <= points; b += VR_LANES) {
        VR value = R_(load)(r + b);
        for (int64_t k = 0; k < taken; k++) value = R_(fnma)(amount[k], R_(load)(row[k] + b), value);
        R_(store)(r + b, value);
    }
    if (b < points) {
        const size_t bytes = (size_t)(points - b) * sizeof(REAL);
        REAL rest[VR_LANES] = { 0 }, line[VR_LANES] = { 0 };
        memcpy(rest, r + b, bytes);
        for (int64_t k = 0; k < taken; k++) {
            memcpy(line, row[k] + b, bytes);
            R_(store)(rest, R_(fnma)(amount[k], R_(load)(line), R_(load)(rest)));
        }
        memcpy(r + b, rest, bytes);
    }
}

/* The moves of eight single points in turn, or of fewer: each sees the residual that those before it have left. */
static void FN(pick_in_turn)(int64_t points, int64_t taken, const int64_t *chosen, const REAL *kernel, REAL scale,
                             const REAL *r, REAL *picked)
{
    int in_a_row = taken == 8;
    REAL line[8][8] = { { 0 } }, seen[8] = { 0 };
    for (int64_t k = 0; k < taken; k++) {
        in_a_row &= chosen[k] == chosen[0] + k;
        seen[k] = r[chosen[k]];
    }
    for (int64_t k = 0; !in_a_row && k < taken; k++)
        for (int64_t j = k + 1; j < taken; j++) line[k][j] = kernel[chosen[k] * points + chosen[j]];
    VR value = R_(load)(seen), move = R_(set)(scale);
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
        const REAL *row = in_a_row ? kernel + chosen[k] * points + chosen[0] : line[k];
        VR amount = R_(mul)(move, R_(lane)(value, k));
        picked[k] = R_(first)(amount);
        value = R_(fnma)(amount, R_(load)(row), value);
    }
}

/* Descent of a readout in the variables of the points: order[0 .. count-1] in batches (the last may be short), each
 * of which moves the residuals r (P) by -scale * sum over its points of r_mu K[mu], and adds scale * r_mu to
 * moves[mu]. Eight points at a time, batches of one too; every number is rounded as if they came one by one.
 * picked: room for one batch, at least eight. */
static void FN(nnft_residual_steps)(const int64_t *shape, const int64_t *order, const REAL *kernel, const REAL *scales,
                                    REAL *r, REAL *moves, REAL *picked)
{
    const int64_t points = shape[0], count = shape[1], batch = shape[2], group = batch > 1 ? batch : 8;
    for (int64_t first = 0; first < count; first += group) {
        const int64_t taken = count - first < group ? count - first : group, *chosen = order + first;
        if (batch == 1) FN(pick_in_turn)(points, taken, chosen, kernel, scales[0], r, picked);
        for (int64_t k = 0; batch > 1 && k < taken; k++)
            picked[k] = (taken < batch ? scales[1] : scales[0]) * r[chosen[k]];
        for (int64_t k = 0; k < taken; k++) moves[chosen[k]] += picked[k];
        for (int64_t k = 0; k < taken; k += 8)
            FN(move_residuals)(points, taken - k < 8 ? taken - k : 8, chosen + k, kernel, picked + k, r);
    }
}

#undef TILE_VECTORS
