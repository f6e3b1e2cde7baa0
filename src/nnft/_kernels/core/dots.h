/* Register blocks of scalar products: acc[i][j] += sum over vectors v of left_i[v] * right_j[v].
 * Every product is summed lane by lane in the order of v, whatever the blocking, so that equal
 * rows give equal bits. Included once for each precision (real_*.h). */

#define BLOCK 4

/* left row i at left + i*left_row, its vector v at + v*step (in REALs); likewise right */
NNFT_INLINE void FN(dot_block)(int rows, int columns, int64_t vectors, const REAL *left, int64_t left_row,
                               const REAL *right, int64_t right_row, int64_t step, VR acc[BLOCK][BLOCK])
{
    for (int64_t v = 0; v < vectors; v++) {
        VR l[BLOCK];
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) l[i] = R_(load)(left + i * left_row + v * step);
#pragma GCC unroll 4
        for (int j = 0; j < columns; j++) {
            VR r = R_(load)(right + j * right_row + v * step);
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++) acc[i][j] = R_(fma)(l[i], r, acc[i][j]);
        }
    }
}

/* the same for one set of rows with itself, upper triangle only */
NNFT_INLINE void FN(dot_triangle)(int rows, int64_t vectors, const REAL *left, int64_t left_row, int64_t step,
                                  VR acc[BLOCK][BLOCK])
{
    for (int64_t v = 0; v < vectors; v++) {
        VR l[BLOCK];
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) l[i] = R_(load)(left + i * left_row + v * step);
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int j = i; j < rows; j++) acc[i][j] = R_(fma)(l[i], l[j], acc[i][j]);
    }
}

/* Gram matrix of P rows, added to the lane sums gram[pair * VR_LANES], pairs a <= b packed.
 * Row a, vector v at rows + a*row + v*step. */
NNFT_INLINE void FN(gram_store)(int rows, int columns, int diagonal, int64_t P, int64_t a0, int64_t b0,
                                REAL *gram, VR acc[BLOCK][BLOCK], int load)
{
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
        int64_t a = a0 + i;
        REAL *line = gram + (a * P - a * (a - 1) / 2 - a + b0) * VR_LANES;
#pragma GCC unroll 4
        for (int j = diagonal ? i : 0; j < columns; j++) {
            if (load) acc[i][j] = R_(load)(line + j * VR_LANES);
            else R_(store)(line + j * VR_LANES, acc[i][j]);
        }
    }
}

NNFT_INLINE void FN(gram_off)(int rows, int columns, int64_t P, int64_t a0, int64_t b0, int64_t vectors,
                              const REAL *data, int64_t row, int64_t step, REAL *gram)
{
    VR acc[BLOCK][BLOCK];
    FN(gram_store)(rows, columns, 0, P, a0, b0, gram, acc, 1);
    FN(dot_block)(rows, columns, vectors, data + a0 * row, row, data + b0 * row, row, step, acc);
    FN(gram_store)(rows, columns, 0, P, a0, b0, gram, acc, 0);
}

NNFT_INLINE void FN(gram_diagonal)(int rows, int64_t P, int64_t a0, int64_t vectors, const REAL *data,
                                   int64_t row, int64_t step, REAL *gram)
{
    VR acc[BLOCK][BLOCK];
    FN(gram_store)(rows, rows, 1, P, a0, a0, gram, acc, 1);
    FN(dot_triangle)(rows, vectors, data + a0 * row, row, step, acc);
    FN(gram_store)(rows, rows, 1, P, a0, a0, gram, acc, 0);
}

/* Gram sums of P rows over some vectors: whole blocks of four rows, then what is left over */
static void FN(gram)(int64_t P, int64_t vectors, const REAL *data, int64_t row, int64_t step, REAL *gram)
{
    int64_t whole = P / BLOCK * BLOCK;
    int rest = (int)(P - whole);
    for (int64_t a = 0; a < whole; a += BLOCK) {
        FN(gram_diagonal)(4, P, a, vectors, data, row, step, gram);
        for (int64_t b = a + BLOCK; b < whole; b += BLOCK)
            FN(gram_off)(4, 4, P, a, b, vectors, data, row, step, gram);
        if (rest == 1) FN(gram_off)(4, 1, P, a, whole, vectors, data, row, step, gram);
        else if (rest == 2) FN(gram_off)(4, 2, P, a, whole, vectors, data, row, step, gram);
        else if (rest == 3) FN(gram_off)(4, 3, P, a, whole, vectors, data, row, step, gram);
    }
    if (rest == 1) FN(gram_diagonal)(1, P, whole, vectors, data, row, step, gram);
    else if (rest == 2) FN(gram_diagonal)(2, P, whole, vectors, data, row, step, gram);
    else if (rest == 3) FN(gram_diagonal)(3, P, whole, vectors, data, row, step, gram);
}

#undef BLOCK
