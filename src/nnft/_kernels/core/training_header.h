/* A network to be trained, read from its flat header (api.h). */
#ifndef NNFT_TRAINING_HEADER_H
#define NNFT_TRAINING_HEADER_H

#include "activation_kinds.h"
#include "api.h"

#define NNFT_MOST_LAYERS 64

typedef struct {
    int64_t rows, fan_in, columns, stride, offset, trainable;
} nnft_training_layer;

typedef struct {
    int64_t layers, points, padded, outputs, kind, first, observed;
    nnft_training_layer layer[NNFT_MOST_LAYERS];
} nnft_training;

static inline void nnft_read_training(const int64_t *header, nnft_training *t)
{
    t->layers = header[NNFT_T_LAYERS];
    t->points = header[NNFT_T_POINTS];
    t->padded = header[NNFT_T_PADDED];
    t->kind = header[NNFT_T_KIND];
    t->observed = header[NNFT_T_OBSERVED];
    t->first = t->layers - 1;
    for (int64_t l = t->layers - 1; l >= 0; l--) {
        const int64_t *h = header + NNFT_T_LAYER + NNFT_T_NUMBERS * l;
        t->layer[l] = (nnft_training_layer){ h[0], h[1], h[2], h[3], h[4], h[5] };
        if (t->layer[l].trainable) t->first = l;
    }
    t->outputs = header[NNFT_T_LAYER + NNFT_T_NUMBERS * (t->layers - 1)];
}

/* doubles of a row of points in the work array: no power of two, whose lines would share a few places of a cache */
static inline int64_t nnft_point_row(int64_t stride) { return stride % 64 ? stride : stride + 8; }

/* whether the slope of an activation is told from its value; it is kept otherwise */
static inline int nnft_slope_from_value(int64_t kind)
{
    return kind == NNFT_LINEAR || kind == NNFT_RELU || kind == NNFT_TANH || kind == NNFT_SIGMOID || kind == NNFT_EXP;
}

/* doubles of the work array for each point of a block, and the widest row of points */
static inline int64_t nnft_training_point_size(const nnft_training *t)
{
    int64_t widest = t->outputs, stride = 0, size = 0;
    for (int64_t l = 0; l < t->layers; l++) {
        const nnft_training_layer *a = &t->layer[l];
        if (a->stride > stride) stride = a->stride;
        widest = a->rows > widest ? a->rows : widest;
        if (l + 1 < t->layers) size += (2 - nnft_slope_from_value(t->kind)) * a->rows + 1;
    }
    return size + 2 * widest + nnft_point_row(stride);
}

/* most points of a block of a gradient: of at most 4608 doubles, but at least 32 */
static inline int64_t nnft_training_block(const nnft_training *t)
{
    int64_t most = 4608 / nnft_training_point_size(t) / 8 * 8;
    most = most < 32 ? 32 : most;
    return most < t->padded ? most : t->padded;
}

#endif
