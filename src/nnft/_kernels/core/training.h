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

/* values of the activation from pre-activations in `data`, in place, and slopes; a whole number of vectors */
static void FN(activate_with_slopes)(int kind, const double *parameters, int64_t count, REAL *data, REAL *slopes)
{
    const VR one = R_(set)(1), zero = R_(set)(0);
    switch (kind) {
    case NNFT_TANH:
        FN(nnft_activate)(kind, parameters, count, data, data);
        for (int64_t i = 0; i < count; i += VR_LANES) {
            VR a = R_(load)(data + i);
            R_(store)(slopes + i, R_(fnma)(a, a, one));
        }
        break;
    case NNFT_RELU:
        for (int64_t i = 0; i < count; i += VR_LANES) {
            VR z = R_(load)(data + i);
            R_(store)(slopes + i, R_(select)(R_(lt)(zero, z), one, zero));
        }
        FN(nnft_activate)(kind, parameters, count, data, data);
        break;
    case NNFT_SIGMOID:
        FN(nnft_activate)(kind, parameters, count, data, data);
        for (int64_t i = 0; i < count; i += VR_LANES) {
            VR a = R_(load)(data + i);
            R_(store)(slopes + i, R_(mul)(a, R_(sub)(one, a)));
        }
        break;
    default:
        FN(nnft_activate_derivative)(kind, parameters, count, data, slopes);
        FN(nnft_activate)(kind, parameters, count, data, data);
        break;
    }
}

/* where the parts of the work array stand: activations and slopes of the hidden layers, two rows of deltas, rest */
typedef struct {
    REAL *values[NNFT_MOST_LAYERS], *slopes[NNFT_MOST_LAYERS], *delta[2], *rest;
} FN(training_work);

static FN(training_work) FN(training_parts)(const nnft_training *t, REAL *work)
{
    FN(training_work) w;
    int64_t widest = t->layer[t->layers - 1].rows;
    for (int64_t l = 0; l + 1 < t->layers; l++) {
        int64_t rows = t->layer[l].rows;
        widest = rows > widest ? rows : widest;
        w.values[l] = work;
        work += (rows + 1) * t->padded;
        w.slopes[l] = work;
        work += rows * t->padded;
    }
    for (int k = 0; k < 2; k++) {
        w.delta[k] = work;
        work += widest * t->padded;
    }
    w.rest = work;
    return w;
}

/* pre-activations of layer l (0-based) from the values below */
static void FN(affine)(const nnft_training *t, int64_t l, const REAL *weights, const REAL *below, REAL *out)
{
    const nnft_training_layer *a = &t->layer[l];
    FN(nnft_factor_view) w = { weights + a->offset, a->stride, 1 };
    FN(product)(a->rows, t->padded / VR_LANES, a->columns, w, below, t->padded, out, t->padded);
}

/* values and slopes of all hidden layers, then the outputs (D x P') */
static void FN(forward)(const nnft_training *t, const double *parameters, const REAL *set, const REAL *weights,
                        const FN(training_work) *w, REAL *outputs)
{
    const REAL *below = set;
    for (int64_t l = 0; l + 1 < t->layers; l++) {
        int64_t count = t->layer[l].rows * t->padded;
        FN(affine)(t, l, weights, below, w->values[l]);
        FN(activate_with_slopes)((int)t->kind, parameters, count, w->values[l], w->slopes[l]);
        for (int64_t a = 0; a < t->padded; a++) w->values[l][count + a] = 1; /* for the biases above */
        below = w->values[l];
    }
    FN(affine)(t, t->layers - 1, weights, below, outputs);
}

/* delta of layer l - 1 from that of layer l: transposed weights, times slopes */
static void FN(backward)(const nnft_training *t, int64_t l, const REAL *weights, const FN(training_work) *w,
                         const REAL *above, REAL *out)
{
    const nnft_training_layer *a = &t->layer[l];
    FN(nnft_factor_view) transposed = { weights + a->offset, 1, a->stride };
    FN(product)(a->fan_in, t->padded / VR_LANES, a->rows, transposed, above, t->padded, out, t->padded);
    const REAL *slopes = w->slopes[l - 1];
    for (int64_t i = 0; i < a->fan_in * t->padded; i += VR_LANES)
        R_(store)(out + i, R_(mul)(R_(load)(out + i), R_(load)(slopes + i)));
}

/* values of a hidden layer (columns x P') as rows of points (P x stride), zeros in the padding; blocks of eight
 * neurons by eight points are turned in registers */
static void FN(to_point_major)(const nnft_training *t, int64_t columns, int64_t stride, const REAL *values, REAL *out)
{
    for (int64_t j0 = 0; j0 < stride; j0 += 8) {
        int rows = (int)(columns - j0 < 8 ? columns - j0 : 8);
        for (int64_t p0 = 0; p0 < t->points; p0 += 8) {
            int points = (int)(t->points - p0 < 8 ? t->points - p0 : 8);
            VR block[8];
            for (int j = 0; j < 8; j++)
                block[j] = j < rows ? R_(load)(values + (j0 + j) * t->padded + p0) : R_(set)(0);
            R_(transpose8)(block);
            for (int p = 0; p < points; p++) R_(store)(out + (p0 + p) * stride + j0, block[p]);
        }
    }
}

