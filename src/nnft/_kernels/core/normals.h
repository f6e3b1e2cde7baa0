/* Standard normals by the Box-Muller transform on Philox words; tables from fit/fit_normals.py.
 *
 * double: a group is 8 blocks, 16 normals: 8 radius*cosine, then 8 radius*sine, one block a lane.
 *   Words 0,1 of a block give u = (2k+1)/2^53, words 2,3 the angle from 52 bits within an eighth
 *   turn, and two further bits the reflections that complete the circle.
 * float: a group is 16 blocks, 64 normals: words 0,1 and words 2,3 each make 16 pairs.
 * Error about 2 ulp of the radius; the largest normals are 8.57 and 6.76.
 */
#ifndef NNFT_NORMALS_H
#define NNFT_NORMALS_H

#include "philox.h"

#define NNFT_GROUP_D 16
#define NNFT_GROUP_F 64

static const double nnft_log_reciprocal[16] = {
    0x1.6c16c16c16c17p+0, 0x1.5c9882b931057p+0, 0x1.4e5e0a72f0539p+0, 0x1.4141414141414p+0,
    0x1.3521cfb2b78c1p+0, 0x1.29e4129e4129ep+0, 0x1.1f7047dc11f70p+0, 0x1.15b1e5f75270dp+0,
    0x1.0c9714fbcda3bp+0, 0x1.0000000000000p+0, 0x1.f07c1f07c1f08p-1, 0x1.d41d41d41d41dp-1,
    0x1.bacf914c1bad0p-1, 0x1.a41a41a41a41ap-1, 0x1.8f9c18f9c18fap-1, 0x1.7d05f417d05f4p-1 };
static const double nnft_log_value[16] = { /* -2 log c */
    0x1.68ac83e9c6a15p-1, 0x1.3c25277333183p-1, 0x1.1178e8227e47ap-1, 0x1.d1037f2655e7bp-2,
    0x1.823c16551a3c0p-2, 0x1.365fcb0159014p-2, 0x1.da7276384469ep-3, 0x1.4d3115d207eacp-3,
    0x1.894aa149fb34bp-4, 0x0.0p+0, -0x1.f829b0e7832f8p-5, -0x1.6f0d28ae56b4ep-3,
    -0x1.29552f81ff521p-2, -0x1.9525a9cf456b6p-2, -0x1.fb9186d5e3e29p-2, -0x1.2e8e2bae11d31p-1 };

#define NNFT_STEP_D(p, x, c) p = vd_fma(p, x, vd_set(c))
#define NNFT_STEP_F(p, x, c) p = vf_fma(p, x, vf_set(c))

/* -2 log(u) for normal u in (0, 1) */
NNFT_INLINE vd nnft_minus_two_log_d(vd u)
{
    const uint64_t offset = 0x3FE6000000000000u, bias = 0x3FF0000000000000u; /* 0.6875, 1 */
    vu bits = vd_bits(u);
    vu t = vu_add64(vu_sub64(bits, vu_set64(offset)), vu_set64(bias));
    /* exponent as a double: 2^52 + biased exponent, less 2^52 + 1023 */
    vd k = vd_sub(vd_from_bits(vu_or(vu_shr64(t, 52), vu_set64(0x4330000000000000u))),
                  vd_set(4503599627370496.0 + 1023.0));
    vu index = vu_shr64(t, 48);
    vd reciprocal = vd_lookup16(nnft_log_reciprocal, index);
    vd value = vd_lookup16(nnft_log_value, index);
    vu exponent = vu_sub64(vu_and(t, vu_set64(0xFFF0000000000000u)), vu_set64(bias));
    vd z = vd_from_bits(vu_sub64(bits, exponent));
    vd r = vd_fma(z, reciprocal, vd_set(-1.0));
    vd r2 = vd_mul(r, r);
    vd a = vd_fma(vd_set(-0x1.c7d80281f780fp-3), r, vd_set(0x1.006728be62870p-2));
    vd b = vd_fma(vd_set(-0x1.24923a645fba6p-2), r, vd_set(0x1.5555451b9c3ebp-2));
    vd c = vd_fma(vd_set(-0x1.9999999a579f4p-2), r, vd_set(0x1.0000000068827p-1));
    vd d = vd_fma(vd_set(-0x1.5555555555549p-1), r, vd_set(0x1.ffffffffffff3p-1));
    vd p = vd_fma(vd_fma(vd_fma(a, r2, b), r2, c), r2, d);
    vd high = vd_fma(k, vd_set(-0x1.62e42fefa39efp+0), value); /* -2 k log 2 - 2 log c */
    return vd_add(high, vd_fma(p, r2, vd_mul(r, vd_set(-2.0))));
}

