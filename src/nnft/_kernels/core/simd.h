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
/* for bodies of many operations: one copy of each where every operation is a loop over lanes */
#if defined(NNFT_AVX512) || defined(NNFT_AVX2)
#define NNFT_ROUTINE NNFT_INLINE
#else
#define NNFT_ROUTINE static __attribute__((noinline, unused))
#endif
#define VD_LANES 8
#define VF_LANES 16

#if defined(NNFT_AVX512)
#include "simd_avx512.h"
#elif defined(NNFT_AVX2)
#include "simd_avx2.h"
#else
#include "simd_portable.h"
#endif

#if !defined(NNFT_AVX512) /* single instructions there */
/* rows to columns: lane k of r[i] goes to lane i of r[k] */
NNFT_INLINE void vd_transpose8(vd r[8])
{
    double in[8][8], out[8][8];
    for (int i = 0; i < 8; i++) vd_store(in[i], r[i]);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 8; k++) out[k][i] = in[i][k];
    for (int i = 0; i < 8; i++) r[i] = vd_load(out[i]);
}
NNFT_INLINE vu vu_and_or(vu a, vu b, vu c) { return vu_or(vu_and(a, b), c); }
NNFT_INLINE vu vu_xor_and(vu a, vu b, vu c) { return vu_xor(a, vu_and(b, c)); }
/* exponent of positive normal numbers given by their bits, as a number: 2^52 + e + 1023 without the rest */
NNFT_INLINE vd vd_exponent(vu bits)
{
    vu e = vu_or(vu_shr64(bits, 52), vu_set64(0x4330000000000000u));
    return vd_sub(vd_from_bits(e), vd_set(4503599627370496.0 + 1023.0));
}
NNFT_INLINE vf vf_exponent(vu bits)
{
    vu e = vu_or(vu_shr32(bits, 23), vu_set32(0x4B000000u));
    return vf_sub(vf_from_bits(e), vf_set(8388608.0f + 127.0f));
}
/* yes where bit 62 (30) of the lane is set */
NNFT_INLINE vd vd_select_bit62(vu bits, vd yes, vd no) { return vd_select_sign(vu_shl64(bits, 1), yes, no); }
NNFT_INLINE vf vf_select_bit30(vu bits, vf yes, vf no) { return vf_select_sign(vu_shl32(bits, 1), yes, no); }
#endif

/* Sum of the lanes in the fixed tree ((0+1)+(2+3)) + ((4+5)+(6+7)), the tree of vd_sum8. */
NNFT_INLINE double vd_sum(vd a)
{
    double t[8];
    vd_store(t, a);
    return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]));
}

/* Sum of sixteen floats in double, in the tree of two vd_sum. */
NNFT_INLINE double vf_sum(vf a)
{
    float t[16];
    double s[2];
    vf_store(t, a);
    for (int i = 0; i < 2; i++) {
        const float *q = t + 8 * i;
        s[i] = (((double)q[0] + q[1]) + ((double)q[2] + q[3])) + (((double)q[4] + q[5]) + ((double)q[6] + q[7]));
    }
    return s[0] + s[1];
}

#endif
