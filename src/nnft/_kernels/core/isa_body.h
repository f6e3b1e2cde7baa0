/* One instruction set's version of the whole core. The including file defines which, and
 * NNFT_CORE_TABLE, the name of its table. */
#include "api.h"

#include "accumulate.h"
#include "activations.h"
#include "cholesky.h"
#include "network.h"
#include "normals.h"
#include "training_header.h"

#include "real_double.h"
#include "dots.h"
#include "collapsed.h"
#include "explicit.h"
#include "waves.h"
#include "product.h"
#include "training.h"
#include "slopes.h"
#include "real_undo.h"

#include "real_float.h"
#include "dots.h"
#include "collapsed.h"
#include "explicit.h"
#include "real_undo.h"

static void words(uint64_t key, uint64_t network, uint32_t tag, uint64_t group, uint32_t *out)
{
    const nnft_stream s = { key, network, tag };
    nnft_round_keys keys;
    nnft_make_round_keys(key, &keys);
    nnft_words all[NNFT_WAYS], w;
    vu block[NNFT_WAYS];
    for (int k = 0; k < NNFT_WAYS; k++) block[k] = nnft_block_lanes((uint32_t)(group * 8), 1);
    nnft_philox(&s, &keys, group * 8 >> 32, block, all);
    w = all[0];
    uint64_t lanes[4][8];
    vu_store(lanes[0], w.w0);
    vu_store(lanes[1], w.w1);
    vu_store(lanes[2], w.w2);
    vu_store(lanes[3], w.w3);
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 8; i++) out[8 * j + i] = (uint32_t)lanes[j][i];
}

static void normals_d(uint64_t key, uint64_t network, uint32_t tag, uint64_t group, int64_t groups, double *out)
{
    const nnft_stream s = { key, network, tag };
    nnft_normals_d(&s, group, groups, out);
}

static void normals_f(uint64_t key, uint64_t network, uint32_t tag, uint64_t group, int64_t groups, float *out)
{
    const nnft_stream s = { key, network, tag };
    nnft_normals_f(&s, group, groups, out);
}

const nnft_core_table NNFT_CORE_TABLE = {
    .name = NNFT_NAME,
    .words = words,
    .normals_d = normals_d,
    .normals_f = normals_f,
    .activate_d = nnft_activate_d,
    .activate_f = nnft_activate_f,
    .derivative_d = nnft_activate_derivative_d,
    .derivative_f = nnft_activate_derivative_f,
    .collapsed_d = nnft_collapsed_d,
    .collapsed_f = nnft_collapsed_f,
    .explicit_d = nnft_explicit_d,
    .explicit_f = nnft_explicit_f,
    .waves_d = nnft_waves_d,
    .draw_waves_d = nnft_draw_waves,
    .accumulate = nnft_accumulate,
    .factor = nnft_factor,
    .gradient_d = nnft_gradient_d,
    .squared_slopes_d = nnft_squared_slopes_d,
    .slopes_d = nnft_slopes_d,
    .readout_moves_d = nnft_readout_moves_d,
    .outputs_d = nnft_outputs_d,
    .kernels_d = nnft_kernels_d,
    .features_d = nnft_features_d,
    .noisy_step_d = nnft_noisy_step_d,
    .residual_steps_d = nnft_residual_steps_d,
    .dot_d = nnft_dot_d,
    .weighted_square_d = nnft_weighted_square_d,
};
