/* The C core's public face: plain C, no Python. Every function exists once for each instruction
 * set; nnft_core(isa) returns the table of one of them. The caller allocates everything. */
#ifndef NNFT_API_H
#define NNFT_API_H

#include <stdint.h>

#define NNFT_ABI "v1"
#define NNFT_LANES 16 /* networks side by side in nnft_accumulate */

/* Status: the low byte says what happened, the bits above in which layer (1..L). */
enum { NNFT_OK = 0, NNFT_NOT_FINITE = 1 };

enum { NNFT_ISA_PORTABLE = 0, NNFT_ISA_AVX2 = 1, NNFT_ISA_AVX512 = 2, NNFT_ISA_COUNT = 3 };

/* Purposes of random streams (tag = purpose << 12 | layer). */
enum { NNFT_WEIGHTS = 1, NNFT_BIASES = 2, NNFT_COLLAPSED = 3, NNFT_READOUT = 4, NNFT_WAVES = 15 };

/* A network as two flat arrays, so that any caller can build it.
 * header: layers L, points P, outputs to draw D, activation kind, input dimension d, key, then the
 *         hidden widths n_1 .. n_(L-1).
 * reals:  four activation parameters, or those of a network of cosines (waves.h); weight variances C_W (L); bias variances C_b (L); the first
 *         layer's kernel, packed pairs a <= b in lexicographic order (Q = P(P+1)/2); its upper
 *         factor U, U^T U = kernel, rows of a full P x P matrix; inputs, feature-major (d x P). */
enum { NNFT_H_LAYERS, NNFT_H_POINTS, NNFT_H_OUTPUTS, NNFT_H_KIND, NNFT_H_DIMENSION, NNFT_H_KEY, NNFT_H_WIDTHS };

/* A network to be trained, or evaluated on a set of points, as one flat array:
 * layers L, points P, P padded to whole vectors, activation kind, output whose tangent kernel is wanted, then for
 * each layer: rows, fan-in, columns (fan-in and one if the layer has biases), stride of a row, offset of the
 * layer's first number in the array of weights, 1 if it is trained. */
enum { NNFT_T_LAYERS, NNFT_T_POINTS, NNFT_T_PADDED, NNFT_T_KIND, NNFT_T_OBSERVED, NNFT_T_LAYER };
#define NNFT_T_NUMBERS 6

/* training.h: of one network on a set of points */
typedef void nnft_point_function(const int64_t *header, const double *parameters, const double *set,
                                 const double *weights, double *work, double *out);

typedef struct {
    const char *name;
    /* eight blocks of raw Philox words, word-major (4 x 8), from block number 8*group on */
    void (*words)(uint64_t key, uint64_t network, uint32_t tag, uint64_t group, uint32_t *out);
    /* groups of 16 (double) or 64 (float) standard normals */
    void (*normals_d)(uint64_t key, uint64_t network, uint32_t tag, uint64_t group, int64_t groups, double *out);
    void (*normals_f)(uint64_t key, uint64_t network, uint32_t tag, uint64_t group, int64_t groups, float *out);
    void (*activate_d)(int kind, const double *parameters, int64_t count, const double *in, double *out);
    void (*activate_f)(int kind, const double *parameters, int64_t count, const float *in, float *out);
    void (*derivative_d)(int kind, const double *parameters, int64_t count, const double *in, double *out);
    void (*derivative_f)(int kind, const double *parameters, int64_t count, const float *in, float *out);
    /* kernels: L x Q conditional metrics; fields: D x P outputs, or NULL; returns a status */
    int64_t (*collapsed_d)(const int64_t *header, const double *reals, uint64_t network, double *work,
                           double *kernels, double *fields);
    int64_t (*collapsed_f)(const int64_t *header, const double *reals, uint64_t network, double *work,
                           double *kernels, double *fields);
    int64_t (*explicit_d)(const int64_t *header, const double *reals, uint64_t network, double *work,
                          double *kernels, double *fields);
    int64_t (*explicit_f)(const int64_t *header, const double *reals, uint64_t network, double *work,
                          double *kernels, double *fields);
    int64_t (*waves_d)(const int64_t *header, const double *reals, uint64_t network, double *work, double *k, double *f);
    /* waves.h: momenta and phases as rows of weights */
    void (*draw_waves_d)(uint64_t key, uint64_t network, const double *parameters, const int64_t *shape, double *work,
                         double *out);
    /* stages: rows (components, terms, out slot, sum offset, index offset, runs); see accumulate.h */
    void (*accumulate)(const int64_t *stages, int64_t count, const int32_t *index, double *lanes, double *sums);
    /* training.h: returns sum (f - y)^2; gradient of half of it, or NULL */
    double (*gradient_d)(const int64_t *header, const double *parameters, const double *set, const double *weights,
                         double *work, double *gradient);
    /* diagonal of J^T J over points and outputs */
    nnft_point_function *squared_slopes_d;
    /* factors of the rows of J: values below and deltas of every marked layer */
    nnft_point_function *slopes_d;
    void (*readout_moves_d)(const int64_t *header, const double *parameters, const double *set, const double *weights,
                            double *work, const int64_t *first, const double *amounts, const int64_t *shape,
                            double *base, double *moved);
    nnft_point_function *outputs_d;
    void (*kernels_d)(const int64_t *header, const double *parameters, const double *set, const double *weights,
                      double *work, double *kernel, double *tangent);
    nnft_point_function *features_d;
    void (*noisy_step_d)(const int64_t *where, const double *numbers, const double *columns, const double *gradient,
                         double *theta);
    void (*residual_steps_d)(const int64_t *shape, const int64_t *order, const double *kernel, const double *scales,
                             double *residuals, double *moves, double *picked);
    double (*dot_d)(int64_t count, const double *left, const double *right);
    double (*weighted_square_d)(int64_t rows, int64_t stride, const double *weight, const double *data);
    /* upper factor of a P x P kernel (full rows), zero rows where the pivot vanishes */
    void (*factor)(int64_t points, double tolerance, double *matrix);
} nnft_core_table;

/* NULL where this machine or this build lacks the instruction set */
const nnft_core_table *nnft_core(int isa);
/* the best instruction set here, or the one that NNFT_SIMD names (avx512, avx2, portable) */
int nnft_best_isa(void);
/* doubles of working memory that any sampler needs for this network */
int64_t nnft_work_size(const int64_t *header);
/* the same for training.h */
int64_t nnft_training_work_size(const int64_t *header);

#endif
