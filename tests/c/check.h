/* What the C unit tests share: counted checks that go on after a failure, exact buffers, all cores.
 *
 * A buffer of exact_double(n) ends where the sanitizer's red zone begins, so that a kernel which
 * writes one element too many is stopped at that very store.
 */
#ifndef NNFT_TESTS_CHECK_H
#define NNFT_TESTS_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

static int checks_done, checks_failed;
static const nnft_core_table *core; /* the instruction set under test */

#define CHECK(condition) \
    do { \
        checks_done++; \
        if (!(condition)) { \
            checks_failed++; \
            fprintf(stderr, "%s:%d: [%s] failed: %s\n", __FILE__, __LINE__, core ? core->name : "-", #condition); \
        } \
    } while (0)

/* `bytes` bytes at a cache line's start, filled with not-a-numbers */
static inline void *exact_bytes(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes ? bytes : 1)) exit(2);
    memset(p, 0xff, bytes);
    return p;
}

static inline double *exact_double(int64_t n) { return exact_bytes((size_t)n * sizeof(double)); }
static inline float *exact_float(int64_t n) { return exact_bytes((size_t)n * sizeof(float)); }

/* FNV-1a, to compare bits between instruction sets */
static inline uint64_t digest(uint64_t start, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t h = start ? start : 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* Runs `test` on every instruction set of this machine; those with fused multiply-add (AVX2,
 * AVX-512) have to return the same digest. */
static inline void on_every_core(uint64_t (*test)(void))
{
    uint64_t bits[NNFT_ISA_COUNT];
    for (int isa = 0; isa < NNFT_ISA_COUNT; isa++) {
        core = nnft_core(isa);
        if (core) bits[isa] = test();
    }
    core = NULL;
    if (nnft_core(NNFT_ISA_AVX2) && nnft_core(NNFT_ISA_AVX512))
        CHECK(bits[NNFT_ISA_AVX2] == bits[NNFT_ISA_AVX512]);
}

/* Prints the verdict; the value for main to return. */
static inline int verdict(const char *name)
{
    printf("%s:", name);
    for (int isa = 0; isa < NNFT_ISA_COUNT; isa++)
        if (nnft_core(isa)) printf(" %s", nnft_core(isa)->name);
    printf(": %d checks, %d failed\n", checks_done, checks_failed);
    return checks_failed != 0 || checks_done == 0;
}

#endif
