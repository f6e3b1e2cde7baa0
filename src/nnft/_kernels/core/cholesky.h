/* Upper factor U of a positive semidefinite kernel, U^T U = K, with exact zeros for null pivots.
 *
 * K may be singular by right (fewer neurons than points, repeated inputs, dead neurons): a pivot
 * that is rounding noise beside its diagonal entry gives a zero row. A repeated input, that is one
 * whose entries of K have the same bits, gets the column of its first occurrence, so that its
 * outputs have the same bits too. */
#ifndef NNFT_CHOLESKY_H
#define NNFT_CHOLESKY_H

#include "simd.h"

/* whether points a < b have the same entries in the upper triangle of K */
NNFT_INLINE int nnft_same_point(int64_t points, const double *matrix, int64_t a, int64_t b)
{
    double joint = matrix[a * points + b];
    if (joint != matrix[a * points + a] || joint != matrix[b * points + b]) return 0;
    for (int64_t k = 0; k < points; k++) {
        double with_a = k < a ? matrix[k * points + a] : matrix[a * points + k];
        double with_b = k < b ? matrix[k * points + b] : matrix[b * points + k];
        if (with_a != with_b) return 0;
    }
    return 1;
}

/* matrix: P x P, row-major, upper triangle used and replaced; tolerance relative to K_aa */
static void nnft_factor(int64_t points, double tolerance, double *matrix)
{
    double limit[points];
    int64_t first[points]; /* first occurrence of each point */
    for (int64_t b = 0; b < points; b++) {
        limit[b] = tolerance * matrix[b * points + b];
        first[b] = 0;
        while (first[b] < b && !nnft_same_point(points, matrix, first[b], b)) first[b]++;
    }
    for (int64_t k = 0; k < points; k++) {
        double *row = matrix + k * points, pivot = row[k];
        if (first[k] < k || !(pivot > limit[k])) {
            for (int64_t j = k; j < points; j++) row[j] = pivot - pivot; /* NaN if it is not finite */
            continue;
        }
        double scale = 1.0 / sqrt(pivot);
        for (int64_t j = k; j < points; j++) row[j] *= scale;
        for (int64_t i = k + 1; i < points; i++) {
            double *other = matrix + i * points, factor = row[i];
            for (int64_t j = i; j < points; j++) other[j] -= factor * row[j];
        }
    }
    for (int64_t b = 0; b < points; b++)
        for (int64_t k = 0; first[b] < b && k < b; k++)
            matrix[k * points + b] = k <= first[b] ? matrix[k * points + first[b]] : 0.0;
}

#endif
