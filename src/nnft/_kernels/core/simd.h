/* Vectors with one meaning on every instruction set.
 *
 * vd is eight doubles, vf sixteen floats, vu eight 64-bit words, in that lane order on every
 * machine. AVX-512 keeps a vector in one register, AVX2 in two, the portable version in an
 * array. Every operation is correctly rounded and vfma is one rounding where the machine has a
 * fused multiply-add, so that AVX-512 and AVX2 give the same bits.
 *
 * The including file defines exactly one of NNFT_AVX512, NNFT_AVX2, NNFT_PORTABLE.
 */
#ifndef NNFT_SIMD_H
#define NNFT_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NNFT_INLINE static inline __attribute__((always_inline))
#define VD_LANES 8
#define VF_LANES 16

#if defined(NNFT_AVX512)
#include "simd_avx512.h"
#elif defined(NNFT_AVX2)
#include "simd_avx2.h"
#else
#include "simd_portable.h"
#endif

/* Sum of the eight lanes in one fixed tree: (0+4, 1+5, 2+6, 3+7), then halves again. */
NNFT_INLINE double vd_sum(vd a)
{
    double t[8];
    vd_store(t, a);
    double s0 = t[0] + t[4], s1 = t[1] + t[5], s2 = t[2] + t[6], s3 = t[3] + t[7];
    return (s0 + s2) + (s1 + s3);
}

#endif
