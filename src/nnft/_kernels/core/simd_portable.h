/* Plain C on the compiler's own vectors, which it maps to whatever the machine has. See simd.h. */

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors are only passed to inlined functions */
#endif

typedef double vd __attribute__((vector_size(64), aligned(8)));
typedef float vf __attribute__((vector_size(64), aligned(4)));
typedef uint64_t vu __attribute__((vector_size(64), aligned(8)));
typedef uint32_t vu32 __attribute__((vector_size(64), aligned(4)));
typedef int64_t mdm __attribute__((vector_size(64), aligned(8))); /* all bits of a lane set or clear */
typedef int32_t mfm __attribute__((vector_size(64), aligned(4)));

#if defined(__FP_FAST_FMA) || defined(__aarch64__)
#define NNFT_FMA(a, b, c) __builtin_fma((a), (b), (c))
#define NNFT_FMAF(a, b, c) __builtin_fmaf((a), (b), (c))
#endif

#define NNFT_LANES_D(expression) \
    vd r; \
    for (int i = 0; i < 8; i++) r[i] = (expression); \
    return r
#define NNFT_LANES_F(expression) \
    vf r; \
    for (int i = 0; i < 16; i++) r[i] = (expression); \
    return r

NNFT_INLINE vd vd_load(const double *p) { vd r; memcpy(&r, p, sizeof r); return r; }
NNFT_INLINE void vd_store(double *p, vd a) { memcpy(p, &a, sizeof a); }
NNFT_INLINE vd vd_set(double x) { return (vd){ x, x, x, x, x, x, x, x }; }
NNFT_INLINE vd vd_add(vd a, vd b) { return a + b; }
NNFT_INLINE vd vd_sub(vd a, vd b) { return a - b; }
NNFT_INLINE vd vd_mul(vd a, vd b) { return a * b; }
NNFT_INLINE vd vd_div(vd a, vd b) { return a / b; }
NNFT_INLINE vd vd_sqrt(vd a) { NNFT_LANES_D(__builtin_sqrt(a[i])); }
#if defined(NNFT_FMA)
NNFT_INLINE vd vd_fma(vd a, vd b, vd c) { NNFT_LANES_D(NNFT_FMA(a[i], b[i], c[i])); }
NNFT_INLINE vd vd_fnma(vd a, vd b, vd c) { NNFT_LANES_D(NNFT_FMA(-a[i], b[i], c[i])); }
#else /* two roundings: without a machine instruction a library call would cost a hundred cycles */
NNFT_INLINE vd vd_fma(vd a, vd b, vd c) { return a * b + c; }
NNFT_INLINE vd vd_fnma(vd a, vd b, vd c) { return c - a * b; }
#endif
NNFT_INLINE vd vd_from_bits(vu a) { return (vd)a; }
NNFT_INLINE vu vd_bits(vd a) { return (vu)a; }
NNFT_INLINE vd vd_select(mdm m, vd yes, vd no) { return (vd)(((vu)m & (vu)yes) | (~(vu)m & (vu)no)); }
NNFT_INLINE mdm vd_lt(vd a, vd b) { return (mdm)(a < b); }
NNFT_INLINE mdm vd_le(vd a, vd b) { return (mdm)(a <= b); }
NNFT_INLINE mdm vd_isnan(vd a) { return (mdm)(a != a); }
NNFT_INLINE vd vd_min(vd a, vd b) { return vd_select(vd_lt(a, b), a, b); }
NNFT_INLINE vd vd_max(vd a, vd b) { return vd_select(vd_lt(b, a), a, b); }
NNFT_INLINE vd vd_abs(vd a) { return (vd)((vu)a & 0x7FFFFFFFFFFFFFFFu); }
NNFT_INLINE vd vd_round(vd a) { NNFT_LANES_D(__builtin_rint(a[i])); }
NNFT_INLINE vd vd_and(vd a, vd b) { return (vd)((vu)a & (vu)b); }
NNFT_INLINE vd vd_or(vd a, vd b) { return (vd)((vu)a | (vu)b); }
NNFT_INLINE vd vd_xor(vd a, vd b) { return (vd)((vu)a ^ (vu)b); }
/* by the sign bit of each lane */
NNFT_INLINE vd vd_select_sign(vu sign, vd yes, vd no) { return vd_select((mdm)sign >> 63, yes, no); }
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE vd vd_lookup16(const double *table, vu index) { NNFT_LANES_D(table[index[i] & 15]); }

