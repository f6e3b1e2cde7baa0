/* What the C unit tests share: counted checks that go on after a failure, and exact buffers.
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

static int checks_done, checks_failed;

#define CHECK(condition) \
    do { \
        checks_done++; \
        if (!(condition)) { \
            checks_failed++; \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
        } \
    } while (0)

static inline double *exact_double(size_t n)
{
    double *p = malloc(n * sizeof *p);
    if (!p) exit(2);
    for (size_t i = 0; i < n; i++) p[i] = NAN;
    return p;
}

static inline float *exact_float(size_t n)
{
    float *p = malloc(n * sizeof *p);
    if (!p) exit(2);
    for (size_t i = 0; i < n; i++) p[i] = NAN;
    return p;
}

/* FNV-1a, to compare bits between instruction sets by eye and by the Makefile */
static inline uint64_t digest(uint64_t start, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t h = start ? start : 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* Prints the verdict; the value for main to return. */
static inline int verdict(const char *name)
{
    printf("%s: %d checks, %d failed\n", name, checks_done, checks_failed);
    return checks_failed != 0 || checks_done == 0;
}

#endif
