/* Collapsed sampling: one network's conditional metrics, layer by layer, without its weights.
 *
 * Given layer l's metric K the preactivations of its neurons are independent N(0, K), so
 * z = xi U with U^T U = K and standard normals xi. Neurons go in strips of one vector: vector v of
 * the stream, point a, is number v*P + a, the same for every tile size. One tile of strips is
 * drawn, mixed, activated and added to the Gram sums while it stays in the first-level cache.
 * Included once for each precision (real_*.h). */

/* normals: VR vectors `first`.. of layer l, an even number for double, a multiple of four for float */
static void FN(collapsed_draw)(const nnft_network *n, uint64_t network, uint32_t tag, int64_t first_vector,
                               int64_t vectors, REAL *out)
{
    const int64_t per_group = R_GROUP / VR_LANES;
    nnft_stream s = { n->key, network, tag };
    FN(nnft_normals)(&s, (uint64_t)(first_vector / per_group), (vectors + per_group - 1) / per_group, out);
}

/* rows a0..a0+rows-1 of `strips` strips: z_a = sum_(b<=a) U_ba xi_b, in place from the last row down */
NNFT_INLINE void FN(mix_block)(int rows, int strips, int64_t P, int64_t a0, const REAL *factor, REAL *data)
{
    VR acc[4][4];
    const int64_t step = P * VR_LANES;
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int s = 0; s < strips; s++) acc[i][s] = R_(set)(0);
    for (int64_t b = 0; b < a0; b++) {
        const REAL *u = factor + b * P + a0;
        VR x[4];
#pragma GCC unroll 4
        for (int s = 0; s < strips; s++) x[s] = R_(load)(data + s * step + b * VR_LANES);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            VR w = R_(set)(u[i]);
#pragma GCC unroll 4
            for (int s = 0; s < strips; s++) acc[i][s] = R_(fma)(w, x[s], acc[i][s]);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < rows; k++) {
        VR x[4];
#pragma GCC unroll 4
        for (int s = 0; s < strips; s++) x[s] = R_(load)(data + s * step + (a0 + k) * VR_LANES);
#pragma GCC unroll 4
        for (int i = k; i < rows; i++) {
            VR w = R_(set)(factor[(a0 + k) * P + a0 + i]);
#pragma GCC unroll 4
            for (int s = 0; s < strips; s++) acc[i][s] = R_(fma)(w, x[s], acc[i][s]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int s = 0; s < strips; s++) R_(store)(data + s * step + (a0 + i) * VR_LANES, acc[i][s]);
}

NNFT_INLINE void FN(mix_strips)(int strips, int64_t P, const REAL *factor, REAL *data)
{
    int64_t whole = P / 4 * 4;
    if (P - whole == 3) FN(mix_block)(3, strips, P, whole, factor, data);
    else if (P - whole == 2) FN(mix_block)(2, strips, P, whole, factor, data);
    else if (P - whole == 1) FN(mix_block)(1, strips, P, whole, factor, data);
    for (int64_t a = whole - 4; a >= 0; a -= 4) FN(mix_block)(4, strips, P, a, factor, data);
}

static void FN(mix)(int64_t strips, int64_t P, const REAL *factor, REAL *data)
{
    const int64_t step = P * VR_LANES;
    int64_t s = 0;
    for (; s + 4 <= strips; s += 4) FN(mix_strips)(4, P, factor, data + s * step);
    if (strips - s == 3) FN(mix_strips)(3, P, factor, data + s * step);
    else if (strips - s == 2) FN(mix_strips)(2, P, factor, data + s * step);
    else if (strips - s == 1) FN(mix_strips)(1, P, factor, data + s * step);
}

/* strips in a tile: a multiple of four, about 16 KiB of activations */
static int64_t FN(tile_strips)(int64_t P)
{
    int64_t strips = 16384 / (P * VR_LANES * (int64_t)sizeof(REAL)) / 4 * 4;
    return strips < 16 ? 16 : strips;
}

/* the neurons of one layer: Gram sums of their activations into sums (packed, double) */
static void FN(collapsed_layer)(const nnft_network *n, uint64_t network, int64_t layer, const REAL *factor,
                                REAL *tile, REAL *gram, double *sums)
{
    const int64_t P = n->points, width = n->widths[layer - 1];
    const int64_t total = (width + VR_LANES - 1) / VR_LANES, most = FN(tile_strips)(P);
    memset(gram, 0, (size_t)(n->pairs * VR_LANES) * sizeof *gram);
    for (int64_t first = 0; first < total; first += most) {
        int64_t strips = total - first < most ? total - first : most, vectors = strips * P;
        FN(collapsed_draw)(n, network, nnft_tag(NNFT_COLLAPSED, layer), first * P, vectors, tile);
        FN(mix)(strips, P, factor, tile);
        FN(nnft_activate)((int)n->kind, n->parameters, vectors * VR_LANES, tile, tile);
        if (first + strips == total && width % VR_LANES) { /* lanes beyond the width do not exist */
            REAL *last = tile + (strips - 1) * P * VR_LANES;
            for (int64_t a = 0; a < P; a++)
                for (int64_t i = width % VR_LANES; i < VR_LANES; i++) last[a * VR_LANES + i] = 0;
        }
        FN(gram)(P, strips, tile, VR_LANES, P * VR_LANES, gram);
    }
    for (int64_t q = 0; q < n->pairs; q++) sums[q] = R_(sum)(R_(load)(gram + q * VR_LANES));
}

/* outputs given the last metric: output i, point a, is normal number i*P + a of the readout stream */
static void FN(collapsed_fields)(const nnft_network *n, uint64_t network, const REAL *factor, REAL *draws,
                                 double *fields)
{
    const int64_t P = n->points;
    FN(collapsed_draw)(n, network, nnft_tag(NNFT_READOUT, n->layers), 0,
                       (n->outputs * P + VR_LANES - 1) / VR_LANES, draws);
    for (int64_t i = 0; i < n->outputs; i++)
        for (int64_t a = 0; a < P; a++) {
            REAL sum = 0;
            for (int64_t b = 0; b <= a; b++) sum += factor[b * P + a] * draws[i * P + b];
            fields[i * P + a] = sum;
        }
}

static void FN(collapsed_factor)(const nnft_network *n, const double *kernel, double *matrix, REAL *factor)
{
    const int64_t P = n->points;
    nnft_unpack(P, kernel, matrix);
    nnft_factor(P, 8.0 * (double)P * R_EPSILON, matrix);
    for (int64_t i = 0; i < P * P; i++) factor[i] = (REAL)matrix[i];
}

/* One network. work: nnft_work_size doubles, 64-byte aligned. */
static int64_t FN(nnft_collapsed)(const int64_t *header, const double *reals, uint64_t network, double *work,
                                  double *kernels, double *fields)
{
    const nnft_network n = nnft_read_network(header, reals);
    const int64_t P = n.points, Q = n.pairs, square = nnft_padded(P * P);
    double *matrix = work, *sums = matrix + square;
    REAL *factor = (REAL *)(sums + nnft_padded(Q)), *gram = factor + square;
    REAL *tile = gram + nnft_padded(Q * VR_LANES);
    memcpy(kernels, n.first_kernel, (size_t)Q * sizeof *kernels);
    for (int64_t i = 0; i < P * P; i++) factor[i] = (REAL)n.first_factor[i];
    for (int64_t layer = 1; layer < n.layers; layer++) {
        double *next = kernels + layer * Q;
        FN(collapsed_layer)(&n, network, layer, factor, tile, gram, sums);
        int64_t status = nnft_finish_kernel(&n, layer + 1, sums, next);
        if (status) return status;
        if (layer + 1 < n.layers || fields) FN(collapsed_factor)(&n, next, matrix, factor);
    }
    if (fields) FN(collapsed_fields)(&n, network, factor, tile, fields);
    return NNFT_OK;
}