NNFT_INLINE vf vf_load(const float *p) { vf r; memcpy(&r, p, sizeof r); return r; }
NNFT_INLINE void vf_store(float *p, vf a) { memcpy(p, &a, sizeof a); }
NNFT_INLINE vf vf_set(float x) { return (vf){ x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x }; }
NNFT_INLINE vf vf_add(vf a, vf b) { return a + b; }
NNFT_INLINE vf vf_sub(vf a, vf b) { return a - b; }
NNFT_INLINE vf vf_mul(vf a, vf b) { return a * b; }
NNFT_INLINE vf vf_div(vf a, vf b) { return a / b; }
NNFT_INLINE vf vf_sqrt(vf a) { NNFT_LANES_F(__builtin_sqrtf(a[i])); }
#if defined(NNFT_FMA)
NNFT_INLINE vf vf_fma(vf a, vf b, vf c) { NNFT_LANES_F(NNFT_FMAF(a[i], b[i], c[i])); }
NNFT_INLINE vf vf_fnma(vf a, vf b, vf c) { NNFT_LANES_F(NNFT_FMAF(-a[i], b[i], c[i])); }
#else
NNFT_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
NNFT_INLINE vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
#endif
NNFT_INLINE vf vf_from_bits(vu a) { return (vf)a; }
NNFT_INLINE vu vf_bits(vf a) { return (vu)a; }
NNFT_INLINE vf vf_select(mfm m, vf yes, vf no) { return (vf)(((vu)m & (vu)yes) | (~(vu)m & (vu)no)); }
NNFT_INLINE mfm vf_lt(vf a, vf b) { return (mfm)(a < b); }
NNFT_INLINE mfm vf_le(vf a, vf b) { return (mfm)(a <= b); }
NNFT_INLINE mfm vf_isnan(vf a) { return (mfm)(a != a); }
NNFT_INLINE vf vf_min(vf a, vf b) { return vf_select(vf_lt(a, b), a, b); }
NNFT_INLINE vf vf_max(vf a, vf b) { return vf_select(vf_lt(b, a), a, b); }
NNFT_INLINE vf vf_abs(vf a) { return (vf)((vu32)a & 0x7FFFFFFFu); }
NNFT_INLINE vf vf_round(vf a) { NNFT_LANES_F(__builtin_rintf(a[i])); }
NNFT_INLINE vf vf_and(vf a, vf b) { return (vf)((vu)a & (vu)b); }
NNFT_INLINE vf vf_or(vf a, vf b) { return (vf)((vu)a | (vu)b); }
NNFT_INLINE vf vf_xor(vf a, vf b) { return (vf)((vu)a ^ (vu)b); }
NNFT_INLINE vf vf_select_sign(vu sign, vf yes, vf no) { return vf_select((mfm)sign >> 31, yes, no); }
/* unsigned 32-bit integers to float, rounded to nearest even */
NNFT_INLINE vf vf_from_u32(vu a) { vu32 w = (vu32)a; NNFT_LANES_F((float)w[i]); }

NNFT_INLINE vu vu_load(const void *p) { vu r; memcpy(&r, p, sizeof r); return r; }
NNFT_INLINE void vu_store(void *p, vu a) { memcpy(p, &a, sizeof a); }
NNFT_INLINE vu vu_set64(uint64_t x) { return (vu){ x, x, x, x, x, x, x, x }; }
NNFT_INLINE vu vu_set32(uint32_t x) { return vu_set64((uint64_t)x << 32 | x); }
NNFT_INLINE vu vu_and(vu a, vu b) { return a & b; }
NNFT_INLINE vu vu_or(vu a, vu b) { return a | b; }
NNFT_INLINE vu vu_xor(vu a, vu b) { return a ^ b; }
NNFT_INLINE vu vu_xor3(vu a, vu b, vu c) { return a ^ b ^ c; }
NNFT_INLINE vu vu_add64(vu a, vu b) { return a + b; }
NNFT_INLINE vu vu_sub64(vu a, vu b) { return a - b; }
NNFT_INLINE vu vu_add32(vu a, vu b) { return (vu)((vu32)a + (vu32)b); }
NNFT_INLINE vu vu_sub32(vu a, vu b) { return (vu)((vu32)a - (vu32)b); }
/* low 32 bits of each 64-bit lane, multiplied to 64 bits */
NNFT_INLINE vu vu_mul32(vu a, vu b) { return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu); }
NNFT_INLINE vu vu_shl64(vu a, int n) { return a << n; }
NNFT_INLINE vu vu_shr64(vu a, int n) { return a >> n; }
NNFT_INLINE vu vu_shl32(vu a, int n) { return (vu)((vu32)a << n); }
NNFT_INLINE vu vu_shr32(vu a, int n) { return (vu)((vu32)a >> n); }
/* low halves of a in the even, low halves of b in the odd 32-bit lanes */
NNFT_INLINE vu vu_interleave_low32(vu a, vu b) { return (a & 0xFFFFFFFFu) | (b << 32); }

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
NNFT_INLINE vd vd_product_error(vd a, vd b, vd p) { NNFT_LANES_D(nnft_product_error(a[i], b[i], p[i])); }
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
    NNFT_LANES_F((float)((double)a[i] * (double)b[i] - (double)p[i]));
}
NNFT_INLINE int vd_any(mdm m)
{
    uint64_t any = 0;
    for (int i = 0; i < 8; i++) any |= (uint64_t)m[i];
    return any != 0;
}
NNFT_INLINE int vf_any(mfm m)
{
    uint32_t any = 0;
    for (int i = 0; i < 16; i++) any |= (uint32_t)m[i];
    return any != 0;
}
NNFT_INLINE vd vd_from_vf_low(vf a) { NNFT_LANES_D((double)a[i]); }
NNFT_INLINE vd vd_from_vf_high(vf a) { NNFT_LANES_D((double)a[i + 8]); }
NNFT_INLINE vf vf_from_vd(vd low, vd high) { NNFT_LANES_F((float)(i < 8 ? low[i & 7] : high[i & 7])); }
/* table[i] for i = index lanes 0..15 (index taken modulo 16) */
NNFT_INLINE vf vf_lookup16(const float *table, vu index) { vu32 w = (vu32)index; NNFT_LANES_F(table[w[i] & 15]); }

NNFT_INLINE double vd_first(vd a) { return a[0]; }
/* lane k in all lanes */
NNFT_INLINE vd vd_lane(vd a, int k) { NNFT_LANES_D(a[k]); }

/* lane i of the result is vd_sum(a[i]) */
NNFT_INLINE vd vd_sum8(const vd *a)
{
    NNFT_LANES_D(((a[i][0] + a[i][1]) + (a[i][2] + a[i][3])) + ((a[i][4] + a[i][5]) + (a[i][6] + a[i][7])));
}
