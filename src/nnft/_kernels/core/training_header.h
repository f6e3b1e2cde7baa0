/* A network to be trained, read from its flat header (api.h). */
#ifndef NNFT_TRAINING_HEADER_H
#define NNFT_TRAINING_HEADER_H

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

#endif