/* sine and cosine of pi/4 y for |y| <= 1 */
NNFT_INLINE void nnft_sincos_eighth_d(vd y, vd *sine, vd *cosine)
{
    vd s = vd_mul(y, y);
    vd p = vd_set(0x1.e3f38399551bfp-38), q = vd_set(0x1.f3dbcea61b1a4p-34);
    NNFT_STEP_D(p, s, -0x1.e30071afc3e59p-30);
    NNFT_STEP_D(q, s, -0x1.a6c9c1be9eb49p-26);
    NNFT_STEP_D(p, s, 0x1.50782fda12d96p-22);
    NNFT_STEP_D(q, s, 0x1.e1f4fb60281f6p-19);
    NNFT_STEP_D(p, s, -0x1.32d2cce2e5b19p-15);
    NNFT_STEP_D(q, s, -0x1.55d3c7dbfd139p-12);
    NNFT_STEP_D(p, s, 0x1.466bc677587f8p-9);
    NNFT_STEP_D(q, s, 0x1.03c1f081b0780p-6);
    NNFT_STEP_D(p, s, -0x1.4abbce625be41p-4);
    NNFT_STEP_D(q, s, -0x1.3bd3cc9be458bp-2);
    NNFT_STEP_D(p, s, 0x1.921fb54442d18p-1);
    NNFT_STEP_D(q, s, 1.0);
    *sine = vd_mul(p, y);
    *cosine = q;
}

NNFT_INLINE void nnft_box_muller_d(nnft_words w, vd *first, vd *second)
{
    const vu one = vu_set64(0x3FF0000000000000u);
    vu radius_bits = vu_interleave_low32(w.w0, w.w1), angle_bits = vu_interleave_low32(w.w2, w.w3);
    vd u = vd_sub(vd_from_bits(vu_or(vu_shr64(radius_bits, 12), one)), vd_set(1.0 - 0x1p-53));
    vd y = vd_fma(vd_from_bits(vu_or(vu_shr64(angle_bits, 12), one)), vd_set(2.0), vd_set(-3.0 + 0x1p-52));
    vd radius = vd_sqrt(nnft_minus_two_log_d(u)), sine, cosine;
    nnft_sincos_eighth_d(y, &sine, &cosine);
    vu sign = vu_and(vu_shl64(angle_bits, 62), vu_set64(0x8000000000000000u));
    cosine = vd_from_bits(vu_xor(vd_bits(vd_mul(cosine, radius)), sign));
    sine = vd_mul(sine, radius);
    vu swap = vu_shl64(angle_bits, 63);
    *first = vd_select_sign(swap, sine, cosine);
    *second = vd_select_sign(swap, cosine, sine);
}

/* -2 log(w / 2^32) for 0 < w < 2^32 as a float */
NNFT_INLINE vf nnft_minus_two_log_f(vf w)
{
    const uint32_t offset = 0x3F2AAAAAu, bias = 0x3F800000u; /* 2/3, 1 */
    vu bits = vf_bits(w);
    vu t = vu_add32(vu_sub32(bits, vu_set32(offset)), vu_set32(bias));
    vf k = vf_sub(vf_from_bits(vu_or(vu_shr32(t, 23), vu_set32(0x4B000000u))),
                  vf_set(8388608.0f + 127.0f + 32.0f));
    vu exponent = vu_sub32(vu_and(t, vu_set32(0xFF800000u)), vu_set32(bias));
    vf r = vf_sub(vf_from_bits(vu_sub32(bits, exponent)), vf_set(1.0f));
    vf r2 = vf_mul(r, r);
    vf p = vf_set(0x1.fcdbfdd90f5fap-3f);
    NNFT_STEP_F(p, r, -0x1.199722847cdb2p-2f);
    NNFT_STEP_F(p, r, 0x1.f756a1629db4ap-3f);
    NNFT_STEP_F(p, r, -0x1.1fdbe06a410f1p-2f);
    NNFT_STEP_F(p, r, 0x1.55783dc713a8ap-2f);
    NNFT_STEP_F(p, r, -0x1.99bf936965db4p-2f);
    NNFT_STEP_F(p, r, 0x1.ffffb4f60c309p-2f);
    NNFT_STEP_F(p, r, -0x1.55552c852781cp-1f);
    NNFT_STEP_F(p, r, 0x1.0000000000000p+0f);
    vf high = vf_mul(k, vf_set(-0x1.62e43p+0f));
    return vf_add(high, vf_fma(p, r2, vf_mul(r, vf_set(-2.0f))));
}

