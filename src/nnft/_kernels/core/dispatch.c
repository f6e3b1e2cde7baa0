/* Choice of the instruction set at run time. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "network.h"
#include "training_header.h"

extern const nnft_core_table nnft_table_portable;
#if defined(__x86_64__)
extern const nnft_core_table nnft_table_avx2, nnft_table_avx512;
#endif

const nnft_core_table *nnft_core(int isa)
{
    if (isa == NNFT_ISA_PORTABLE) return &nnft_table_portable;
#if defined(__x86_64__)
    if (isa == NNFT_ISA_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &nnft_table_avx2;
    if (isa == NNFT_ISA_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return &nnft_table_avx512;
#endif
    return NULL;
}

int nnft_best_isa(void)
{
    const char *wish = getenv("NNFT_SIMD");
    for (int isa = NNFT_ISA_COUNT - 1; isa > NNFT_ISA_PORTABLE; isa--) {
        const nnft_core_table *table = nnft_core(isa);
        if (table && (!wish || !*wish || !strcmp(wish, table->name))) return isa;
    }
    return NNFT_ISA_PORTABLE;
}

int64_t nnft_work_size(const int64_t *header)
{
    const int64_t P = header[NNFT_H_POINTS], D = header[NNFT_H_OUTPUTS], Q = P * (P + 1) / 2;
    nnft_network n = { .layers = header[NNFT_H_LAYERS], .dimension = header[NNFT_H_DIMENSION], .outputs = D,
                       .widths = header + NNFT_H_WIDTHS };
    const int64_t row = nnft_explicit_row(&n);
    int64_t tile = P * 16 * 8 > 2048 + 4 * 8 * P ? P * 16 * 8 : 2048 + 4 * 8 * P;
    tile = tile > D * P ? tile : D * P;
    int64_t collapsed = 2 * nnft_padded(P * P) + nnft_padded(Q) + nnft_padded(Q * 8) + nnft_padded(tile) + 128;
    int64_t explicit_ = nnft_padded(Q) + nnft_padded(Q * 8) + 4 * row + 2 * P * row + 128;
    return collapsed > explicit_ ? collapsed : explicit_;
}

int64_t nnft_training_work_size(const int64_t *header)
{
    nnft_training t;
    nnft_read_training(header, &t);
    return t.padded * nnft_training_point_size(&t) + 2 * t.points * t.padded;
}
