/* Sums over networks of products of products: the streaming half of every estimator.
 *
 * lanes: slots of NNFT_LANES networks side by side, lanes[slot * NNFT_LANES + network].
 * A stage is a row (components, terms, out slot, sum offset, index offset, runs). Its components come
 * in runs, records of 1 + 2*terms integers: length, then left_t and right_t. Component i of a run is
 *   v = sum_(t < terms) lanes[left_t + i] * lanes[right_t].
 * The k-th component of the stage goes to slot out+k unless out < 0, and its sum over the lanes is added
 * to sums[offset + k] unless offset < 0. Stages run in order; later ones read earlier slots.
 * The right operands of a run stay in registers; the left ones are consecutive memory. */
#ifndef NNFT_ACCUMULATE_H
#define NNFT_ACCUMULATE_H

#include "api.h"
#include "simd.h"

#define NNFT_STAGE_COLUMNS 6
#define NNFT_MOST_TERMS 7 /* partners of one field in a product of eight */

/* values of components on their way into the sums, eight at a time */
typedef struct {
    vd total[8];
    int64_t waiting;
    double *sums; /* of the first one that waits; NULL to add up nothing */
} nnft_pending;

NNFT_INLINE void nnft_flush_eight(nnft_pending *p)
{
    vd_store(p->sums, vd_add(vd_load(p->sums), vd_sum8(p->total)));
    p->sums += 8;
    p->waiting = 0;
}

NNFT_INLINE void nnft_flush_rest(nnft_pending *p)
{
    for (int64_t k = 0; k < p->waiting; k++) p->sums[k] += vd_sum(p->total[k]);
}

NNFT_INLINE void nnft_run(int terms, const int32_t *record, const double *lanes, double *out, nnft_pending *p)
{
    vd right[NNFT_MOST_TERMS][2];
    const double *left[NNFT_MOST_TERMS];
#pragma GCC unroll 7
    for (int t = 0; t < terms; t++) {
        const double *r = lanes + (int64_t)record[2 + 2 * t] * NNFT_LANES;
        right[t][0] = vd_load(r);
        right[t][1] = vd_load(r + 8);
        left[t] = lanes + (int64_t)record[1 + 2 * t] * NNFT_LANES;
    }
    for (int64_t i = 0; i < record[0]; i++) {
        vd a = vd_set(0.0), b = a;
#pragma GCC unroll 7
        for (int t = 0; t < terms; t++) {
            a = vd_fma(vd_load(left[t] + i * NNFT_LANES), right[t][0], a);
            b = vd_fma(vd_load(left[t] + i * NNFT_LANES + 8), right[t][1], b);
        }
        if (out) {
            vd_store(out + i * NNFT_LANES, a);
            vd_store(out + i * NNFT_LANES + 8, b);
        }
        if (p->sums) {
            p->total[p->waiting++] = vd_add(a, b);
            if (p->waiting == 8) nnft_flush_eight(p);
        }
    }
}

NNFT_INLINE void nnft_stage(int terms, int64_t runs, const int32_t *record, const double *lanes, double *out,
                            double *sums)
{
    nnft_pending pending = { .waiting = 0, .sums = sums };
    for (int64_t r = 0; r < runs; r++) {
        nnft_run(terms, record, lanes, out, &pending);
        if (out) out += (int64_t)record[0] * NNFT_LANES;
        record += 1 + 2 * terms;
    }
    if (sums) nnft_flush_rest(&pending);
}

static void nnft_accumulate(const int64_t *stages, int64_t count, const int32_t *index, double *lanes, double *sums)
{
    for (int64_t s = 0; s < count; s++) {
        const int64_t *row = stages + NNFT_STAGE_COLUMNS * s;
        const int32_t *records = index + row[4];
        double *out = row[2] < 0 ? NULL : lanes + row[2] * NNFT_LANES;
        double *place = row[3] < 0 ? NULL : sums + row[3];
        switch (row[1]) { /* terms: fixed counts keep the operands in registers */
        case 1: nnft_stage(1, row[5], records, lanes, out, place); break;
        case 2: nnft_stage(2, row[5], records, lanes, out, place); break;
        case 3: nnft_stage(3, row[5], records, lanes, out, place); break;
        case 4: nnft_stage(4, row[5], records, lanes, out, place); break;
        case 5: nnft_stage(5, row[5], records, lanes, out, place); break;
        case 6: nnft_stage(6, row[5], records, lanes, out, place); break;
        default: nnft_stage(7, row[5], records, lanes, out, place); break;
        }
    }
}

#endif
