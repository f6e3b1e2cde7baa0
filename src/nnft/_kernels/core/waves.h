/* Networks of cosines, f(x) = F sum_i a_i cos(b_i.x + c_i) / (b_i^2 + m^2)^(1/2), many neurons side by side.
 *
 * Parameters: F; m^2, or a negative number for no denominator; radius of the ball in which momenta are uniform, or the
 * standard deviation of their components; bits: 1 for a ball, 2 for amplitudes of one size.
 * Random numbers of a network, purpose NNFT_WAVES: part 1 has the normals of the momenta, component after component, each
 * from a group of its own on; part 2 one block for each neuron, whose words 0 and 1 make u in (0, 1), the radius being
 * proportional to u^(1/d), and words 2 and 3 the phase, pi times a number in [-1, 1), both as in normals.h; part 3 the
 * normals of the amplitudes, output after output, whose signs alone matter for amplitudes of one size. */

#define NNFT_PI 0x1.921fb54442d18p+1

enum { NNFT_BALL = 1, NNFT_FIXED = 2 };

NNFT_INLINE nnft_stream nnft_wave_stream(uint64_t key, uint64_t network, int64_t part)
{
    return (nnft_stream){ key, network, nnft_tag(NNFT_WAVES, part) };
}

/* u^(1/d) */
NNFT_INLINE vd nnft_root(vd u, int64_t dimension)
{
    if (dimension == 1) return u;
    if (dimension == 2) return vd_sqrt(u);
    return nnft_exp_d(vd_mul(nnft_minus_two_log_d(u), vd_set(-0.5 / (double)dimension)));
}

/* phases, and roots u^(1/d) of the radii: rows of `row` numbers, whole vectors of eight neurons */
static void nnft_wave_uniforms(uint64_t key, uint64_t network, int64_t dimension, int64_t width, double *phase,
                               double *root)
{
    const nnft_stream s = nnft_wave_stream(key, network, 2);
    nnft_words words[NNFT_CHUNK];
    nnft_round_keys keys;
    nnft_make_round_keys(key, &keys);
    const int64_t groups = (width + 7) / 8;
    for (int64_t first = 0; first < groups;) {
        int64_t left = groups - first;
        int64_t count = nnft_same_high((uint64_t)first, 8, left < NNFT_CHUNK ? left : NNFT_CHUNK);
        nnft_words_d(&s, &keys, (uint64_t)first, count, words);
        for (int64_t g = 0; g < count; g++) {
            vu low = vu_interleave_low32(words[g].w0, words[g].w1), high = vu_interleave_low32(words[g].w2, words[g].w3);
            vd u = vd_sub(nnft_one_to_two_d(low), vd_set(1.0 - 0x1p-53));
            vd y = vd_fma(nnft_one_to_two_d(high), vd_set(2.0), vd_set(-3.0));
            vd_store(root + (first + g) * 8, nnft_root(u, dimension));
            vd_store(phase + (first + g) * 8, vd_mul(vd_set(NNFT_PI), y));
        }
        first += count;
    }
}

/* normals of one component of all momenta */
static void nnft_wave_component(uint64_t key, uint64_t network, int64_t width, int64_t component, double *out)
{
    const nnft_stream s = nnft_wave_stream(key, network, 1);
    const int64_t groups = (width + NNFT_GROUP_D - 1) / NNFT_GROUP_D;
    nnft_normals_d(&s, (uint64_t)(component * groups), groups, out);
}

/* scale[i]: what turns the normals of neuron i into its momentum; from the sum of their squares and u^(1/d), in place
 * of the sum. gain[i] = F / (b^2 + m^2)^(1/2), in place of the root. */
static void nnft_wave_scales(const double *parameters, int64_t width, double *squares, double *root)
{
    const int ball = (int)parameters[3] & NNFT_BALL;
    const vd factor = vd_set(parameters[0]), mass = vd_set(parameters[1]), size = vd_set(parameters[2]);
    const vd tiny = vd_set(0x1p-1000);
    for (int64_t i = 0; i < width; i += 8) {
        vd square = vd_load(squares + i), length = size, scale = size;
        if (ball) {
            length = vd_mul(size, vd_load(root + i));
            scale = vd_div(length, vd_sqrt(vd_max(square, tiny)));
        } else {
            length = vd_mul(size, vd_sqrt(square));
        }
        vd gain = factor;
        if (parameters[1] >= 0) gain = vd_div(factor, vd_sqrt(vd_fma(length, length, mass)));
        vd_store(squares + i, scale);
        vd_store(root + i, gain);
    }
}

/* sums of squares of the normals of each neuron */
static void nnft_wave_squares(uint64_t key, uint64_t network, int64_t dimension, int64_t width, double *normals,
                              double *squares)
{
    for (int64_t j = 0; j < dimension; j++) {
        nnft_wave_component(key, network, width, j, normals);
        for (int64_t i = 0; i < width; i += 8) {
            vd g = vd_load(normals + i), before = j ? vd_load(squares + i) : vd_set(0.0);
            vd_store(squares + i, vd_fma(g, g, before));
        }
    }
}

