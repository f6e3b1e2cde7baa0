/* Rows of the Jacobian of a network, in factors. Included once for each precision, after training.h. */

/* Factors of the derivatives of the outputs with respect to the weights of the layers that are marked as trained, one
 * layer after the other: values below (columns x P, ones for a bias), then deltas (D x rows x P). The derivative of
 * output o at point p with respect to weight (i, j) is deltas[o][i][p] * values[j][p]. */
static void FN(nnft_slopes)(const int64_t *header, const double *parameters, const REAL *set, const REAL *weights,
                            REAL *work, double *out)
{
    nnft_training t;
    nnft_read_training(header, &t);
    FN(training_work) w = FN(training_parts)(&t, t.padded, work);
    double *place[NNFT_MOST_LAYERS];
    FN(forward)(&t, parameters, set, weights, &w, w.delta[0]);
    for (int64_t l = t.first; l < t.layers; l++) {
        const nnft_training_layer *a = &t.layer[l];
        const REAL *values = l ? w.values[l - 1] : set;
        if (!a->trainable) continue;
        for (int64_t j = 0; j < a->columns; j++)
            for (int64_t p = 0; p < t.points; p++) *out++ = (double)values[j * t.padded + p];
        place[l] = out;
        out += t.outputs * a->rows * t.points;
    }
    for (int64_t o = 0; o < t.outputs; o++) {
        REAL *above = w.delta[0], *below = w.delta[1];
        for (int64_t i = 0; i < t.outputs * t.padded; i++) above[i] = i / t.padded == o;
        for (int64_t l = t.layers - 1; l >= t.first; l--) {
            const int64_t rows = t.layer[l].rows;
            for (int64_t i = 0; t.layer[l].trainable && i < rows; i++)
                for (int64_t p = 0; p < t.points; p++)
                    place[l][(o * rows + i) * t.points + p] = (double)above[i * t.padded + p];
            if (l > t.first) {
                FN(backward)(&t, l, weights, &w, above, below);
                REAL *swap = above;
                above = below;
                below = swap;
            }
        }
    }
}
