/* Random words and standard normals. */
#include "check.h"

enum { GROUP_D = 16, GROUP_F = 64 };

/* One block of Philox4x32-10 in the plainest form: the oracle for the vector version. */
static void philox_plain(const uint32_t counter[4], uint64_t key, uint32_t out[4])
{
    uint32_t c[4], k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    memcpy(c, counter, sizeof c);
    for (int r = 0; r < 10; r++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = { (uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1,
                             (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0 };
        memcpy(c, next, sizeof c);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

static void vector_block(uint64_t key, uint64_t network, uint32_t tag, uint64_t block, uint32_t out[4])
{
    uint32_t *words = exact_bytes(32 * sizeof *words);
    core->words(key, network, tag, block / 8, words);
    for (int w = 0; w < 4; w++) out[w] = words[8 * w + (int)(block % 8)];
    free(words);
}

/* The published vectors of the Random123 distribution (Salmon et al., SC 2011), file kat_vectors. */
static uint64_t test_known_answers(void)
{
    static const struct { uint64_t key, network, block; uint32_t tag, expected[4]; } known[3] = {
        { 0, 0, 0, 0, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { UINT64_MAX, UINT64_MAX, 0xffffffffffffu, 0xffff,
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { 0x299f31d0a4093822u, 0x0370734413198a2eu, 0x08d3243f6a88u, 0x85a3,
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (int i = 0; i < 3; i++) {
        uint32_t found[4];
        vector_block(known[i].key, known[i].network, known[i].tag, known[i].block, found);
        CHECK(memcmp(found, known[i].expected, sizeof found) == 0);
    }
    return 0;
}

/* Every lane, and blocks on both sides of the carry from counter word 0 to word 1. */
static uint64_t test_lanes_and_carry(void)
{
    const uint64_t first[] = { 0, 8, 1000000, 0xfffffff8u, 0x100000000u, 0x7ffffffffff8u };
    const uint64_t key = 0x0123456789abcdefu, network = 0xfedcba9876543210u;
    const uint32_t tag = 0x1003;
    for (size_t b = 0; b < sizeof first / sizeof *first; b++)
        for (uint64_t block = first[b]; block < first[b] + 8; block++) {
            uint32_t counter[4] = { (uint32_t)block, (uint32_t)(block >> 32) | tag << 16, (uint32_t)network,
                                    (uint32_t)(network >> 32) };
            uint32_t expected[4], found[4];
            philox_plain(counter, key, expected);
            vector_block(key, network, tag, block, found);
            CHECK(memcmp(found, expected, sizeof found) == 0);
        }
    return 0;
}

/* Group g drawn alone is group g of a long draw, also across the carry and for every length. */
static uint64_t test_random_access(void)
{
    enum { GROUPS = 53 };
    const uint64_t starts[] = { 0, 100, (1ull << 29) - 20, (1ull << 28) - 20 };
    double *all = exact_double(GROUPS * GROUP_D), *one = exact_double(GROUP_D);
    float *all_f = exact_float(GROUPS * GROUP_F), *one_f = exact_float(GROUP_F);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        core->normals_d(20240601, 5, 0x2001, starts[i], GROUPS, all);
        core->normals_f(20240601, 5, 0x2001, starts[i], GROUPS, all_f);
        for (int g = 0; g < GROUPS; g++) {
            core->normals_d(20240601, 5, 0x2001, starts[i] + (uint64_t)g, 1, one);
            CHECK(memcmp(one, all + g * GROUP_D, GROUP_D * sizeof *one) == 0);
            core->normals_f(20240601, 5, 0x2001, starts[i] + (uint64_t)g, 1, one_f);
            CHECK(memcmp(one_f, all_f + g * GROUP_F, GROUP_F * sizeof *one_f) == 0);
        }
    }
    one[0] = 7.0;
    core->normals_d(1, 1, 1, 0, 0, one);
    CHECK(one[0] == 7.0);
    free(all);
    free(one);
    free(all_f);
    free(one_f);
    return 0;
}

static uint64_t test_exact_lengths(void)
{
    for (int64_t groups = 0; groups <= 35; groups++) {
        double *x = exact_double(groups * GROUP_D);
        float *f = exact_float(groups * GROUP_F);
        core->normals_d(3, 4, 0x1001, 7, groups, x);
        core->normals_f(3, 4, 0x1001, 7, groups, f);
        int finite = 1;
        for (int64_t i = 0; i < groups * GROUP_D; i++) finite &= isfinite(x[i]) != 0;
        for (int64_t i = 0; i < groups * GROUP_F; i++) finite &= isfinite(f[i]) != 0;
        CHECK(finite);
        free(x);
        free(f);
    }
    return 0;
}

/* Moments one, two and four; their standard errors are 1, sqrt 2, sqrt 96 over sqrt n. */
static void check_moments(const double *x, int64_t n)
{
    double m1 = 0, m2 = 0, m4 = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        double square = x[i] * x[i];
        m1 += x[i];
        m2 += square;
        m4 += square * square;
        largest = fmax(largest, fabs(x[i]));
    }
    double root = sqrt((double)n);
    CHECK(fabs(m1 / (double)n) * root < 5.85);
    CHECK(fabs(m2 / (double)n - 1) * root / sqrt(2) < 5.85);
    CHECK(fabs(m4 / (double)n - 3) * root / sqrt(96) < 5.85);
    CHECK(largest > 3.5 && largest < 8.6);
}

static uint64_t test_moments_and_bits(void)
{
    enum { N = 1 << 17 };
    double *x = exact_double(N);
    float *f = exact_float(N);
    core->normals_d(20240602, 9, 1, 0, N / GROUP_D, x);
    check_moments(x, N);
    uint64_t bits = digest(0, x, N * sizeof *x);
    core->normals_f(20240602, 9, 1, 0, N / GROUP_F, f);
    for (int i = 0; i < N; i++) x[i] = (double)f[i];
    check_moments(x, N);
    bits = digest(bits, f, N * sizeof *f);
    free(x);
    free(f);
    return bits;
}

static void test_choice(void)
{
    CHECK(nnft_core(-1) == NULL && nnft_core(NNFT_ISA_COUNT) == NULL && nnft_core(NNFT_ISA_PORTABLE) != NULL);
    for (int isa = 0; isa < NNFT_ISA_COUNT; isa++) {
        if (!nnft_core(isa)) continue;
        setenv("NNFT_SIMD", nnft_core(isa)->name, 1);
        CHECK(nnft_best_isa() == isa);
    }
    unsetenv("NNFT_SIMD");
    for (int isa = nnft_best_isa() + 1; isa < NNFT_ISA_COUNT; isa++) CHECK(nnft_core(isa) == NULL);
}

int main(void)
{
    test_choice();
    on_every_core(test_known_answers);
    on_every_core(test_lanes_and_carry);
    on_every_core(test_random_access);
    on_every_core(test_exact_lengths);
    on_every_core(test_moments_and_bits);
    return verdict("streams");
}
