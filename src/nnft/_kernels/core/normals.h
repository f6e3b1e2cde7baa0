/* Standard normals by the Box-Muller transform on Philox words; tables from fit/fit_normals.py.
 *
 * double: a group is 8 blocks, 16 normals: 8 first, then 8 second ones of a pair, one block a lane.
 *   Radius bits are words 0 (low) and 1 (high) of a block, k their low 52 bits: u = (2k+1)/2^53.
 *   Angle bits are words 2 and 3, j their low 52 bits: y = j/2^51 - 1 in [-1, 1), and
 *   c = cos(pi y/4) r, s = sin(pi y/4) r with r = sqrt(-2 log u). Bit 63 turns the sign of c; the
 *   pair is (c, s), or (s, c) if bit 62 is set: eight reflections complete the circle.
 * float: a group is 16 blocks, 64 normals: 16 first, 16 second from words 0 (radius) and 1 (angle),
 *   then the same from words 2 and 3. u = (w + 1/2)/2^32, w rounded to a float; y from the low 23
 *   bits of the angle word, sign and order by its bits 31 and 30.
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
    vu t = vu_add64(vd_bits(u), vu_set64(bias - offset)), index = vu_shr64(t, 48);
    vd z = vd_from_bits(vu_add64(vu_and(t, vu_set64(0x000FFFFFFFFFFFFFu)), vu_set64(offset))); /* u = z 2^k */
    vd k = vd_exponent(t);
    vd r = vd_fma(z, vd_lookup16(nnft_log_reciprocal, index), vd_set(-1.0));
    vd r2 = vd_mul(r, r);
    vd a = vd_fma(vd_set(-0x1.c7d80281f780fp-3), r, vd_set(0x1.006728be62870p-2));
    vd b = vd_fma(vd_set(-0x1.24923a645fba6p-2), r, vd_set(0x1.5555451b9c3ebp-2));
    vd c = vd_fma(vd_set(-0x1.9999999a579f4p-2), r, vd_set(0x1.0000000068827p-1));
    vd d = vd_fma(vd_set(-0x1.5555555555549p-1), r, vd_set(0x1.ffffffffffff3p-1));
    vd p = vd_fma(vd_fma(vd_fma(a, r2, b), r2, c), r2, d);
    /* -2 k log 2 - 2 log c */
    vd high = vd_fma(k, vd_set(-0x1.62e42fefa39efp+0), vd_lookup16(nnft_log_value, index));
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

/* a double in [1, 2) from the low 52 bits of each lane */
NNFT_INLINE vd nnft_one_to_two_d(vu bits)
{
    return vd_from_bits(vu_and_or(bits, vu_set64(0x000FFFFFFFFFFFFFu), vu_set64(0x3FF0000000000000u)));
}

NNFT_INLINE void nnft_box_muller_d(nnft_words words, double *out)
{
    vu radius_bits = vu_interleave_low32(words.w0, words.w1), angle_bits = vu_interleave_low32(words.w2, words.w3);
    vd u = vd_sub(nnft_one_to_two_d(radius_bits), vd_set(1.0 - 0x1p-53));
    vd y = vd_fma(nnft_one_to_two_d(angle_bits), vd_set(2.0), vd_set(-3.0));
    vd radius = vd_sqrt(nnft_minus_two_log_d(u)), sine, cosine;
    nnft_sincos_eighth_d(y, &sine, &cosine);
    vu signed_cosine = vu_xor_and(vd_bits(vd_mul(cosine, radius)), angle_bits, vu_set64(0x8000000000000000u));
    cosine = vd_from_bits(signed_cosine);
    sine = vd_mul(sine, radius);
    vd_store(out, vd_select_bit62(angle_bits, sine, cosine));
    vd_store(out + 8, vd_select_bit62(angle_bits, cosine, sine));
}

