/* Plain C: arrays of lanes, left to the compiler. See simd.h. */

typedef struct { double v[8]; } vd;
typedef struct { float v[16]; } vf;
typedef union { uint64_t q[8]; uint32_t w[16]; } vu;
typedef struct { uint64_t m[8]; } mdm;
typedef struct { uint32_t m[16]; } mfm;

#if defined(__FP_FAST_FMA) || defined(__aarch64__)
#define NNFT_FMA(a, b, c) __builtin_fma((a), (b), (c))
#define NNFT_FMAF(a, b, c) __builtin_fmaf((a), (b), (c))
#else /* two roundings: without a machine instruction a library call would cost a hundred cycles */
#define NNFT_FMA(a, b, c) ((a) * (b) + (c))
#define NNFT_FMAF(a, b, c) ((a) * (b) + (c))
#endif

#define NNFT_LANES_D(expression) \
    vd r; \
    for (int i = 0; i < 8; i++) r.v[i] = (expression); \
    return r
#define NNFT_LANES_F(expression) \
    vf r; \
    for (int i = 0; i < 16; i++) r.v[i] = (expression); \
    return r
#define NNFT_LANES_Q(expression) \
    vu r; \
    for (int i = 0; i < 8; i++) r.q[i] = (expression); \
    return r
#define NNFT_LANES_W(expression) \
    vu r; \
    for (int i = 0; i < 16; i++) r.w[i] = (expression); \
    return r

