/* Explicit sampling: every weight is drawn, used at once and forgotten.
 *
 * Weights of row i of layer l (fan-in m, padded to whole groups of normals) are groups
 * i*G .. (i+1)*G-1 of the stream (network, WEIGHTS, l); biases are one stream. Four rows of weights
 * at a time meet four points at a time. Activations are point-major, padded with zeros.
 * Included once for each precision (real_*.h). */

#define ROWS 4

NNFT_INLINE void FN(explicit_cell)(int rows, int columns, int64_t vectors, const REAL *weights, int64_t fan_in,
                                   const REAL *input, int64_t row, REAL scale, REAL *out, int64_t out_row)
{
    VR acc[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++) acc[i][j] = R_(set)(0);
    FN(dot_block)(rows, columns, vectors, weights, fan_in, input, row, VR_LANES, acc);
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++) out[j * out_row + i] = scale * (REAL)R_(sum)(acc[i][j]);
}

/* `rows` rows of weights against all points: out[a*out_row + i], i < rows */
NNFT_INLINE void FN(explicit_rows)(int rows, int64_t P, int64_t vectors, const REAL *weights, int64_t fan_in,
                                   const REAL *input, int64_t row, REAL scale, REAL *out, int64_t out_row)
{
    int64_t a = 0;
    for (; a + 4 <= P; a += 4)
        FN(explicit_cell)(rows, 4, vectors, weights, fan_in, input + a * row, row, scale, out + a * out_row, out_row);
    if (P - a == 3)
        FN(explicit_cell)(rows, 3, vectors, weights, fan_in, input + a * row, row, scale, out + a * out_row, out_row);
    else if (P - a == 2)
        FN(explicit_cell)(rows, 2, vectors, weights, fan_in, input + a * row, row, scale, out + a * out_row, out_row);
    else if (P - a == 1)
        FN(explicit_cell)(rows, 1, vectors, weights, fan_in, input + a * row, row, scale, out + a * out_row, out_row);
}

/* preactivations of layer l: fan_in inputs -> count neurons, out[a*out_row + i] */
static void FN(explicit_layer)(const nnft_network *n, uint64_t network, int64_t layer, int64_t fan_in,
                               int64_t count, const REAL *input, int64_t row, REAL *weights, REAL *out,
                               int64_t out_row)
{
    const nnft_stream s = { n->key, network, nnft_tag(NNFT_WEIGHTS, layer) };
    const nnft_stream bias = { n->key, network, nnft_tag(NNFT_BIASES, layer) };
    const int64_t groups = (fan_in + R_GROUP - 1) / R_GROUP, stride = groups * R_GROUP;
    const int64_t vectors = (fan_in + VR_LANES - 1) / VR_LANES;
    const REAL scale = (REAL)sqrt(n->weight_variance[layer - 1] / (double)fan_in);
    const REAL bias_scale = (REAL)sqrt(n->bias_variance[layer - 1]);
    for (int64_t i = 0; i < count; i += ROWS) {
        int64_t rows = count - i < ROWS ? count - i : ROWS;
        FN(nnft_normals)(&s, (uint64_t)(i * groups), rows * groups, weights);
        if (rows == 4) FN(explicit_rows)(4, n->points, vectors, weights, stride, input, row, scale, out + i, out_row);
        else
            for (int64_t r = 0; r < rows; r++)
                FN(explicit_rows)(1, n->points, vectors, weights + r * stride, stride, input, row, scale,
                                  out + i + r, out_row);
    }
    if (bias_scale == 0) return;
    for (int64_t i = 0; i < count; i += R_GROUP) {
        FN(nnft_normals)(&bias, (uint64_t)(i / R_GROUP), 1, weights);
        int64_t rows = count - i < R_GROUP ? count - i : R_GROUP;
        for (int64_t a = 0; a < n->points; a++)
            for (int64_t r = 0; r < rows; r++) out[a * out_row + i + r] += bias_scale * weights[r];
    }
}

#undef ROWS

/* activate in place, clear the padding, add up the Gram sums */
static void FN(explicit_activate)(const nnft_network *n, int64_t width, int64_t row, REAL *data, REAL *gram,
                                  double *sums)
{
    for (int64_t a = 0; a < n->points; a++) {
        FN(nnft_activate)((int)n->kind, n->parameters, width, data + a * row, data + a * row);
        memset(data + a * row + width, 0, (size_t)(row - width) * sizeof *data);
    }
    memset(gram, 0, (size_t)(n->pairs * VR_LANES) * sizeof *gram);
    FN(gram)(n->points, (width + VR_LANES - 1) / VR_LANES, data, row, VR_LANES, gram);
    for (int64_t q = 0; q < n->pairs; q++) sums[q] = R_(sum)(R_(load)(gram + q * VR_LANES));
}

/* One network. work: nnft_work_size doubles, 64-byte aligned. */
static int64_t FN(nnft_explicit)(const int64_t *header, const double *reals, uint64_t network, double *work,
                                 double *kernels, double *fields)
{
    const nnft_network n = nnft_read_network(header, reals);
    const int64_t P = n.points, Q = n.pairs;
    const int64_t row = nnft_explicit_row(&n);
    int64_t fan_in = n.dimension;
    double *sums = work;
    REAL *gram = (REAL *)(sums + nnft_padded(Q)), *weights = gram + nnft_padded(Q * VR_LANES);
    REAL *input = weights + 4 * row, *output = input + P * row;
    memcpy(kernels, n.first_kernel, (size_t)Q * sizeof *kernels);
    memset(input, 0, (size_t)(P * row) * sizeof *input);
    for (int64_t j = 0; j < fan_in; j++)
        for (int64_t a = 0; a < P; a++) input[a * row + j] = (REAL)n.inputs[j * P + a];
    for (int64_t layer = 1; layer < n.layers; layer++) {
        int64_t width = n.widths[layer - 1];
        FN(explicit_layer)(&n, network, layer, fan_in, width, input, row, weights, output, row);
        FN(explicit_activate)(&n, width, row, output, gram, sums);
        int64_t status = nnft_finish_kernel(&n, layer + 1, sums, kernels + layer * Q);
        if (status) return status;
        REAL *swap = input;
        input = output;
        output = swap;
        fan_in = width;
    }
    if (!fields) return NNFT_OK;
    FN(explicit_layer)(&n, network, n.layers, fan_in, n.outputs, input, row, weights, output, row);
    for (int64_t i = 0; i < n.outputs; i++)
        for (int64_t a = 0; a < P; a++) fields[i * P + a] = output[a * row + i];
    return NNFT_OK;
}