/* Gradient of 1/2 sum (f - y)^2 with respect to the weights of the trainable layers (nothing for NULL); returns
 * sum (f - y)^2. Numbers of layers that are not trained are left as they are. */
static double FN(nnft_gradient)(const int64_t *header, const double *parameters, const REAL *set,
                                const REAL *weights, REAL *work, REAL *gradient)
{
    nnft_training t;
    nnft_read_training(header, &t);
    FN(training_work) w = FN(training_parts)(&t, work);
    const REAL *targets = FN(set_targets)(&t, set), *mask = targets + t.outputs * t.padded;
    REAL *above = w.delta[0], *below = w.delta[1];
    VR total = R_(set)(0);
    FN(forward)(&t, parameters, set, weights, &w, above);
    for (int64_t i = 0; i < t.outputs; i++)
        for (int64_t a = 0; a < t.padded; a += VR_LANES) {
            REAL *at = above + i * t.padded + a;
            VR residual = R_(sub)(R_(load)(at), R_(load)(targets + i * t.padded + a));
            /* chosen, not multiplied: an output of the padding may be infinite */
            residual = R_(select)(R_(lt)(R_(set)(0), R_(load)(mask + a)), residual, R_(set)(0));
            total = R_(fma)(residual, residual, total);
            R_(store)(at, residual);
        }
    if (!gradient) return (double)R_(sum)(total);
    for (int64_t l = t.layers - 1; l >= t.first; l--) {
        const nnft_training_layer *a = &t.layer[l];
        if (a->trainable) {
            const REAL *points = l ? w.rest : FN(set_point_major)(&t, set);
            if (l) FN(to_point_major)(&t, a->columns, a->stride, w.values[l - 1], w.rest);
            FN(nnft_factor_view) left = { above, t.padded, 1 };
            FN(product)(a->rows, a->stride / VR_LANES, t.points, left, points, a->stride, gradient + a->offset,
                        a->stride);
        }
        if (l > t.first) {
            FN(backward)(&t, l, weights, &w, above, below);
            REAL *swap = above;
            above = below;
            below = swap;
        }
    }
    return (double)R_(sum)(total);
}

/* outputs (D x P) of a network on a set of points */
static void FN(nnft_outputs)(const int64_t *header, const double *parameters, const REAL *set, const REAL *weights,
                             REAL *work, double *outputs)
{
    nnft_training t;
    nnft_read_training(header, &t);
    FN(training_work) w = FN(training_parts)(&t, work);
    FN(forward)(&t, parameters, set, weights, &w, w.delta[0]);
    for (int64_t i = 0; i < t.outputs; i++)
        for (int64_t a = 0; a < t.points; a++) outputs[i * t.points + a] = (double)w.delta[0][i * t.padded + a];
}

/* sum over rows of left[i][a] * left[i][b], all pairs of points, in w->rest (P x P') */
static const REAL *FN(point_products)(const nnft_training *t, int64_t rows, const REAL *left, REAL *out)
{
    FN(nnft_factor_view) transposed = { left, 1, t->padded };
    FN(product)(t->points, t->padded / VR_LANES, rows, transposed, left, t->padded, out, t->padded);
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
    FN(training_work) w = FN(training_parts)(&t, work);
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
    FN(training_work) w = FN(training_parts)(&t, work);
    const nnft_training_layer *a = &t.layer[t.layers - 1];
    const REAL *values = t.layers > 1 ? w.values[t.layers - 2] : set, *targets = FN(set_targets)(&t, set);
    FN(forward)(&t, parameters, set, weights, &w, w.delta[0]);
    memcpy(out, values, (size_t)(a->columns * t.padded) * sizeof *out);
    out += a->columns * t.padded;
    FN(to_point_major)(&t, a->columns, a->stride, values, out);
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

/* Descent of a readout in the variables of the points: order[0 .. count-1] in batches (the last may be short), each
 * of which moves the residuals r (P) by -scale * sum over its points of r_mu K[mu], and adds scale * r_mu to
 * moves[mu]. picked: room for one batch. */
static void FN(nnft_residual_steps)(const int64_t *shape, const int64_t *order, const REAL *kernel, const REAL *scales,
                                    REAL *r, REAL *moves, REAL *picked)
{
    const int64_t points = shape[0], count = shape[1], batch = shape[2];
    for (int64_t first = 0; first < count; first += batch) {
        int64_t taken = count - first < batch ? count - first : batch;
        REAL scale = taken < batch ? scales[1] : scales[0];
        for (int64_t k = 0; k < taken; k++) picked[k] = scale * r[order[first + k]];
        for (int64_t k = 0; k < taken; k++) {
            const REAL *row = kernel + order[first + k] * points;
            const VR amount = R_(set)(picked[k]);
            int64_t b = 0;
            moves[order[first + k]] += picked[k];
            for (; b + VR_LANES <= points; b += VR_LANES)
                R_(store)(r + b, R_(fnma)(amount, R_(load)(row + b), R_(load)(r + b)));
            for (; b < points; b++) r[b] -= picked[k] * row[b];
        }
    }
}
