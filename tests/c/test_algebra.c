/* The factor of a kernel, and the program that accumulates products over networks. */
#include "check.h"

static uint32_t state;

/* small whole numbers -3 .. 3, so that sums and products are exact in any order */
static double small_integer(void)
{
    state = state * 1664525u + 1013904223u;
    return (double)(int)((state >> 16) % 7) - 3;
}

/* kernel = B^T B with a rank x points matrix B; column `copy` of B repeats column 0 if 0 < copy */
static void fill_kernel(int64_t points, int64_t rank, int64_t copy, double *kernel)
{
    double *b = exact_double(rank * points);
    for (int64_t i = 0; i < rank * points; i++) b[i] = small_integer() + 0.25 * small_integer();
    for (int64_t r = 0; copy > 0 && r < rank; r++) b[r * points + copy] = b[r * points];
    for (int64_t i = 0; i < points; i++)
        for (int64_t j = 0; j < points; j++) {
            kernel[i * points + j] = 0;
            for (int64_t r = 0; r < rank; r++) kernel[i * points + j] += b[r * points + i] * b[r * points + j];
        }
    free(b);
}

static double rebuilt(int64_t points, const double *factor, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t k = 0; k <= i && k <= j; k++) sum += factor[k * points + i] * factor[k * points + j];
    return sum;
}

static void check_factor(int64_t points, int64_t rank, int64_t copy)
{
    double *kernel = exact_double(points * points), *factor = exact_double(points * points), worst = 0, largest = 0;
    fill_kernel(points, rank, copy, kernel);
    memcpy(factor, kernel, (size_t)(points * points) * sizeof *factor);
    core->factor(points, 1e-13, factor);
    for (int64_t i = 0; i < points; i++)
        for (int64_t j = i; j < points; j++) {
            largest = fmax(largest, fabs(kernel[i * points + j]));
            worst = fmax(worst, fabs(rebuilt(points, factor, i, j) - kernel[i * points + j]));
            CHECK(isfinite(factor[i * points + j]));
        }
    CHECK(worst <= 1e-12 * (largest + 1e-300) * (double)points);
    int unequal = 0; /* a repeated point has the same column, so that its outputs are the same bits */
    for (int64_t k = 0; copy > 0 && k <= copy; k++) unequal += factor[k * points + copy] != (k ? 0 : factor[0]);
    CHECK(unequal == 0);
    free(kernel);
    free(factor);
}

static uint64_t test_factor(void)
{
    state = 20240603;
    for (int64_t points = 1; points <= 20; points++) {
        check_factor(points, 2 * points, 0);
        check_factor(points, points / 2 + 1, 0);
        if (points > 1) check_factor(points, points + 2, points - 1);
    }
    double zero[4] = { 0, 0, 0, 0 };
    core->factor(2, 1e-13, zero);
    CHECK(zero[0] == 0 && zero[1] == 0 && zero[3] == 0);
    double bad[1] = { NAN };
    core->factor(1, 1e-13, bad);
    CHECK(isnan(bad[0]));
    return 0;
}

enum { BASE = 24, STAGES = 8, COLUMNS = 6, MOST_TERMS = 7 };
/* terms of each stage, and the lengths of its two runs; together 1 to 25 components */
static const int64_t terms[STAGES] = { 1, 2, 3, 5, 7, 4, 6, 1 };
static const int64_t lengths[STAGES][2] = { { 6, 0 }, { 3, 4 }, { 8, 0 }, { 1, 8 }, { 1, 0 }, { 16, 1 }, { 17, 8 }, { 17, 0 } };

typedef struct {
    int64_t stages[COLUMNS * STAGES], slots, sums, indices;
    int32_t *index;
} program;

/* Odd stages keep their components in new slots, stages 0, 1, 3, 4, .. sum them. */
static program make_program(void)
{
    program p = { .slots = BASE };
    for (int s = 0; s < STAGES; s++) p.indices += (lengths[s][1] ? 2 : 1) * (1 + 2 * terms[s]);
    p.index = exact_bytes((size_t)p.indices * sizeof *p.index);
    int64_t at = 0;
    for (int s = 0; s < STAGES; s++) {
        int keep = s % 2, sum = s % 3 != 2;
        int64_t count = lengths[s][0] + lengths[s][1], runs = lengths[s][1] ? 2 : 1;
        int64_t row[COLUMNS] = { count, terms[s], keep ? p.slots : -1, sum ? p.sums : -1, at, runs };
        memcpy(p.stages + COLUMNS * s, row, sizeof row);
        for (int64_t r = 0; r < runs; r++) {
            p.index[at++] = (int32_t)lengths[s][r];
            for (int64_t i = 0; i < terms[s]; i++) {
                p.index[at++] = (int32_t)((i * 5 + s + r) % (p.slots - lengths[s][r] + 1));
                p.index[at++] = (int32_t)((i * 7 + s) % p.slots);
            }
        }
        p.slots += keep ? count : 0;
        p.sums += sum ? count : 0;
    }
    return p;
}

static double product(const int32_t *record, int64_t count, int64_t i, int lane, const double *lanes)
{
    double v = 0;
    for (int64_t t = 0; t < count; t++)
        v += lanes[(record[1 + 2 * t] + i) * NNFT_LANES + lane] * lanes[record[2 + 2 * t] * NNFT_LANES + lane];
    return v;
}

static void accumulate_plain(const program *p, double *lanes, double *sums)
{
    for (int s = 0; s < STAGES; s++) {
        const int64_t *row = p->stages + COLUMNS * s;
        const int32_t *record = p->index + row[4];
        int64_t k = 0;
        for (int64_t r = 0; r < row[5]; r++, record += 1 + 2 * row[1])
            for (int64_t i = 0; i < record[0]; i++, k++)
                for (int lane = 0; lane < NNFT_LANES; lane++) {
                    double v = product(record, row[1], i, lane, lanes);
                    if (row[2] >= 0) lanes[(row[2] + k) * NNFT_LANES + lane] = v;
                    if (row[3] >= 0) sums[row[3] + k] += v;
                }
    }
}

static uint64_t test_accumulate(void)
{
    program p = make_program();
    const size_t lane_bytes = (size_t)(p.slots * NNFT_LANES) * sizeof(double);
    const size_t sum_bytes = (size_t)p.sums * sizeof(double);
    double *lanes = exact_double(p.slots * NNFT_LANES), *plain_lanes = exact_double(p.slots * NNFT_LANES);
    double *sums = exact_double(p.sums), *plain_sums = exact_double(p.sums);
    state = 20240604;
    for (int i = 0; i < BASE * NNFT_LANES; i++) plain_lanes[i] = lanes[i] = small_integer();
    for (int64_t i = 0; i < p.sums; i++) plain_sums[i] = sums[i] = 10.0 * (double)i;
    for (int repeat = 0; repeat < 3; repeat++) {
        core->accumulate(p.stages, STAGES, p.index, lanes, sums);
        accumulate_plain(&p, plain_lanes, plain_sums);
    }
    CHECK(memcmp(lanes, plain_lanes, lane_bytes) == 0);
    CHECK(memcmp(sums, plain_sums, sum_bytes) == 0);
    CHECK(fabs(sums[p.sums - 1]) < 1e15); /* exact: far below 2^53 */
    free(lanes);
    free(plain_lanes);
    free(sums);
    free(plain_sums);
    free(p.index);
    return 0;
}

int main(void)
{
    on_every_core(test_factor);
    on_every_core(test_accumulate);
    return verdict("algebra");
}
