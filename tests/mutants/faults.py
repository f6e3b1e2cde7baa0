"""The faults: what is changed, and the test that must see it."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault: its name, file below src/nnft, text there and its replacement, test below tests."""

    name: str
    file: str
    old: str
    new: str
    test: str


FAULTS = [
    # ---- random numbers ----
    Fault(
        "nine rounds of Philox",
        "_kernels/core/philox.h",
        "#define NNFT_PHILOX_ROUNDS 10",
        "#define NNFT_PHILOX_ROUNDS 9",
        "kernels/test_random.py::test_published_vectors",
    ),
    Fault(
        "streams do not depend on the network",
        "_kernels/core/philox.h",
        "low = vu_set64((uint32_t)s->network), top = vu_set64(s->network >> 32)",
        "low = vu_set64(0), top = vu_set64(0)",
        "kernels/test_random.py::test_streams_share_no_block",
    ),
    Fault(
        "network index cut to 32 bits",
        "_kernels/core/philox.h",
        "top = vu_set64(s->network >> 32)",
        "top = vu_set64(0)",
        "kernels/test_networks.py::test_networks_and_seeds_differ",
    ),
    Fault(
        "radius from uniforms of 24 bits",
        "_kernels/core/normals.h",
        "vu radius_bits = vu_interleave_low32(words.w0, words.w1), angle",
        "vu radius_bits = vu_and(vu_interleave_low32(words.w0, words.w1), vu_set64(~0xFFFFFFFull)), angle",
        "kernels/test_random.py::test_the_lowest_bits_of_the_uniforms_are_used",
    ),
    Fault(
        "second uniform of Box-Muller is the first",
        "_kernels/core/normals.h",
        "angle_bits = vu_interleave_low32(words.w2, words.w3)",
        "angle_bits = vu_interleave_low32(words.w0, words.w1)",
        "kernels/test_random_law.py::test_kolmogorov_smirnov",
    ),
    Fault(
        "upper half of the seed unused",
        "streams.py",
        "(words[0], words[1], words[2], words[3])",
        "(words[0], words[1], 0, 0)",
        "test_streams.py::test_every_bit_of_the_seed_matters",
    ),
    # ---- networks ----
    Fault(
        "factor of the metric transposed in a mix",
        "_kernels/core/collapsed.h",
        "R_(set)(factor[(a0 + k) * P + a0 + i])",
        "R_(set)(factor[(a0 + i) * P + a0 + k])",
        "stat/test_one_hidden_layer.py::test_two_and_four_points",
    ),
    Fault(
        "every tile draws the same normals",
        "_kernels/core/collapsed.h",
        "nnft_tag(NNFT_COLLAPSED, layer), first * P, vectors",
        "nnft_tag(NNFT_COLLAPSED, layer), 0, vectors",
        "kernels/test_networks.py::test_many_points_and_tiles",
    ),
    Fault(
        "lanes beyond the width count as neurons",
        "_kernels/core/collapsed.h",
        "if (first + strips == total && width % VR_LANES)",
        "if (0)",
        "stat/test_deep_networks.py::test_deep_relu",
    ),
    Fault(
        "biases drawn from the stream of the weights",
        "_kernels/core/explicit.h",
        "nnft_tag(NNFT_BIASES, layer)",
        "nnft_tag(NNFT_WEIGHTS, layer)",
        "stat/test_agreement.py::test_every_way_draws_from_one_law",
    ),
    Fault(
        "bias variance left out of a metric",
        "_kernels/core/network.h",
        "shift = n->bias_variance[layer - 1]",
        "shift = 0.0",
        "stat/test_deep_networks.py::test_deep_linear_with_unequal_widths",
    ),
    Fault(
        "1/n instead of C_W/n",
        "_kernels/core/network.h",
        "scale = n->weight_variance[layer - 1] / ",
        "scale = 1.0 / ",
        "stat/test_deep_networks.py::test_deep_linear_with_unequal_widths",
    ),
    Fault(
        "overflow of a metric not noticed",
        "_kernels/core/network.h",
        "check += kernel[q] - kernel[q];",
        "check += 0.0;",
        "kernels/test_singular_kernels.py::test_overflow_names_network_and_layer",
    ),
    Fault(
        "repeated inputs do not share their column",
        "_kernels/core/cholesky.h",
        "first[b] < b && !nnft_same_point(points, matrix, first[b], b)",
        "first[b] < b",
        "kernels/test_singular_kernels.py::test_repeated_inputs_give_equal_bits",
    ),
    Fault(
        "sign in the derivative of gelu",
        "_kernels/core/activation_bodies.h",
        "VR difference = R_(fnma)(a,",
        "VR difference = R_(fma)(a,",
        "kernels/test_activations.py::test_error_is_a_few_units_in_the_last_place[{isa}-gelu-True-float64]",
    ),
    Fault(
        "last sums of a stage not added",
        "_kernels/core/accumulate.h",
        "if (sums) nnft_flush_rest(&pending);",
        "(void)sums;",
        "kernels/test_accumulate.py::test_sums_are_those_of_the_twin",
    ),
    Fault(
        "no 1/d in the metric of the inputs",
        "samplers/initial.py",
        "kernel *= weight_variance / points.shape[1]",
        "kernel *= weight_variance",
        "samplers/test_initial.py::test_first_metric_is_the_kernel_of_the_inputs",
    ),
    # ---- theory ----
    Fault(
        "C_W instead of its square in the four-point vertex",
        "theory/vertex.py",
        "return weight_variance**2 * (products",
        "return weight_variance * (products",
        "theory/test_vertex.py::test_linear_network_is_the_limit_of_the_exact_covariance",
    ),
    Fault(
        "ratio of widths dropped in the flow of the vertex",
        "theory/vertex.py",
        "vertex = vertex + ratio * jacobian @",
        "vertex = vertex + jacobian @",
        "theory/test_vertex.py::test_one_input_of_many_equals_the_single_input_flow",
    ),
    # ---- estimators ----
    Fault(
        "a partner dropped in the hafnian recursion",
        "estimators/program.py",
        "range(table.order - table.multiplicities[-1], last)",
        "range(max(table.order - table.multiplicities[-1], last - 2), last)",
        "estimators/test_program.py::test_program_sums_the_right_moments",
    ),
    Fault(
        "factorial dropped in the coefficients of k-statistics",
        "estimators/kstatistics.py",
        "(-1) ** (size - 1) * factorial(size - 1)",
        "(-1) ** (size - 1)",
        "estimators/test_kstatistics.py::test_reference_rationals",
    ),
    Fault(
        "powers of M instead of falling factorials",
        "estimators/kstatistics.py",
        "falling *= count - step",
        "falling *= count",
        "estimators/test_kstatistics.py::test_estimators_are_unbiased",
    ),
    Fault(
        "1/M instead of 1/(M - 1) in the covariance of a metric",
        "estimators/layer_kernels.py",
        "means.sample_counts / (means.sample_counts - 1.0)",
        "means.sample_counts / (means.sample_counts - 0.0)",
        "estimators/test_layer_kernels.py::test_mean_and_covariance_of_every_layer",
    ),
    Fault(
        "factor of the jackknife missing",
        "estimators/jackknife.py",
        "values: FloatArray = ratios * self.estimate[:, None] - (ratios - 1.0) * self.replicates",
        "values: FloatArray = 2.0 * self.estimate[:, None] - self.replicates + 0.0 * ratios",
        "stat/test_coverage.py::test_intervals_cover",
    ),
    Fault(
        "one bin too few in the variance of the jackknife",
        "estimators/jackknife.py",
        "share / (1.0 - share) / len(counts)",
        "share / len(counts)",
        "estimators/test_jackknife.py::test_bins_of_one_network_give_the_textbook_error_of_the_mean",
    ),
    Fault(
        "heavy tails never flagged",
        "estimators/jackknife.py",
        "suspect = dominated | (excess > KURTOSIS_SIGMAS * sigma)",
        "suspect = dominated & False",
        "stat/test_heavy_tails.py::test_exponential_networks_are_flagged",
    ),
    # ---- runs ----
    Fault(
        "networks counted in the wrong bin",
        "pipeline/engine.py",
        "self.estimator.counts[block % self.plan.bins] +=",
        "self.estimator.counts[(block + 1) % self.plan.bins] +=",
        "pipeline/test_python_interface.py::test_bins_count_the_networks_of_their_blocks",
    ),
    Fault(
        "every call repeats the last block",
        "pipeline/engine.py",
        "return -(-self.networks_done // self.plan.block_size)",
        "return max(0, self.networks_done // self.plan.block_size - 1)",
        "pipeline/test_python_interface.py::test_stopped_anywhere_and_resumed",
    ),
    Fault(
        "resume forgets the sums of before",
        "pipeline/engine.py",
        "            block[:] = estimator.sums[name]\n",
        "",
        "pipeline/test_python_interface.py::test_stopped_anywhere_and_resumed",
    ),
    Fault(
        "shifts depend on the length of the run",
        "pipeline/engine.py",
        "mean: FloatArray = self.ensemble.metrics(0, count).mean(axis=0)",
        "mean: FloatArray = self.ensemble.metrics(self.plan.networks, count).mean(axis=0)",
        "pipeline/test_python_interface.py::test_extended_run_is_the_long_run",
    ),
    # ---- files ----
    Fault(
        "outputs not written before the snapshot",
        "pipeline/checkpoint.py",
        "            self.fields.flush()\n",
        "            self.fields.manifest()\n",
        "pipeline/test_python_interface.py::test_stopped_anywhere_and_resumed",
    ),
    Fault(
        "segments not synced at a checkpoint",
        "store/segments.py",
        "            self._unsynced.append(path)\n",
        "            pass\n",
        "store/test_segments.py::test_flush_leaves_nothing_unsynced",
    ),
    Fault(
        "checksum not compared on reading",
        "store/checked_file.py",
        "if array_digest([array]) != self.forms[path][1]:",
        "if False:",
        "store/test_damaged_files.py::test_numbers_are_checked_beyond_fletcher32",
    ),
    Fault(
        "checksum of a segment not compared",
        "store/segment_files.py",
        "if zlib.crc32(rows.data) != record.crc32 or first",
        "if first",
        "store/test_segments.py::test_every_damage_of_a_segment_is_noticed",
    ),
    Fault(
        "lock replaces the lock of another process",
        "store/lock.py",
        "            os.link(draft, lock_path)\n",
        "            os.rename(draft, lock_path)\n",
        "store/test_lock.py::test_second_writer_is_refused",
    ),
    Fault(
        "lock taken without O_EXCL",
        "store/lock.py",
        "os.O_CREAT | os.O_EXCL |",
        "os.O_CREAT |",
        "store/test_lock.py::test_lock_works_without_hard_links",
    ),
    # ---- Edgeworth densities ----
    Fault(
        "no 1/2 at the square of the first order of an Edgeworth density",
        "actions/density_series.py",
        "terms[1] = 0.5 * terms[0] ** 2 - terms[1]",
        "terms[1] = terms[0] ** 2 - terms[1]",
        "actions/test_density.py::test_even_terms_are_hermite_tensors",
    ),
    Fault(
        "slope of the second order of an Edgeworth density without the product",
        "actions/density_series.py",
        "terms[0][:, None] * slopes[0] - slopes[1]",
        "slopes[0] - slopes[1]",
        "actions/test_density.py::test_score_is_the_gradient",
    ),
    Fault(
        "dimension forgotten in the mass along a ray",
        "actions/density_positivity.py",
        "shape = 0.5 * (size + power)",
        "shape = 0.5 * (1 + power)",
        "actions/test_density_positivity.py::test_masses_along_rays_by_quadrature",
    ),
    Fault(
        "width of the proposal forgotten in rejection",
        "actions/density_sampling.py",
        "series.ratio(white) * _inverse_proposal(np.sum(white**2, axis=1), variance, series.size)",
        "series.ratio(white)",
        "actions/test_density_sampling.py::test_draws_without_weights_follow_the_density",
    ),
    Fault(
        "a comparison draws from the stream of the user's draws",
        "actions/density.py",
        "len(ours), seed, Purpose.COMPARISON)",
        "len(ours), seed, Purpose.RESAMPLED)",
        "actions/test_density_comparison.py::test_draws_of_the_comparison_are_not_those_of_the_user",
    ),
    # ---- symmetries and axioms ----
    Fault(
        "rotations compared by distances instead of Gram matrices",
        "actions/symmetry_classes.py",
        'if group == "rotations":\n        return labels(mesh @ mesh.T',
        'if group == "nothing":\n        return labels(mesh @ mesh.T',
        "actions/test_axioms_classes.py::test_classes_are_those_of_brute_force",
    ),
    Fault(
        "translations tested with pairs that parity relates",
        "actions/symmetry_classes.py",
        "plain = keys[1:] == keys[0]",
        "plain = keys[1:] != keys[1:]",
        "actions/test_axioms_classes.py::test_pairs_of_a_smaller_group_come_last",
    ),
    Fault(
        "lowest eigenvector judged by the bins that it comes from",
        "actions/positivity.py",
        "there = slice(1 - (here.start or 0), None, 2)",
        "there = here",
        "actions/test_axioms_positivity.py::test_lowest_eigenvalue_of_a_degenerate_matrix_is_no_alarm",
    ),
    Fault(
        "reflection positivity without the reflection",
        "actions/positivity.py",
        "left, right = np.repeat(half.images, h)",
        "left, right = np.repeat(half.points, h)",
        "actions/test_axioms_positivity.py::test_reference_kernels",
    ),
    Fault(
        "a mean counts as a correlation",
        "actions/axiom_source.py",
        "outputs - outputs.mean(axis=0)",
        "outputs",
        "actions/test_axioms_clustering.py::test_a_mean_is_not_a_correlation",
    ),
    # ---- deformations ----
    Fault(
        "bias of ratios of weighted sums not removed",
        "estimators/reweighting.py",
        "corrected: FloatArray = columns - bias",
        "corrected: FloatArray = columns - 0.0 * bias",
        "estimators/test_reweighting.py::test_ratio_estimates_have_less_bias_than_their_error_allows",
    ),
    Fault(
        "weights instead of their squares in the effective sample size",
        "estimators/program.py",
        "builder.add_stage([(weight, weight)]",
        "builder.add_stage([(weight, live)]",
        "pipeline/test_deformed_runs.py::test_first_sums_by_hand",
    ),
    Fault(
        "5! instead of 6! in the potential",
        "spec/deformation.py",
        "FACTORIALS = (2.0, 24.0, 720.0)",
        "FACTORIALS = (2.0, 24.0, 120.0)",
        "stat/test_deformation.py::test_one_site_with_other_couplings",
    ),
    # ---- scans ----
    Fault(
        "seed of a member does not depend on its values",
        "pipeline/scan_members.py",
        '{"seed": str(seed), "values": dict(values)}',
        '{"seed": str(seed)}',
        "cli/test_scan.py::test_seed_of_a_member_is_the_documented_hash",
    ),
    Fault(
        "file of a finished member not looked for on a resume",
        "pipeline/scan.py",
        "        if not path.exists():\n",
        "        if False:\n",
        "cli/test_scan_faults.py::test_deleted_member_is_sampled_again",
    ),
    Fault(
        "members of one seed taken for independent",
        "analysis/extrapolate_fit.py",
        "found.setdefault((member.seed, *member.layout), [])",
        "found.setdefault((number,), [])",
        "cli/test_extrapolate.py::test_members_of_one_seed_are_correlated_as_their_bins_say",
    ),
    Fault(
        "errors of the weights of a fit neglected",
        "analysis/extrapolate_fit.py",
        "factors: FloatArray = np.sqrt(variance)",
        "factors: FloatArray = np.ones_like(variance)",
        "analysis/test_extrapolate_fit.py::test_errors_cover_and_chi_squares_are_fair[32-one-seed]",
    ),
    # ---- loops over networks: last, because a change compiles them anew ----
    Fault(
        "block added to the wrong bin",
        "_kernels/ensemble.py",
        "block % bins * stages[s, 0]",
        "(block + 1) % bins * stages[s, 0]",
        "samplers/test_initial.py::test_blocks_go_to_their_bins",
    ),
    Fault(
        "lanes of no network not cleared",
        "_kernels/ensemble.py",
        "            clear_lanes(live, bases, lanes)\n",
        "            pass\n",
        "samplers/test_initial.py::test_blocks_go_to_their_bins",
    ),
    Fault(
        "every readout of a network has the outputs of the first",
        "_kernels/insertion.py",
        "bases[k, 1] + r * strides[k]",
        "bases[k, 1] + r // readouts * strides[k]",
        "samplers/test_weighted_readouts.py::test_blocks_have_the_sums_of_the_twin",
    ),
]
