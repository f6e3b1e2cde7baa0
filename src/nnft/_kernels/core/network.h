/* A network read from its flat description (api.h), and what both samplers do with it. */
#ifndef NNFT_NETWORK_H
#define NNFT_NETWORK_H

#include "api.h"
#include "simd.h"

#define NNFT_PAD 64 /* widths are padded to whole vectors and whole groups of normals */

typedef struct {
    int64_t layers, points, pairs, outputs, kind, dimension;
    uint64_t key;
    const int64_t *widths;         /* n_1 .. n_(L-1) */
    const double *parameters;      /* of the activation */
    const double *weight_variance; /* C_W of layers 1 .. L */
    const double *bias_variance;   /* C_b of layers 1 .. L */
    const double *first_kernel;    /* packed */
    const double *first_factor;    /* P x P */
    const double *inputs;          /* d x P */
} nnft_network;

static inline nnft_network nnft_read_network(const int64_t *header, const double *reals)
{
    nnft_network n;
    n.layers = header[NNFT_H_LAYERS];
    n.points = header[NNFT_H_POINTS];
    n.pairs = n.points * (n.points + 1) / 2;
    n.outputs = header[NNFT_H_OUTPUTS];
    n.kind = header[NNFT_H_KIND];
    n.dimension = header[NNFT_H_DIMENSION];
    n.key = (uint64_t)header[NNFT_H_KEY];
    n.widths = header + NNFT_H_WIDTHS;
    n.parameters = reals;
    n.weight_variance = reals + 4;
    n.bias_variance = n.weight_variance + n.layers;
    n.first_kernel = n.bias_variance + n.layers;
    n.first_factor = n.first_kernel + n.pairs;
    n.inputs = n.first_factor + n.points * n.points;
    return n;
}

static inline int64_t nnft_padded(int64_t count) { return (count + NNFT_PAD - 1) / NNFT_PAD * NNFT_PAD; }

/* length of a padded row that holds any layer of the network */
static inline int64_t nnft_explicit_row(const nnft_network *n)
{
    int64_t most = n->dimension > n->outputs ? n->dimension : n->outputs;
    for (int64_t l = 1; l < n->layers; l++) most = n->widths[l - 1] > most ? n->widths[l - 1] : most;
    return nnft_padded(most);
}

static inline uint32_t nnft_tag(int purpose, int64_t layer) { return (uint32_t)purpose << 12 | (uint32_t)layer; }

/* C_b + (C_W/n) * (sum over neurons): packed sums in, packed kernel out; NNFT_NOT_FINITE if so */
static inline int64_t nnft_finish_kernel(const nnft_network *n, int64_t layer, const double *sums, double *kernel)
{
    double scale = n->weight_variance[layer - 1] / (double)n->widths[layer - 2];
    double shift = n->bias_variance[layer - 1], check = 0.0;
    for (int64_t q = 0; q < n->pairs; q++) {
        kernel[q] = shift + scale * sums[q];
        check += kernel[q] - kernel[q]; /* 0 for a finite number, NaN for any other */
    }
    return check == 0.0 ? NNFT_OK : NNFT_NOT_FINITE | layer << 8;
}

/* full upper factor of a packed kernel */
static inline void nnft_unpack(int64_t points, const double *packed, double *matrix)
{
    for (int64_t a = 0; a < points; a++)
        for (int64_t b = a; b < points; b++) matrix[a * points + b] = *packed++;
}

#endif
