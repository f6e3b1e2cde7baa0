/* AVX-512 (F, DQ, BW, VL): one register for each vector. See simd.h. */
#include <immintrin.h>

typedef __m512d vd;
typedef __m512 vf;
typedef __m512i vu;     /* eight 64-bit or sixteen 32-bit words */
typedef __mmask8 mdm;   /* one bit for each double lane */
typedef __mmask16 mfm;  /* one bit for each float lane */

NNFT_INLINE vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
NNFT_INLINE void vd_store(double *p, vd a) { _mm512_storeu_pd(p, a); }
NNFT_INLINE vd vd_set(double x) { return _mm512_set1_pd(x); }
NNFT_INLINE vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
NNFT_INLINE vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
NNFT_INLINE vd vd_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
NNFT_INLINE vd vd_div(vd a, vd b) { return _mm512_div_pd(a, b); }
NNFT_INLINE vd vd_sqrt(vd a) { return _mm512_sqrt_pd(a); }
NNFT_INLINE vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
NNFT_INLINE vd vd_fnma(vd a, vd b, vd c) { return _mm512_fnmadd_pd(a, b, c); } /* c - a*b */
NNFT_INLINE vd vd_min(vd a, vd b) { return _mm512_min_pd(a, b); }
NNFT_INLINE vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
NNFT_INLINE vd vd_abs(vd a) { return _mm512_abs_pd(a); }
NNFT_INLINE vd vd_round(vd a) { return _mm512_roundscale_pd(a, 0x08); }
NNFT_INLINE vd vd_and(vd a, vd b) { return _mm512_and_pd(a, b); }
NNFT_INLINE vd vd_or(vd a, vd b) { return _mm512_or_pd(a, b); }
NNFT_INLINE vd vd_xor(vd a, vd b) { return _mm512_xor_pd(a, b); }
NNFT_INLINE mdm vd_lt(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
NNFT_INLINE mdm vd_le(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
NNFT_INLINE mdm vd_isnan(vd a) { return _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q); }
NNFT_INLINE vd vd_select(mdm m, vd yes, vd no) { return _mm512_mask_blend_pd(m, no, yes); }
/* by the sign bit of each lane */
NNFT_INLINE vd vd_select_sign(vu sign, vd yes, vd no)
{
    return _mm512_mask_blend_pd(_mm512_movepi64_mask(sign), no, yes);
}
NNFT_INLINE vd vd_from_bits(vu a) { return _mm512_castsi512_pd(a); }
NNFT_INLINE vu vd_bits(vd a) { return _mm512_castpd_si512(a); }
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE vd vd_lookup16(const double *table, vu index)
{
    return _mm512_permutex2var_pd(_mm512_loadu_pd(table), index, _mm512_loadu_pd(table + 8));
}

NNFT_INLINE double vd_first(vd a) { return _mm512_cvtsd_f64(a); }
/* lane k in all lanes */
NNFT_INLINE vd vd_lane(vd a, int k) { return _mm512_permutexvar_pd(_mm512_set1_epi64(k), a); }

/* rows to columns: lane k of r[i] goes to lane i of r[k] */
NNFT_INLINE void vd_transpose8(vd r[8])
{
    vd t[8], u[8];
    for (int k = 0; k < 4; k++) {
        t[2 * k] = _mm512_unpacklo_pd(r[2 * k], r[2 * k + 1]);
        t[2 * k + 1] = _mm512_unpackhi_pd(r[2 * k], r[2 * k + 1]);
    }
    for (int k = 0; k < 2; k++) {
        u[k] = _mm512_shuffle_f64x2(t[k], t[2 + k], 0x88);
        u[2 + k] = _mm512_shuffle_f64x2(t[k], t[2 + k], 0xdd);
        u[4 + k] = _mm512_shuffle_f64x2(t[4 + k], t[6 + k], 0x88);
        u[6 + k] = _mm512_shuffle_f64x2(t[4 + k], t[6 + k], 0xdd);
    }
    for (int k = 0; k < 2; k++) {
        r[k] = _mm512_shuffle_f64x2(u[k], u[4 + k], 0x88);
        r[4 + k] = _mm512_shuffle_f64x2(u[k], u[4 + k], 0xdd);
        r[2 + k] = _mm512_shuffle_f64x2(u[2 + k], u[6 + k], 0x88);
        r[6 + k] = _mm512_shuffle_f64x2(u[2 + k], u[6 + k], 0xdd);
    }
}

NNFT_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
NNFT_INLINE void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
NNFT_INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
NNFT_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
NNFT_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
NNFT_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
NNFT_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
NNFT_INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
NNFT_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
NNFT_INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
NNFT_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
NNFT_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
NNFT_INLINE vf vf_abs(vf a) { return _mm512_abs_ps(a); }
NNFT_INLINE vf vf_round(vf a) { return _mm512_roundscale_ps(a, 0x08); }
NNFT_INLINE vf vf_and(vf a, vf b) { return _mm512_and_ps(a, b); }
NNFT_INLINE vf vf_or(vf a, vf b) { return _mm512_or_ps(a, b); }
NNFT_INLINE vf vf_xor(vf a, vf b) { return _mm512_xor_ps(a, b); }
NNFT_INLINE mfm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
NNFT_INLINE mfm vf_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
NNFT_INLINE mfm vf_isnan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
NNFT_INLINE vf vf_select(mfm m, vf yes, vf no) { return _mm512_mask_blend_ps(m, no, yes); }
NNFT_INLINE vf vf_select_sign(vu sign, vf yes, vf no)
{
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(sign), no, yes);
}
NNFT_INLINE vf vf_from_bits(vu a) { return _mm512_castsi512_ps(a); }
NNFT_INLINE vu vf_bits(vf a) { return _mm512_castps_si512(a); }
/* unsigned 32-bit integers to float, rounded to nearest even */
NNFT_INLINE vf vf_from_u32(vu a) { return _mm512_cvtepu32_ps(a); }

