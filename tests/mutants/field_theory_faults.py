"""Faults of what is made of correlators: actions, densities, axioms, deformations, scans."""

from __future__ import annotations

from fault import Fault

FIELD_THEORY_FAULTS = [
    # ---- actions and closure ----
    Fault(
        "tadpole with the other sign",
        "actions/expansion.py",
        "return Polynomial(constant, 0.5 * tadpole, -lowered)",
        "return Polynomial(constant, -0.5 * tadpole, -lowered)",
        "actions/test_expansion.py::test_reference_couplings_in_three_dimensions",
    ),
    Fault(
        "coupling with the sign of the cumulant",
        "actions/expansion.py",
        "return Polynomial(constant, 0.5 * tadpole, -lowered)",
        "return Polynomial(constant, 0.5 * tadpole, lowered)",
        "stat/test_couplings.py::test_one_hidden_layer_at_widths_8_to_1024",
    ),
    Fault(
        "trees counted nine times instead of ten in the sextic coupling",
        "actions/expansion.py",
        "-six + 10.0 * chain)",
        "-six + 9.0 * chain)",
        "actions/test_expansion.py::test_couplings_put_in_come_back",
    ),
    Fault(
        "bubble of the quartic coupling with 1 instead of 3/2",
        "actions/expansion.py",
        "- 5.0 * chain_trace + 1.5 * bubble",
        "- 5.0 * chain_trace + 1.0 * bubble",
        "actions/test_expansion.py::test_couplings_put_in_come_back",
    ),
    Fault(
        "halves of a symmetric tensor exchanged wrongly in a change of basis",
        "actions/symmetric.py",
        "return places(n_values, table[:, :half]), places(n_values, table[:, half:])",
        "return places(n_values, table[:, :half]), places(n_values, table[:, :half])",
        "actions/test_symmetric.py::test_a_change_of_basis_is_that_of_the_dense_tensor",
    ),
    Fault(
        "modes in ascending order of their eigenvalues",
        "actions/spectrum.py",
        "values, vectors = values[::-1], vectors[:, ::-1]",
        "values, vectors = values.copy(), vectors.copy()",
        "actions/test_action.py::test_modes_are_ordered_by_their_eigenvalues",
    ),
    Fault(
        "bias of the squared sextic share left in",
        "actions/closure.py",
        "corrected = float(shares @ estimate.bins[:, 0])",
        "corrected = float(estimate.value[0])",
        "actions/test_closure.py::test_share_without_signal_is_not_biased",
    ),
    Fault(
        "joint test judged by chi-square with the wrong degrees of freedom",
        "estimators/joint_test.py",
        "ratio = statistic * (bins - components) / (components * (bins - 1))",
        "ratio = statistic / components",
        "estimators/test_joint_test.py::test_p_values_are_uniform",
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
]