NNFT_INLINE uint64_t nnft_bits64(double x) { uint64_t u; memcpy(&u, &x, 8); return u; }
NNFT_INLINE double nnft_double(uint64_t u) { double x; memcpy(&x, &u, 8); return x; }
NNFT_INLINE uint32_t nnft_bits32(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
NNFT_INLINE float nnft_float(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }

NNFT_INLINE vd vd_load(const double *p) { vd r; memcpy(&r, p, sizeof r); return r; }
NNFT_INLINE void vd_store(double *p, vd a) { memcpy(p, &a, sizeof a); }
NNFT_INLINE vd vd_set(double x) { NNFT_LANES_D(x); }
NNFT_INLINE vd vd_add(vd a, vd b) { NNFT_LANES_D(a.v[i] + b.v[i]); }
NNFT_INLINE vd vd_sub(vd a, vd b) { NNFT_LANES_D(a.v[i] - b.v[i]); }
NNFT_INLINE vd vd_mul(vd a, vd b) { NNFT_LANES_D(a.v[i] * b.v[i]); }
NNFT_INLINE vd vd_div(vd a, vd b) { NNFT_LANES_D(a.v[i] / b.v[i]); }
NNFT_INLINE vd vd_sqrt(vd a) { NNFT_LANES_D(__builtin_sqrt(a.v[i])); }
NNFT_INLINE vd vd_fma(vd a, vd b, vd c) { NNFT_LANES_D(NNFT_FMA(a.v[i], b.v[i], c.v[i])); }
NNFT_INLINE vd vd_fnma(vd a, vd b, vd c) { NNFT_LANES_D(NNFT_FMA(-a.v[i], b.v[i], c.v[i])); }
NNFT_INLINE vd vd_min(vd a, vd b) { NNFT_LANES_D(a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
NNFT_INLINE vd vd_max(vd a, vd b) { NNFT_LANES_D(a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
NNFT_INLINE vd vd_abs(vd a) { NNFT_LANES_D(__builtin_fabs(a.v[i])); }
NNFT_INLINE vd vd_round(vd a) { NNFT_LANES_D(__builtin_rint(a.v[i])); }
NNFT_INLINE vd vd_and(vd a, vd b) { NNFT_LANES_D(nnft_double(nnft_bits64(a.v[i]) & nnft_bits64(b.v[i]))); }
NNFT_INLINE vd vd_or(vd a, vd b) { NNFT_LANES_D(nnft_double(nnft_bits64(a.v[i]) | nnft_bits64(b.v[i]))); }
NNFT_INLINE vd vd_xor(vd a, vd b) { NNFT_LANES_D(nnft_double(nnft_bits64(a.v[i]) ^ nnft_bits64(b.v[i]))); }
NNFT_INLINE mdm vd_lt(vd a, vd b) { mdm r; for (int i = 0; i < 8; i++) r.m[i] = -(uint64_t)(a.v[i] < b.v[i]); return r; }
NNFT_INLINE mdm vd_le(vd a, vd b) { mdm r; for (int i = 0; i < 8; i++) r.m[i] = -(uint64_t)(a.v[i] <= b.v[i]); return r; }
NNFT_INLINE mdm vd_isnan(vd a) { mdm r; for (int i = 0; i < 8; i++) r.m[i] = -(uint64_t)(a.v[i] != a.v[i]); return r; }
NNFT_INLINE vd vd_select(mdm m, vd yes, vd no) { NNFT_LANES_D(m.m[i] ? yes.v[i] : no.v[i]); }
/* by the sign bit of each lane */
NNFT_INLINE vd vd_select_sign(vu sign, vd yes, vd no) { NNFT_LANES_D(sign.q[i] >> 63 ? yes.v[i] : no.v[i]); }
NNFT_INLINE vd vd_from_bits(vu a) { vd r; memcpy(&r, &a, sizeof r); return r; }
NNFT_INLINE vu vd_bits(vd a) { vu r; memcpy(&r, &a, sizeof r); return r; }
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE vd vd_lookup16(const double *table, vu index) { NNFT_LANES_D(table[index.q[i] & 15]); }

NNFT_INLINE vf vf_load(const float *p) { vf r; memcpy(&r, p, sizeof r); return r; }
NNFT_INLINE void vf_store(float *p, vf a) { memcpy(p, &a, sizeof a); }
NNFT_INLINE vf vf_set(float x) { NNFT_LANES_F(x); }
NNFT_INLINE vf vf_add(vf a, vf b) { NNFT_LANES_F(a.v[i] + b.v[i]); }
NNFT_INLINE vf vf_sub(vf a, vf b) { NNFT_LANES_F(a.v[i] - b.v[i]); }
NNFT_INLINE vf vf_mul(vf a, vf b) { NNFT_LANES_F(a.v[i] * b.v[i]); }
NNFT_INLINE vf vf_div(vf a, vf b) { NNFT_LANES_F(a.v[i] / b.v[i]); }
NNFT_INLINE vf vf_sqrt(vf a) { NNFT_LANES_F(__builtin_sqrtf(a.v[i])); }
NNFT_INLINE vf vf_fma(vf a, vf b, vf c) { NNFT_LANES_F(NNFT_FMAF(a.v[i], b.v[i], c.v[i])); }
NNFT_INLINE vf vf_fnma(vf a, vf b, vf c) { NNFT_LANES_F(NNFT_FMAF(-a.v[i], b.v[i], c.v[i])); }
NNFT_INLINE vf vf_min(vf a, vf b) { NNFT_LANES_F(a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
NNFT_INLINE vf vf_max(vf a, vf b) { NNFT_LANES_F(a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
NNFT_INLINE vf vf_abs(vf a) { NNFT_LANES_F(__builtin_fabsf(a.v[i])); }
NNFT_INLINE vf vf_round(vf a) { NNFT_LANES_F(__builtin_rintf(a.v[i])); }
NNFT_INLINE vf vf_and(vf a, vf b) { NNFT_LANES_F(nnft_float(nnft_bits32(a.v[i]) & nnft_bits32(b.v[i]))); }
NNFT_INLINE vf vf_or(vf a, vf b) { NNFT_LANES_F(nnft_float(nnft_bits32(a.v[i]) | nnft_bits32(b.v[i]))); }
NNFT_INLINE vf vf_xor(vf a, vf b) { NNFT_LANES_F(nnft_float(nnft_bits32(a.v[i]) ^ nnft_bits32(b.v[i]))); }
NNFT_INLINE mfm vf_lt(vf a, vf b) { mfm r; for (int i = 0; i < 16; i++) r.m[i] = -(uint32_t)(a.v[i] < b.v[i]); return r; }
NNFT_INLINE mfm vf_le(vf a, vf b) { mfm r; for (int i = 0; i < 16; i++) r.m[i] = -(uint32_t)(a.v[i] <= b.v[i]); return r; }
NNFT_INLINE mfm vf_isnan(vf a) { mfm r; for (int i = 0; i < 16; i++) r.m[i] = -(uint32_t)(a.v[i] != a.v[i]); return r; }
NNFT_INLINE vf vf_select(mfm m, vf yes, vf no) { NNFT_LANES_F(m.m[i] ? yes.v[i] : no.v[i]); }
NNFT_INLINE vf vf_select_sign(vu sign, vf yes, vf no) { NNFT_LANES_F(sign.w[i] >> 31 ? yes.v[i] : no.v[i]); }
NNFT_INLINE vf vf_from_bits(vu a) { vf r; memcpy(&r, &a, sizeof r); return r; }
NNFT_INLINE vu vf_bits(vf a) { vu r; memcpy(&r, &a, sizeof r); return r; }
/* unsigned 32-bit integers to float, rounded to nearest even */
NNFT_INLINE vf vf_from_u32(vu a) { NNFT_LANES_F((float)a.w[i]); }

NNFT_INLINE vu vu_load(const void *p) { vu r; memcpy(&r, p, sizeof r); return r; }
NNFT_INLINE void vu_store(void *p, vu a) { memcpy(p, &a, sizeof a); }
NNFT_INLINE vu vu_set64(uint64_t x) { NNFT_LANES_Q(x); }
NNFT_INLINE vu vu_set32(uint32_t x) { NNFT_LANES_W(x); }
NNFT_INLINE vu vu_and(vu a, vu b) { NNFT_LANES_Q(a.q[i] & b.q[i]); }
NNFT_INLINE vu vu_or(vu a, vu b) { NNFT_LANES_Q(a.q[i] | b.q[i]); }
NNFT_INLINE vu vu_xor(vu a, vu b) { NNFT_LANES_Q(a.q[i] ^ b.q[i]); }
NNFT_INLINE vu vu_xor3(vu a, vu b, vu c) { NNFT_LANES_Q(a.q[i] ^ b.q[i] ^ c.q[i]); }
NNFT_INLINE vu vu_add64(vu a, vu b) { NNFT_LANES_Q(a.q[i] + b.q[i]); }
NNFT_INLINE vu vu_sub64(vu a, vu b) { NNFT_LANES_Q(a.q[i] - b.q[i]); }
NNFT_INLINE vu vu_add32(vu a, vu b) { NNFT_LANES_W(a.w[i] + b.w[i]); }
NNFT_INLINE vu vu_sub32(vu a, vu b) { NNFT_LANES_W(a.w[i] - b.w[i]); }
/* low 32 bits of each 64-bit lane, multiplied to 64 bits */
NNFT_INLINE vu vu_mul32(vu a, vu b) { NNFT_LANES_Q((a.q[i] & 0xFFFFFFFFu) * (b.q[i] & 0xFFFFFFFFu)); }
NNFT_INLINE vu vu_shl64(vu a, int n) { NNFT_LANES_Q(a.q[i] << n); }
NNFT_INLINE vu vu_shr64(vu a, int n) { NNFT_LANES_Q(a.q[i] >> n); }
NNFT_INLINE vu vu_shl32(vu a, int n) { NNFT_LANES_W(a.w[i] << n); }
NNFT_INLINE vu vu_shr32(vu a, int n) { NNFT_LANES_W(a.w[i] >> n); }
/* low halves of a in the even, low halves of b in the odd 32-bit lanes */
NNFT_INLINE vu vu_interleave_low32(vu a, vu b) { NNFT_LANES_Q((a.q[i] & 0xFFFFFFFFu) | (b.q[i] << 32)); }
/* a 2^n for whole n, |n| < 2000, rounded once: the first product is exact for a in [1/2, 2^1000] */
NNFT_INLINE vd nnft_power_of_two(vd n)
{
    vu shifted = vd_bits(vd_add(n, vd_set(0x1.8p52 + 1023.0)));
    return vd_from_bits(vu_shl64(shifted, 52));
}
NNFT_INLINE vd vd_scale(vd a, vd n)
{
    vd half = vd_round(vd_mul(n, vd_set(0.5)));
    return vd_mul(vd_mul(a, nnft_power_of_two(half)), nnft_power_of_two(vd_sub(n, half)));
}
/* rounding error of p = a b, |a|, |b| < 2^996 (Dekker's product where there is no fused multiply-add) */
NNFT_INLINE double nnft_product_error(double a, double b, double p)
{
#if defined(__FP_FAST_FMA) || defined(__aarch64__)
    return __builtin_fma(a, b, -p);
#else
    double s = a * 0x1.0000002p27, t = b * 0x1.0000002p27;
    double a1 = s - (s - a), b1 = t - (t - b), a2 = a - a1, b2 = b - b1;
    return a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2);
#endif
}
NNFT_INLINE vd vd_product_error(vd a, vd b, vd p) { NNFT_LANES_D(nnft_product_error(a.v[i], b.v[i], p.v[i])); }
NNFT_INLINE vf nnft_power_of_two_f(vf n)
{
    vu shifted = vf_bits(vf_add(n, vf_set(0x1.8p23f + 127.0f)));
    return vf_from_bits(vu_shl32(shifted, 23));
}
NNFT_INLINE vf vf_scale(vf a, vf n) /* |n| < 250 */
{
    vf half = vf_round(vf_mul(n, vf_set(0.5f)));
    return vf_mul(vf_mul(a, nnft_power_of_two_f(half)), nnft_power_of_two_f(vf_sub(n, half)));
}
NNFT_INLINE vf vf_product_error(vf a, vf b, vf p)
{
    NNFT_LANES_F((float)((double)a.v[i] * (double)b.v[i] - (double)p.v[i]));
}
NNFT_INLINE int vd_any(mdm m)
{
    uint64_t any = 0;
    for (int i = 0; i < 8; i++) any |= m.m[i];
    return any != 0;
}
NNFT_INLINE int vf_any(mfm m)
{
    uint32_t any = 0;
    for (int i = 0; i < 16; i++) any |= m.m[i];
    return any != 0;
}
NNFT_INLINE vd vd_from_vf_low(vf a) { NNFT_LANES_D((double)a.v[i]); }
NNFT_INLINE vd vd_from_vf_high(vf a) { NNFT_LANES_D((double)a.v[i + 8]); }
NNFT_INLINE vf vf_from_vd(vd low, vd high) { NNFT_LANES_F((float)(i < 8 ? low.v[i & 7] : high.v[i & 7])); }
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE vf vf_lookup16(const float *table, vu index) { NNFT_LANES_F(table[index.w[i] & 15]); }

/* lane i of the result is vd_sum(a[i]) */
NNFT_INLINE vd vd_sum8(const vd *a)
{
    NNFT_LANES_D(((a[i].v[0] + a[i].v[1]) + (a[i].v[2] + a[i].v[3])) +
                 ((a[i].v[4] + a[i].v[5]) + (a[i].v[6] + a[i].v[7])));
}
