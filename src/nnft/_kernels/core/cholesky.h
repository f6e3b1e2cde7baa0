/* Upper factor U of a positive semidefinite kernel, U^T U = K, with exact zeros for null pivots.
 *
 * K may be singular by right (fewer neurons than points, repeated inputs, dead neurons): a pivot
 * that is rounding noise beside its diagonal entry gives a zero row. A repeated input then gets
 * bitwise the same column as its first occurrence, because both see the same operations and the
 * diagonal is scaled by the same reciprocal as the rest of its row. */
#ifndef NNFT_CHOLESKY_H
#define NNFT_CHOLESKY_H

#include "simd.h"

/* matrix: P x P, row-major, upper triangle used and replaced; tolerance relative to K_aa */
static void nnft_factor(int64_t points, double tolerance, double *matrix)
{
    double limit[points];
    for (int64_t a = 0; a < points; a++) limit[a] = tolerance * matrix[a * points + a];
    for (int64_t k = 0; k < points; k++) {
        double *row = matrix + k * points, pivot = row[k];
        if (!(pivot > limit[k])) {
            for (int64_t j = k; j < points; j++) row[j] = pivot != pivot ? pivot : 0.0;
            continue;
        }
        double scale = 1.0 / sqrt(pivot);
        for (int64_t j = k; j < points; j++) row[j] *= scale;
        for (int64_t i = k + 1; i < points; i++) {
            double *other = matrix + i * points, factor = row[i];
            for (int64_t j = i; j < points; j++) other[j] -= factor * row[j];
        }
    }
}

#endif
