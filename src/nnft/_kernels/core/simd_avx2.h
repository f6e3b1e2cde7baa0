/* AVX2 with FMA: two registers for each vector, lanes in memory order. See simd.h. */
#include <immintrin.h>

typedef struct { __m256d lo, hi; } vd;
typedef struct { __m256 lo, hi; } vf;
typedef struct { __m256i lo, hi; } vu;
typedef vd mdm; /* all bits of a lane set or clear */
typedef vf mfm;

#define NNFT_D1(name, op) \
    NNFT_INLINE vd name(vd a) { return (vd){ op(a.lo), op(a.hi) }; }
#define NNFT_D2(name, op) \
    NNFT_INLINE vd name(vd a, vd b) { return (vd){ op(a.lo, b.lo), op(a.hi, b.hi) }; }
#define NNFT_D3(name, op) \
    NNFT_INLINE vd name(vd a, vd b, vd c) { return (vd){ op(a.lo, b.lo, c.lo), op(a.hi, b.hi, c.hi) }; }
#define NNFT_F1(name, op) \
    NNFT_INLINE vf name(vf a) { return (vf){ op(a.lo), op(a.hi) }; }
#define NNFT_F2(name, op) \
    NNFT_INLINE vf name(vf a, vf b) { return (vf){ op(a.lo, b.lo), op(a.hi, b.hi) }; }
#define NNFT_F3(name, op) \
    NNFT_INLINE vf name(vf a, vf b, vf c) { return (vf){ op(a.lo, b.lo, c.lo), op(a.hi, b.hi, c.hi) }; }
#define NNFT_U2(name, op) \
    NNFT_INLINE vu name(vu a, vu b) { return (vu){ op(a.lo, b.lo), op(a.hi, b.hi) }; }

NNFT_INLINE vd vd_load(const double *p) { return (vd){ _mm256_loadu_pd(p), _mm256_loadu_pd(p + 4) }; }
NNFT_INLINE void vd_store(double *p, vd a) { _mm256_storeu_pd(p, a.lo); _mm256_storeu_pd(p + 4, a.hi); }
NNFT_INLINE vd vd_set(double x) { return (vd){ _mm256_set1_pd(x), _mm256_set1_pd(x) }; }
NNFT_D2(vd_add, _mm256_add_pd)
NNFT_D2(vd_sub, _mm256_sub_pd)
NNFT_D2(vd_mul, _mm256_mul_pd)
NNFT_D2(vd_div, _mm256_div_pd)
NNFT_D1(vd_sqrt, _mm256_sqrt_pd)
NNFT_D3(vd_fma, _mm256_fmadd_pd)
NNFT_D3(vd_fnma, _mm256_fnmadd_pd)
NNFT_D2(vd_min, _mm256_min_pd)
NNFT_D2(vd_max, _mm256_max_pd)
#define NNFT_ABS_PD(a) _mm256_andnot_pd(_mm256_set1_pd(-0.0), a)
NNFT_D1(vd_abs, NNFT_ABS_PD)
#define NNFT_ROUND_PD(a) _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
NNFT_D1(vd_round, NNFT_ROUND_PD)
NNFT_D2(vd_and, _mm256_and_pd)
NNFT_D2(vd_or, _mm256_or_pd)
NNFT_D2(vd_xor, _mm256_xor_pd)
#define NNFT_LT_PD(a, b) _mm256_cmp_pd(a, b, _CMP_LT_OQ)
#define NNFT_LE_PD(a, b) _mm256_cmp_pd(a, b, _CMP_LE_OQ)
#define NNFT_NAN_PD(a) _mm256_cmp_pd(a, a, _CMP_UNORD_Q)
NNFT_D2(vd_lt, NNFT_LT_PD)
NNFT_D2(vd_le, NNFT_LE_PD)
NNFT_D1(vd_isnan, NNFT_NAN_PD)
NNFT_INLINE vd vd_select(mdm m, vd yes, vd no)
{
    return (vd){ _mm256_blendv_pd(no.lo, yes.lo, m.lo), _mm256_blendv_pd(no.hi, yes.hi, m.hi) };
}
/* by the sign bit of each lane */
NNFT_INLINE vd vd_select_sign(vu sign, vd yes, vd no)
{
    return vd_select((vd){ _mm256_castsi256_pd(sign.lo), _mm256_castsi256_pd(sign.hi) }, yes, no);
}
NNFT_INLINE vd vd_from_bits(vu a) { return (vd){ _mm256_castsi256_pd(a.lo), _mm256_castsi256_pd(a.hi) }; }
NNFT_INLINE vu vd_bits(vd a) { return (vu){ _mm256_castpd_si256(a.lo), _mm256_castpd_si256(a.hi) }; }
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE vd vd_lookup16(const double *table, vu index)
{
    const __m256i m = _mm256_set1_epi64x(15);
    return (vd){ _mm256_i64gather_pd(table, _mm256_and_si256(index.lo, m), 8),
                 _mm256_i64gather_pd(table, _mm256_and_si256(index.hi, m), 8) };
}