/* Momenta and phases as weights and biases of a layer to be trained: rows of `stride` numbers, shape = (N, d, stride).
 * work: three rows of N padded to NNFT_PAD. */
static void nnft_draw_waves(uint64_t key, uint64_t network, const double *parameters, const int64_t *shape, double *work,
                            double *out)
{
    const int64_t width = shape[0], dimension = shape[1], stride = shape[2], row = nnft_padded(width);
    double *normals = work, *scale = work + row, *root = scale + row;
    nnft_wave_uniforms(key, network, dimension, width, normals, root);
    for (int64_t i = 0; i < width; i++) out[i * stride + dimension] = normals[i];
    nnft_wave_squares(key, network, dimension, width, normals, scale);
    nnft_wave_scales(parameters, width, scale, root);
    for (int64_t j = 0; j < dimension; j++) {
        nnft_wave_component(key, network, width, j, normals);
        for (int64_t i = 0; i < width; i++) out[i * stride + j] = scale[i] * normals[i];
    }
}

/* features of all points, rows of `row` numbers with zeros behind the N-th; spare: four rows */
static void nnft_wave_features(const nnft_network *n, uint64_t network, int64_t row, double *spare, double *out)
{
    const int64_t width = n->widths[0];
    double *normals = spare, *scale = spare + row, *gain = spare + 2 * row, *phase = spare + 3 * row;
    nnft_wave_uniforms(n->key, network, n->dimension, width, phase, gain);
    for (int64_t j = 0; j < n->dimension; j++) {
        nnft_wave_component(n->key, network, width, j, normals);
        for (int64_t i = 0; i < width; i += 8) {
            vd g = vd_load(normals + i), before = j ? vd_load(scale + i) : vd_set(0.0);
            vd_store(scale + i, vd_fma(g, g, before));
        }
        for (int64_t a = 0; a < n->points; a++) {
            const vd x = vd_set(n->inputs[j * n->points + a]);
            double *line = out + a * row;
            for (int64_t i = 0; i < width; i += 8) {
                vd before = j ? vd_load(line + i) : vd_set(0.0);
                vd_store(line + i, vd_fma(x, vd_load(normals + i), before));
            }
        }
    }
    nnft_wave_scales(n->parameters, width, scale, gain);
    for (int64_t a = 0; a < n->points; a++) {
        double *line = out + a * row;
        for (int64_t i = 0; i < width; i += 8) {
            vd z = vd_fma(vd_load(scale + i), vd_load(line + i), vd_load(phase + i));
            vd_store(line + i, vd_mul(vd_load(gain + i), nnft_cos_d(z)));
        }
        memset(line + width, 0, (size_t)(row - width) * sizeof *line);
    }
}

/* outputs (D x P): amplitudes times features, in the order of the neurons lane by lane */
static void nnft_wave_outputs(const nnft_network *n, uint64_t network, int64_t row, double *amplitude,
                              const double *features, double *fields)
{
    const nnft_stream s = nnft_wave_stream(n->key, network, 3);
    const int64_t width = n->widths[0], groups = (width + NNFT_GROUP_D - 1) / NNFT_GROUP_D;
    const int fixed = (int)n->parameters[3] & NNFT_FIXED;
    const double size = sqrt(n->weight_variance[1] / (double)width);
    for (int64_t o = 0; o < n->outputs; o++) {
        nnft_normals_d(&s, (uint64_t)(o * groups), groups, amplitude);
        for (int64_t i = 0; i < width; i++) amplitude[i] = fixed ? copysign(size, amplitude[i]) : size * amplitude[i];
        for (int64_t a = 0; a < n->points; a++) {
            vd sum = vd_set(0.0);
            for (int64_t i = 0; i < width; i += 8)
                sum = vd_fma(vd_load(amplitude + i), vd_load(features + a * row + i), sum);
            fields[o * n->points + a] = vd_sum(sum);
        }
    }
}

/* One network; kernels: the covariance of b.x + c, which does not fluctuate, and that of the outputs given momenta and
 * phases. work: nnft_work_size doubles, 64-byte aligned. */
static int64_t nnft_waves_d(const int64_t *header, const double *reals, uint64_t network, double *work,
                            double *kernels, double *fields)
{
    const nnft_network n = nnft_read_network(header, reals);
    const int64_t P = n.points, Q = n.pairs, row = nnft_explicit_row(&n);
    double *sums = work, *gram = sums + nnft_padded(Q), *spare = gram + nnft_padded(Q * VD_LANES);
    double *features = spare + 4 * row;
    memcpy(kernels, n.first_kernel, (size_t)Q * sizeof *kernels);
    nnft_wave_features(&n, network, row, spare, features);
    memset(gram, 0, (size_t)(Q * VD_LANES) * sizeof *gram);
    gram_d(P, (n.widths[0] + VD_LANES - 1) / VD_LANES, features, row, VD_LANES, gram);
    for (int64_t q = 0; q < Q; q++) sums[q] = vd_sum(vd_load(gram + q * VD_LANES));
    int64_t status = nnft_finish_kernel(&n, 2, sums, kernels + Q);
    if (status || !fields) return status;
    nnft_wave_outputs(&n, network, row, spare, features, fields);
    return NNFT_OK;
}
