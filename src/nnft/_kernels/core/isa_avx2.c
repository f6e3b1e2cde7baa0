/* The core for AVX2 with FMA. Compiled on x86-64 whatever the flags; empty elsewhere. */
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define NNFT_AVX2
#define NNFT_NAME "avx2"
#define NNFT_CORE_TABLE nnft_table_avx2
#include "isa_body.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int nnft_no_avx2; /* a translation unit may not be empty */
#endif
