/* Small matrix products in registers: C[i][v] = sum over k of a(i, k) * B[k][v], v counted in vectors; or that
 * much more (`more`), to go on where a sum was left.
 *
 * a(i, k) stands at a + i*row + k*column, so that a matrix and its transpose are both read in place; rows of
 * B and C are whole vectors. Every element is summed in the order of k with one fused multiply-add each,
 * whatever the blocking, so that all instruction sets with that instruction give the same bits.
 * Included once for each precision (real_*.h). */

#define TILE_DEPTH 128
#if defined(NNFT_AVX512)
#define TILE_ROWS 6
#define TILE_VECTORS 4
#elif defined(NNFT_AVX2)
#define TILE_ROWS 6
#define TILE_VECTORS 1
#else
#define TILE_ROWS 2
#define TILE_VECTORS 2
#endif

typedef struct {
    const REAL *data;
    int64_t row, column;
} FN(nnft_factor_view);

NNFT_INLINE void FN(tile)(int rows, int vectors, int64_t count, FN(nnft_factor_view) a, const REAL *b, int64_t b_row,
                          int more, REAL *c, int64_t c_row)
{
    VR acc[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) acc[i][v] = R_(set)(0);
    if (more)
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) acc[i][v] = R_(load)(c + i * c_row + v * VR_LANES);
    for (int64_t k = 0; k < count; k++) {
        VR line[TILE_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) line[v] = R_(load)(b + k * b_row + v * VR_LANES);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            VR left = R_(set)(a.data[i * a.row + k * a.column]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) acc[i][v] = R_(fma)(left, line[v], acc[i][v]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) R_(store)(c + i * c_row + v * VR_LANES, acc[i][v]);
}

#define TILE(r, v) \
    case 8 * (r) + (v): FN(tile)(r, v, count, a, b, b_row, more, c, c_row); return;
#define TILES_OF(r) TILE(r, 1) TILE(r, 2) TILE(r, 3) TILE(r, 4)

static void FN(any_tile)(int rows, int vectors, int64_t count, FN(nnft_factor_view) a, const REAL *b, int64_t b_row,
                         int more, REAL *c, int64_t c_row)
{
    switch (8 * rows + vectors) {
#if TILE_VECTORS == 4
        TILES_OF(1) TILES_OF(2) TILES_OF(3) TILES_OF(4) TILES_OF(5) TILES_OF(6)
#elif TILE_VECTORS == 1
        TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
#else
        TILE(1, 1) TILE(1, 2) TILE(2, 1) TILE(2, 2)
#endif
    default: return;
    }
}
#undef TILE
#undef TILES_OF

/* length of part number `part` when `total` is divided into the fewest parts of at most `most`, evenly */
#ifndef NNFT_EVEN_PART
#define NNFT_EVEN_PART
static inline int nnft_even_part(int64_t total, int64_t most, int64_t part)
{
    int64_t parts = (total + most - 1) / most;
    return (int)(total / parts + (part < total % parts));
}
#endif

/* rows x vectors elements; count products each, in blocks whose part of B stays in the first cache; B[k] at
 * b + k*b_row, C[i] at c + i*c_row */
static void FN(product)(int64_t rows, int64_t vectors, int64_t count, FN(nnft_factor_view) a, const REAL *b,
                        int64_t b_row, int more, REAL *c, int64_t c_row)
{
    int64_t k = 0, slab = 0;
    do {
        int deep = count ? nnft_even_part(count, TILE_DEPTH, slab++) : 0;
        for (int64_t v = 0, block = 0; v < vectors; block++) {
            int wide = nnft_even_part(vectors, TILE_VECTORS, block);
            for (int64_t i = 0, strip = 0; i < rows; strip++) {
                int high = nnft_even_part(rows, TILE_ROWS, strip);
                FN(nnft_factor_view) part = { a.data + i * a.row + k * a.column, a.row, a.column };
                FN(any_tile)(high, wide, deep, part, b + k * b_row + v * VR_LANES, b_row, more || k > 0,
                             c + i * c_row + v * VR_LANES, c_row);
                i += high;
            }
            v += wide;
        }
        k += deep;
    } while (k < count);
}

#undef TILE_ROWS
#undef TILE_DEPTH
