"""The faults: what is changed, and the test that must see it."""

from __future__ import annotations

from data_faults import DATA_FAULTS
from direction_faults import DIRECTION_FAULTS
from fault import Fault
from field_theory_faults import FIELD_THEORY_FAULTS
from flow_faults import FLOW_FAULTS
from given_faults import GIVEN_FAULTS
from training_faults import TRAINING_FAULTS, TRAINING_KERNEL_FAULTS

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
        "estimators/replicates.py",
        "self.sample_counts / (self.sample_counts - 1.0)",
        "self.sample_counts / (self.sample_counts - 0.0)",
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
    *FIELD_THEORY_FAULTS,
    *TRAINING_FAULTS,
    *FLOW_FAULTS,
    *DATA_FAULTS,
    *GIVEN_FAULTS,
    *DIRECTION_FAULTS,
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
    *TRAINING_KERNEL_FAULTS,
]
