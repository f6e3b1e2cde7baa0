/* The core for AVX-512 (F, DQ, BW, VL). Compiled on x86-64 whatever the flags; empty elsewhere. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,fma,prefer-vector-width=512")
#endif
#define NNFT_AVX512
#define NNFT_NAME "avx512"
#define NNFT_CORE_TABLE nnft_table_avx512
#include "isa_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int nnft_no_avx512; /* a translation unit may not be empty */
#endif