NNFT_INLINE vf vf_load(const float *p) { return (vf){ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) }; }
NNFT_INLINE void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a.lo); _mm256_storeu_ps(p + 8, a.hi); }
NNFT_INLINE vf vf_set(float x) { return (vf){ _mm256_set1_ps(x), _mm256_set1_ps(x) }; }
NNFT_F2(vf_add, _mm256_add_ps)
NNFT_F2(vf_sub, _mm256_sub_ps)
NNFT_F2(vf_mul, _mm256_mul_ps)
NNFT_F2(vf_div, _mm256_div_ps)
NNFT_F1(vf_sqrt, _mm256_sqrt_ps)
NNFT_F3(vf_fma, _mm256_fmadd_ps)
NNFT_F3(vf_fnma, _mm256_fnmadd_ps)
NNFT_F2(vf_min, _mm256_min_ps)
NNFT_F2(vf_max, _mm256_max_ps)
#define NNFT_ABS_PS(a) _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a)
NNFT_F1(vf_abs, NNFT_ABS_PS)
#define NNFT_ROUND_PS(a) _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
NNFT_F1(vf_round, NNFT_ROUND_PS)
NNFT_F2(vf_and, _mm256_and_ps)
NNFT_F2(vf_or, _mm256_or_ps)
NNFT_F2(vf_xor, _mm256_xor_ps)
#define NNFT_LT_PS(a, b) _mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define NNFT_LE_PS(a, b) _mm256_cmp_ps(a, b, _CMP_LE_OQ)
#define NNFT_NAN_PS(a) _mm256_cmp_ps(a, a, _CMP_UNORD_Q)
NNFT_F2(vf_lt, NNFT_LT_PS)
NNFT_F2(vf_le, NNFT_LE_PS)
NNFT_F1(vf_isnan, NNFT_NAN_PS)
NNFT_INLINE vf vf_select(mfm m, vf yes, vf no)
{
    return (vf){ _mm256_blendv_ps(no.lo, yes.lo, m.lo), _mm256_blendv_ps(no.hi, yes.hi, m.hi) };
}
NNFT_INLINE vf vf_select_sign(vu sign, vf yes, vf no)
{
    return vf_select((vf){ _mm256_castsi256_ps(sign.lo), _mm256_castsi256_ps(sign.hi) }, yes, no);
}
NNFT_INLINE vf vf_from_bits(vu a) { return (vf){ _mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi) }; }
NNFT_INLINE vu vf_bits(vf a) { return (vu){ _mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi) }; }
/* unsigned 32-bit integers to float: the high half is exact, so one rounding is left (in the sum) */
NNFT_INLINE __m256 nnft_u32_to_ps(__m256i a)
{
    __m256i low = _mm256_and_si256(a, _mm256_set1_epi32(0xFFFF));
    __m256i high = _mm256_srli_epi32(a, 16);
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), _mm256_set1_ps(65536.0f), _mm256_cvtepi32_ps(low));
}
NNFT_INLINE vf vf_from_u32(vu a) { return (vf){ nnft_u32_to_ps(a.lo), nnft_u32_to_ps(a.hi) }; }