NNFT_INLINE vu vu_load(const void *p) { return _mm512_loadu_si512(p); }
NNFT_INLINE void vu_store(void *p, vu a) { _mm512_storeu_si512(p, a); }
NNFT_INLINE vu vu_set64(uint64_t x) { return _mm512_set1_epi64((long long)x); }
NNFT_INLINE vu vu_set32(uint32_t x) { return _mm512_set1_epi32((int)x); }
NNFT_INLINE vu vu_and(vu a, vu b) { return _mm512_and_si512(a, b); }
NNFT_INLINE vu vu_or(vu a, vu b) { return _mm512_or_si512(a, b); }
NNFT_INLINE vu vu_xor(vu a, vu b) { return _mm512_xor_si512(a, b); }
NNFT_INLINE vu vu_xor3(vu a, vu b, vu c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
NNFT_INLINE vu vu_add64(vu a, vu b) { return _mm512_add_epi64(a, b); }
NNFT_INLINE vu vu_sub64(vu a, vu b) { return _mm512_sub_epi64(a, b); }
NNFT_INLINE vu vu_add32(vu a, vu b) { return _mm512_add_epi32(a, b); }
NNFT_INLINE vu vu_sub32(vu a, vu b) { return _mm512_sub_epi32(a, b); }
/* low 32 bits of each 64-bit lane, multiplied to 64 bits */
NNFT_INLINE vu vu_mul32(vu a, vu b) { return _mm512_mul_epu32(a, b); }
#define vu_shl64(a, n) _mm512_slli_epi64((a), (n))
#define vu_shr64(a, n) _mm512_srli_epi64((a), (n))
#define vu_shl32(a, n) _mm512_slli_epi32((a), (n))
#define vu_shr32(a, n) _mm512_srli_epi32((a), (n))
/* low halves of a in the even, low halves of b in the odd 32-bit lanes */
NNFT_INLINE vu vu_interleave_low32(vu a, vu b)
{
    return _mm512_mask_blend_epi32(0xAAAA, a, _mm512_slli_epi64(b, 32));
}
/* a 2^n for whole n, |n| < 2000, rounded once */
NNFT_INLINE vd vd_scale(vd a, vd n) { return _mm512_scalef_pd(a, n); }
/* rounding error of p = a b */
NNFT_INLINE vd vd_product_error(vd a, vd b, vd p) { return _mm512_fmsub_pd(a, b, p); }
NNFT_INLINE vf vf_scale(vf a, vf n) { return _mm512_scalef_ps(a, n); } /* |n| < 250 */
NNFT_INLINE vf vf_product_error(vf a, vf b, vf p) { return _mm512_fmsub_ps(a, b, p); }
NNFT_INLINE int vd_any(mdm m) { return m != 0; }
NNFT_INLINE int vf_any(mfm m) { return m != 0; }
NNFT_INLINE vd vd_from_vf_low(vf a) { return _mm512_cvtps_pd(_mm512_castps512_ps256(a)); }
NNFT_INLINE vd vd_from_vf_high(vf a) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)); }
NNFT_INLINE vf vf_from_vd(vd low, vd high)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE vf vf_lookup16(const float *table, vu index)
{
    return _mm512_permutexvar_ps(index, _mm512_loadu_ps(table));
}

/* lane i of the result is vd_sum(a[i]) */
NNFT_INLINE vd vd_sum8(const vd *a)
{
    vd r[4], s[2];
    for (int i = 0; i < 4; i++)
        r[i] = _mm512_add_pd(_mm512_unpacklo_pd(a[2 * i], a[2 * i + 1]), _mm512_unpackhi_pd(a[2 * i], a[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        s[i] = _mm512_add_pd(_mm512_shuffle_f64x2(r[2 * i], r[2 * i + 1], 0x88),
                             _mm512_shuffle_f64x2(r[2 * i], r[2 * i + 1], 0xDD));
    return _mm512_add_pd(_mm512_shuffle_f64x2(s[0], s[1], 0x88), _mm512_shuffle_f64x2(s[0], s[1], 0xDD));
}

NNFT_INLINE vu vu_and_or(vu a, vu b, vu c) { return _mm512_ternarylogic_epi64(a, b, c, 0xEA); }  /* (a & b) | c */
NNFT_INLINE vu vu_xor_and(vu a, vu b, vu c) { return _mm512_ternarylogic_epi64(a, b, c, 0x78); } /* a ^ (b & c) */
/* exponent of positive normal numbers given by their bits, as a number */
NNFT_INLINE vd vd_exponent(vu bits) { return _mm512_getexp_pd(_mm512_castsi512_pd(bits)); }
NNFT_INLINE vf vf_exponent(vu bits) { return _mm512_getexp_ps(_mm512_castsi512_ps(bits)); }
/* yes where bit 62 (30) of the lane is set */
NNFT_INLINE vd vd_select_bit62(vu bits, vd yes, vd no)
{
    return _mm512_mask_blend_pd(_mm512_test_epi64_mask(bits, _mm512_set1_epi64(1ll << 62)), no, yes);
}
NNFT_INLINE vf vf_select_bit30(vu bits, vf yes, vf no)
{
    return _mm512_mask_blend_ps(_mm512_test_epi32_mask(bits, _mm512_set1_epi32(1 << 30)), no, yes);
}
