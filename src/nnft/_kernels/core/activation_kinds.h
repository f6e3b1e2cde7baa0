/* Numbers of the activations, shared by every instruction set and by the Python side. */
#ifndef NNFT_ACTIVATION_KINDS_H
#define NNFT_ACTIVATION_KINDS_H

enum nnft_activation_kind {
    NNFT_LINEAR = 0,
    NNFT_RELU = 1,
    NNFT_LEAKY_RELU = 2, /* slope_positive, slope_negative */
    NNFT_TANH = 3,
    NNFT_ERF = 4,
    NNFT_SIN = 5,
    NNFT_COS = 6,
    NNFT_GELU = 7, /* z Phi(z) */
    NNFT_SILU = 8,
    NNFT_SOFTPLUS = 9,
    NNFT_SIGMOID = 10,
    NNFT_QUADRATIC = 11, /* a0, a1, a2: a0 + a1 z + a2 z^2 */
    NNFT_EXP = 12,
    NNFT_ACTIVATION_COUNT = 13
};

#endif
