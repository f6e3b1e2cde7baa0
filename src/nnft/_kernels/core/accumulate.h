/* Sums over networks of products of products: the streaming half of every estimator.
 *
 * lanes: slots of NNFT_LANES networks side by side, lanes[slot * NNFT_LANES + network].
 * A stage is a row (components, terms, out slot, sum offset, index offset). Its component k is
 *   v = sum_(t < terms) lanes[left(k,t)] * lanes[right(k,t)],  slots left, right interleaved in index
 * at index offset + 2*(k*terms + t). v goes to slot out+k unless out < 0, and its sum over the lanes is
 * added to sums[offset + k] unless offset < 0. Stages run in order; later ones read earlier slots. */
#ifndef NNFT_ACCUMULATE_H
#define NNFT_ACCUMULATE_H

#include "api.h"
#include "simd.h"

NNFT_INLINE void nnft_component(int64_t terms, const int32_t *index, const double *lanes, vd *first, vd *second)
{
    vd a = vd_set(0.0), b = a;
    for (int64_t t = 0; t < terms; t++) {
        const double *l = lanes + (int64_t)index[2 * t] * NNFT_LANES;
        const double *r = lanes + (int64_t)index[2 * t + 1] * NNFT_LANES;
        a = vd_fma(vd_load(l), vd_load(r), a);
        b = vd_fma(vd_load(l + 8), vd_load(r + 8), b);
    }
    *first = a;
    *second = b;
}

/* components k0..k0+count-1, count <= 8, of one stage */
NNFT_INLINE void nnft_eight_components(int64_t count, int64_t terms, const int32_t *index, double *lanes,
                                       double *out, double *sums)
{
    vd total[8];
    for (int64_t k = 0; k < count; k++) {
        vd a, b;
        nnft_component(terms, index + 2 * k * terms, lanes, &a, &b);
        if (out) {
            vd_store(out + k * NNFT_LANES, a);
            vd_store(out + k * NNFT_LANES + 8, b);
        }
        total[k] = vd_add(a, b);
    }
    if (!sums) return;
    if (count == 8) {
        vd_store(sums, vd_add(vd_load(sums), vd_sum8(total)));
        return;
    }
    for (int64_t k = 0; k < count; k++) sums[k] += vd_sum(total[k]);
}

static void nnft_stage(int64_t components, int64_t terms, const int32_t *index, double *lanes, double *out,
                       double *sums)
{
    int64_t k = 0;
#define NNFT_STAGE_LOOP(n) \
    for (; k + 8 <= components; k += 8) \
        nnft_eight_components(8, (n), index + 2 * k * (n), lanes, out ? out + k * NNFT_LANES : out, \
                              sums ? sums + k : sums)
    if (terms == 1) NNFT_STAGE_LOOP(1);
    else if (terms == 3) NNFT_STAGE_LOOP(3);
    else if (terms == 5) NNFT_STAGE_LOOP(5);
    else NNFT_STAGE_LOOP(terms);
#undef NNFT_STAGE_LOOP
    if (k < components)
        nnft_eight_components(components - k, terms, index + 2 * k * terms, lanes,
                              out ? out + k * NNFT_LANES : out, sums ? sums + k : sums);
}

static void nnft_accumulate(const int64_t *stages, int64_t count, const int32_t *index, double *lanes, double *sums)
{
    for (int64_t s = 0; s < count; s++) {
        const int64_t *row = stages + 5 * s;
        nnft_stage(row[0], row[1], index + row[4], lanes, row[2] < 0 ? NULL : lanes + row[2] * NNFT_LANES,
                   row[3] < 0 ? NULL : sums + row[3]);
    }
}

#endif
