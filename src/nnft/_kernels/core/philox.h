/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC11), eight counters at a time.
 *
 * Each 32-bit word sits in the low half of a 64-bit lane; the high halves hold rests that the
 * widening multiply ignores. Counter words: c0 = low 32 bits of the block number, c1 = its next
 * 16 bits and the tag above them, c2 and c3 = the network index. The key is the seed's.
 */
#ifndef NNFT_PHILOX_H
#define NNFT_PHILOX_H

#include "simd.h"

#define NNFT_PHILOX_M0 0xD2511F53u
#define NNFT_PHILOX_M1 0xCD9E8D57u
#define NNFT_PHILOX_W0 0x9E3779B9u
#define NNFT_PHILOX_W1 0xBB67AE85u
#define NNFT_PHILOX_ROUNDS 10

/* The address of a stream: every random number is named by these and a block number. */
typedef struct {
    uint64_t key;     /* from the seed */
    uint64_t network; /* global index of the network */
    uint32_t tag;     /* purpose * 4096 + layer, below 2^16 */
} nnft_stream;

typedef struct { vu w0, w1, w2, w3; } nnft_words;

/* Round keys, kept in memory so that a vector instruction takes them as broadcast operands. */
typedef struct { uint64_t k0[NNFT_PHILOX_ROUNDS], k1[NNFT_PHILOX_ROUNDS]; } nnft_round_keys;

NNFT_INLINE void nnft_make_round_keys(uint64_t key, nnft_round_keys *keys)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int r = 0; r < NNFT_PHILOX_ROUNDS; r++) {
        keys->k0[r] = k0;
        keys->k1[r] = k1;
        k0 += NNFT_PHILOX_W0;
        k1 += NNFT_PHILOX_W1;
    }
    __asm__ volatile("" : : "r"(keys) : "memory"); /* the compiler must not keep them in registers */
}

#define NNFT_WAYS 4 /* vectors of blocks in flight: enough independent work to hide the multiplies */

/* Words of NNFT_WAYS vectors of eight blocks: block number low halves in block[w], one high half. */
NNFT_INLINE void nnft_philox(const nnft_stream *s, const nnft_round_keys *keys, uint64_t high, const vu *block,
                             nnft_words *out)
{
    const vu m0 = vu_set64(NNFT_PHILOX_M0), m1 = vu_set64(NNFT_PHILOX_M1);
    const vu tag = vu_set64(high | (uint64_t)s->tag << 16);
    const vu low = vu_set64((uint32_t)s->network), top = vu_set64(s->network >> 32);
    nnft_words c[NNFT_WAYS];
#pragma GCC unroll 4
    for (int w = 0; w < NNFT_WAYS; w++) c[w] = (nnft_words){ block[w], tag, low, top };
#pragma GCC unroll 10
    for (int r = 0; r < NNFT_PHILOX_ROUNDS; r++) {
#pragma GCC unroll 4
        for (int w = 0; w < NNFT_WAYS; w++) {
            vu p0 = vu_mul32(c[w].w0, m0), p1 = vu_mul32(c[w].w2, m1);
            c[w].w0 = vu_xor3(vu_shr64(p1, 32), c[w].w1, vu_set64(keys->k0[r]));
            c[w].w2 = vu_xor3(vu_shr64(p0, 32), c[w].w3, vu_set64(keys->k1[r]));
            c[w].w1 = p1;
            c[w].w3 = p0;
        }
    }
#pragma GCC unroll 4
    for (int w = 0; w < NNFT_WAYS; w++) out[w] = c[w];
}

/* How many of `count` groups of `size` blocks from `group` on share the high half of their numbers. */
NNFT_INLINE int64_t nnft_same_high(uint64_t group, uint64_t size, int64_t count)
{
    uint64_t per_half = (1ull << 32) / size, left = per_half - group % per_half;
    return left < (uint64_t)count ? (int64_t)left : count;
}

NNFT_INLINE vu nnft_block_lanes(uint64_t first, uint64_t step)
{
    uint64_t b[8];
    for (int i = 0; i < 8; i++) b[i] = first + step * (uint64_t)i;
    return vu_load(b);
}

#endif