NNFT_INLINE void nnft_sincos_eighth_f(vf y, vf *sine, vf *cosine)
{
    vf s = vf_mul(y, y);
    vf p = vf_set(-0x1.2d9b405c3fd58p-15f), q = vf_set(0x1.d9c2e7f15bcf2p-19f);
    NNFT_STEP_F(q, s, -0x1.55c57912f05fdp-12f);
    NNFT_STEP_F(p, s, 0x1.465ec38ef6df5p-9f);
    NNFT_STEP_F(q, s, 0x1.03c1dc16cde6ep-6f);
    NNFT_STEP_F(p, s, -0x1.4abbb995f62a8p-4f);
    NNFT_STEP_F(q, s, -0x1.3bd3cc7313b31p-2f);
    NNFT_STEP_F(p, s, 0x1.921fb52f775b6p-1f);
    NNFT_STEP_F(q, s, 1.0f);
    *sine = vf_mul(p, y);
    *cosine = q;
}

/* sixteen pairs from sixteen radius words and sixteen angle words */
NNFT_INLINE void nnft_box_muller_f(vu radius_bits, vu angle_bits, float *out)
{
    vf w = vf_min(vf_add(vf_from_u32(radius_bits), vf_set(0.5f)), vf_set(4294967040.0f));
    vf x = vf_from_bits(vu_or(vu_shr32(angle_bits, 9), vu_set32(0x3F800000u)));
    vf y = vf_fma(x, vf_set(2.0f), vf_set(-3.0f + 0x1p-23f));
    vf radius = vf_sqrt(nnft_minus_two_log_f(w)), sine, cosine;
    nnft_sincos_eighth_f(y, &sine, &cosine);
    vu sign = vu_and(vu_shl32(angle_bits, 30), vu_set32(0x80000000u));
    cosine = vf_from_bits(vu_xor(vf_bits(vf_mul(cosine, radius)), sign));
    sine = vf_mul(sine, radius);
    vu swap = vu_shl32(angle_bits, 31);
    vf_store(out, vf_select_sign(swap, sine, cosine));
    vf_store(out + 16, vf_select_sign(swap, cosine, sine));
}

#define NNFT_CHUNK 16 /* groups between the two passes: 4 KiB of words */

/* Groups first .. first+groups-1 of a stream, 16 normals each. Words first, transform second:
 * each pass alone keeps the machine's window full, the fused loop does not. */
static void nnft_normals_d(const nnft_stream *s, uint64_t first, int64_t groups, double *out)
{
    nnft_words words[NNFT_CHUNK];
    nnft_round_keys keys;
    nnft_make_round_keys(s->key, &keys);
    while (groups > 0) {
        int64_t count = nnft_same_high(first, 8, groups < NNFT_CHUNK ? groups : NNFT_CHUNK);
        uint64_t high = first * 8 >> 32;
        vu block = nnft_block_lanes((uint32_t)(first * 8), 1);
        for (int64_t g = 0; g < count; g++) {
            words[g] = nnft_philox(s, &keys, high, block);
            block = vu_add64(block, vu_set64(8));
        }
        for (int64_t g = 0; g < count; g++) {
            vd a, b;
            nnft_box_muller_d(words[g], &a, &b);
            vd_store(out + g * NNFT_GROUP_D, a);
            vd_store(out + g * NNFT_GROUP_D + 8, b);
        }
        out += count * NNFT_GROUP_D;
        first += (uint64_t)count;
        groups -= count;
    }
}

/* the same in float, 64 normals a group */
static void nnft_normals_f(const nnft_stream *s, uint64_t first, int64_t groups, float *out)
{
    nnft_words words[NNFT_CHUNK];
    nnft_round_keys keys;
    nnft_make_round_keys(s->key, &keys);
    while (groups > 0) {
        int64_t count = nnft_same_high(first, 16, groups < NNFT_CHUNK ? groups : NNFT_CHUNK);
        uint64_t high = first * 16 >> 32;
        vu even = nnft_block_lanes((uint32_t)(first * 16), 2), odd = vu_add64(even, vu_set64(1));
        for (int64_t g = 0; g < count; g++) {
            nnft_words a = nnft_philox(s, &keys, high, even), b = nnft_philox(s, &keys, high, odd);
            words[g].w0 = vu_interleave_low32(a.w0, b.w0);
            words[g].w1 = vu_interleave_low32(a.w1, b.w1);
            words[g].w2 = vu_interleave_low32(a.w2, b.w2);
            words[g].w3 = vu_interleave_low32(a.w3, b.w3);
            even = vu_add64(even, vu_set64(16));
            odd = vu_add64(odd, vu_set64(16));
        }
        for (int64_t g = 0; g < count; g++) {
            nnft_box_muller_f(words[g].w0, words[g].w1, out + g * NNFT_GROUP_F);
            nnft_box_muller_f(words[g].w2, words[g].w3, out + g * NNFT_GROUP_F + 32);
        }
        out += count * NNFT_GROUP_F;
        first += (uint64_t)count;
        groups -= count;
    }
}

#endif