/* -2 log(w / 2^32) for 0 < w < 2^32 as a float */
NNFT_INLINE vf nnft_minus_two_log_f(vf w)
{
    const uint32_t offset = 0x3F2AAAAAu, bias = 0x3F800000u; /* 2/3, 1 */
    vu t = vu_add32(vf_bits(w), vu_set32(bias - offset));
    vf k = vf_sub(vf_exponent(t), vf_set(32.0f));
    vu z = vu_add32(vu_and(t, vu_set32(0x007FFFFFu)), vu_set32(offset));
    vf r = vf_sub(vf_from_bits(z), vf_set(1.0f));
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
    vf x = vf_from_bits(vu_and_or(angle_bits, vu_set32(0x007FFFFFu), vu_set32(0x3F800000u)));
    vf y = vf_fma(x, vf_set(2.0f), vf_set(-3.0f));
    vf radius = vf_sqrt(nnft_minus_two_log_f(w)), sine, cosine;
    nnft_sincos_eighth_f(y, &sine, &cosine);
    vu signed_cosine = vu_xor_and(vf_bits(vf_mul(cosine, radius)), angle_bits, vu_set32(0x80000000u));
    cosine = vf_from_bits(signed_cosine);
    sine = vf_mul(sine, radius);
    vf_store(out, vf_select_bit30(angle_bits, sine, cosine));
    vf_store(out + 16, vf_select_bit30(angle_bits, cosine, sine));
}

#define NNFT_CHUNK 16 /* groups between the two passes: 4 KiB of words; a multiple of NNFT_WAYS */

/* words of groups first .. first+count-1 (and up to NNFT_WAYS-1 more), count <= NNFT_CHUNK */
NNFT_INLINE void nnft_words_d(const nnft_stream *s, const nnft_round_keys *keys, uint64_t first, int64_t count,
                              nnft_words *words)
{
    const uint64_t high = first * 8 >> 32;
    vu block[NNFT_WAYS];
    for (int w = 0; w < NNFT_WAYS; w++) block[w] = nnft_block_lanes((uint32_t)(first * 8) + 8 * (uint64_t)w, 1);
    for (int64_t g = 0; g < count; g += NNFT_WAYS) {
        nnft_philox(s, keys, high, block, words + g);
        for (int w = 0; w < NNFT_WAYS; w++) block[w] = vu_add64(block[w], vu_set64(8 * NNFT_WAYS));
    }
}

/* Groups first .. first+groups-1 of a stream, 16 normals each. Words first, transform second:
 * each pass alone keeps the machine's window full, the fused loop does not. */
static void nnft_normals_d(const nnft_stream *s, uint64_t first, int64_t groups, double *out)
{
    nnft_words words[NNFT_CHUNK];
    nnft_round_keys keys;
    nnft_make_round_keys(s->key, &keys);
    while (groups > 0) {
        int64_t count = nnft_same_high(first, 8, groups < NNFT_CHUNK ? groups : NNFT_CHUNK);
        nnft_words_d(s, &keys, first, count, words);
        for (int64_t g = 0; g < count; g++) nnft_box_muller_d(words[g], out + g * NNFT_GROUP_D);
        out += count * NNFT_GROUP_D;
        first += (uint64_t)count;
        groups -= count;
    }
}

/* The same in float, 64 normals a group: even and odd blocks in two vectors, then word by word
 * sixteen 32-bit words side by side. */
NNFT_INLINE void nnft_words_f(const nnft_stream *s, const nnft_round_keys *keys, uint64_t first, int64_t count,
                              nnft_words *words)
{
    const uint64_t high = first * 16 >> 32;
    vu block[NNFT_WAYS];
    for (int w = 0; w < NNFT_WAYS; w++)
        block[w] = nnft_block_lanes((uint32_t)(first * 16) + 16 * (uint64_t)(w / 2) + (uint64_t)(w % 2), 2);
    for (int64_t g = 0; g < count; g += NNFT_WAYS / 2) {
        nnft_words c[NNFT_WAYS];
        nnft_philox(s, keys, high, block, c);
        for (int w = 0; w < NNFT_WAYS; w += 2) {
            nnft_words *o = words + g + w / 2;
            o->w0 = vu_interleave_low32(c[w].w0, c[w + 1].w0);
            o->w1 = vu_interleave_low32(c[w].w1, c[w + 1].w1);
            o->w2 = vu_interleave_low32(c[w].w2, c[w + 1].w2);
            o->w3 = vu_interleave_low32(c[w].w3, c[w + 1].w3);
        }
        for (int w = 0; w < NNFT_WAYS; w++) block[w] = vu_add64(block[w], vu_set64(8 * NNFT_WAYS));
    }
}

static void nnft_normals_f(const nnft_stream *s, uint64_t first, int64_t groups, float *out)
{
    nnft_words words[NNFT_CHUNK];
    nnft_round_keys keys;
    nnft_make_round_keys(s->key, &keys);
    while (groups > 0) {
        int64_t count = nnft_same_high(first, 16, groups < NNFT_CHUNK ? groups : NNFT_CHUNK);
        nnft_words_f(s, &keys, first, count, words);
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