NNFT_INLINE vu vu_load(const void *p)
{
    const __m256i *q = (const __m256i *)p;
    return (vu){ _mm256_loadu_si256(q), _mm256_loadu_si256(q + 1) };
}
NNFT_INLINE void vu_store(void *p, vu a)
{
    __m256i *q = (__m256i *)p;
    _mm256_storeu_si256(q, a.lo);
    _mm256_storeu_si256(q + 1, a.hi);
}
NNFT_INLINE vu vu_set64(uint64_t x)
{
    return (vu){ _mm256_set1_epi64x((long long)x), _mm256_set1_epi64x((long long)x) };
}
NNFT_INLINE vu vu_set32(uint32_t x) { return (vu){ _mm256_set1_epi32((int)x), _mm256_set1_epi32((int)x) }; }
NNFT_U2(vu_and, _mm256_and_si256)
NNFT_U2(vu_or, _mm256_or_si256)
NNFT_U2(vu_xor, _mm256_xor_si256)
NNFT_INLINE vu vu_xor3(vu a, vu b, vu c) { return vu_xor(vu_xor(a, b), c); }
NNFT_U2(vu_add64, _mm256_add_epi64)
NNFT_U2(vu_sub64, _mm256_sub_epi64)
NNFT_U2(vu_add32, _mm256_add_epi32)
NNFT_U2(vu_sub32, _mm256_sub_epi32)
NNFT_U2(vu_mul32, _mm256_mul_epu32)
#define vu_shl64(a, n) ((vu){ _mm256_slli_epi64((a).lo, (n)), _mm256_slli_epi64((a).hi, (n)) })
#define vu_shr64(a, n) ((vu){ _mm256_srli_epi64((a).lo, (n)), _mm256_srli_epi64((a).hi, (n)) })
#define vu_shl32(a, n) ((vu){ _mm256_slli_epi32((a).lo, (n)), _mm256_slli_epi32((a).hi, (n)) })
#define vu_shr32(a, n) ((vu){ _mm256_srli_epi32((a).lo, (n)), _mm256_srli_epi32((a).hi, (n)) })
/* low halves of a in the even, low halves of b in the odd 32-bit lanes */
NNFT_INLINE vu vu_interleave_low32(vu a, vu b)
{
    return (vu){ _mm256_blend_epi32(a.lo, _mm256_slli_epi64(b.lo, 32), 0xAA),
                 _mm256_blend_epi32(a.hi, _mm256_slli_epi64(b.hi, 32), 0xAA) };
}
/* a 2^n for whole n, |n| < 2000, rounded once: the first product is exact for a in [1/2, 2^1000] */
NNFT_INLINE vd nnft_power_of_two(vd n)
{
    return vd_from_bits(vu_shl64(vd_bits(vd_add(n, vd_set(0x1.8p52 + 1023.0))), 52));
}
NNFT_INLINE vd vd_scale(vd a, vd n)
{
    vd half = vd_round(vd_mul(n, vd_set(0.5)));
    return vd_mul(vd_mul(a, nnft_power_of_two(half)), nnft_power_of_two(vd_sub(n, half)));
}
/* rounding error of p = a b */
#define NNFT_FMSUB_PD(a, b, c) _mm256_fmsub_pd(a, b, c)
NNFT_D3(vd_product_error, NNFT_FMSUB_PD)
NNFT_INLINE vf nnft_power_of_two_f(vf n)
{
    return vf_from_bits(vu_shl32(vf_bits(vf_add(n, vf_set(0x1.8p23f + 127.0f))), 23));
}
NNFT_INLINE vf vf_scale(vf a, vf n) /* |n| < 250 */
{
    vf half = vf_round(vf_mul(n, vf_set(0.5f)));
    return vf_mul(vf_mul(a, nnft_power_of_two_f(half)), nnft_power_of_two_f(vf_sub(n, half)));
}
#define NNFT_FMSUB_PS(a, b, c) _mm256_fmsub_ps(a, b, c)
NNFT_F3(vf_product_error, NNFT_FMSUB_PS)
NNFT_INLINE int vd_any(mdm m) { return _mm256_movemask_pd(_mm256_or_pd(m.lo, m.hi)) != 0; }
NNFT_INLINE int vf_any(mfm m) { return _mm256_movemask_ps(_mm256_or_ps(m.lo, m.hi)) != 0; }
NNFT_INLINE vd nnft_widen(__m256 a)
{
    return (vd){ _mm256_cvtps_pd(_mm256_castps256_ps128(a)), _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)) };
}
NNFT_INLINE vd vd_from_vf_low(vf a) { return nnft_widen(a.lo); }
NNFT_INLINE vd vd_from_vf_high(vf a) { return nnft_widen(a.hi); }
NNFT_INLINE __m256 nnft_narrow(vd a)
{
    return _mm256_set_m128(_mm256_cvtpd_ps(a.hi), _mm256_cvtpd_ps(a.lo));
}
NNFT_INLINE vf vf_from_vd(vd low, vd high) { return (vf){ nnft_narrow(low), nnft_narrow(high) }; }
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE __m256 nnft_lookup16_ps(__m256 low, __m256 high, __m256i index)
{
    __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index), upper);
}
NNFT_INLINE vf vf_lookup16(const float *table, vu index)
{
    __m256 low = _mm256_loadu_ps(table), high = _mm256_loadu_ps(table + 8);
    return (vf){ nnft_lookup16_ps(low, high, index.lo), nnft_lookup16_ps(low, high, index.hi) };
}

NNFT_INLINE __m256d nnft_sum_quads(__m256d a, __m256d b, __m256d c, __m256d d)
{
    __m256d ab = _mm256_hadd_pd(a, b), cd = _mm256_hadd_pd(c, d);
    return _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x20), _mm256_permute2f128_pd(ab, cd, 0x31));
}

NNFT_INLINE double vd_first(vd a) { return _mm256_cvtsd_f64(a.lo); }
/* lane k in all lanes */
NNFT_INLINE vd vd_lane(vd a, int k)
{
    double lanes[8];
    vd_store(lanes, a);
    return vd_set(lanes[k]);
}

/* lane i of the result is vd_sum(a[i]) */
NNFT_INLINE vd vd_sum8(const vd *a)
{
    vd r;
    r.lo = _mm256_add_pd(nnft_sum_quads(a[0].lo, a[1].lo, a[2].lo, a[3].lo),
                         nnft_sum_quads(a[0].hi, a[1].hi, a[2].hi, a[3].hi));
    r.hi = _mm256_add_pd(nnft_sum_quads(a[4].lo, a[5].lo, a[6].lo, a[7].lo),
                         nnft_sum_quads(a[4].hi, a[5].hi, a[6].hi, a[7].hi));
    return r;
}
