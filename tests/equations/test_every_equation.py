"""Every displayed equation of a docstring has a test in this folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

EQUATIONS = {
    "AutoregressiveNormal": ["test_autoregressive_normal_density"],
    "BernoulliPixels": ["test_bernoulli_pixels_density"],
    "BasisTransition": ["test_zaharia_peters_basis_transition"],
    "BetaVAE": ["test_higgins_beta_vae_joint_density"],
    "BidirectionalLSTM": ["test_bidirectional_lstm_reads_the_past_and_the_future"],
    "BlockTridiagonalNormal": ["test_block_tridiagonal_normal_is_the_normal_of_its_precision"],
    "BroadcastDecoder": ["test_watters_broadcast_is_a_convolution_of_the_tiled_code"],
    "DSVAE": ["test_li_mandt_dsvae_generative_process", "test_li_mandt_dsvae_joint_density"],
    "DensityRatio": ["test_kim_mnih_density_ratio_and_cross_entropy"],
    "DelayedVAE": ["test_zaharia_peters_delayed_likelihood"],
    "DeltaGuide": ["test_delta_guide_is_an_autoencoder"],
    "DenseTransition": ["test_zaharia_peters_dense_transition"],
    "DiagonalTransition": ["test_zaharia_peters_diagonal_transition"],
    "Downsample": ["test_downsample_averages_blocks"],
    "DynamicsPrior": ["test_dynamics_prior_is_one_chain_a_dimension"],
    "FactorizedGuide": ["test_das_dandi_2b_factorized_factorization"],
    "FramewiseGuide": ["test_li_mandt_framewise_factorization"],
    "FullGuide": ["test_das_dandi_2a_full_factorization"],
    "GaussMarkovNormal": ["test_gauss_markov_normal_is_the_product_of_its_steps"],
    "GaussianBlur": ["test_gaussian_blur_is_a_window_in_both_directions"],
    "Judge": ["test_judge_averages_a_temporal_convolution"],
    "GridLocScale": ["test_grid_loc_scale_splits_its_features"],
    "GridGuide": ["test_grid_guide_factorization"],
    "InertialGuide": ["test_zaharia_peters_inertia_recurrence", "test_inertial_guide_is_normal_around_its_means"],
    "InformationGuide": ["test_archer_information_form"],
    "LSTMPrior": ["test_li_mandt_lstm_prior_density"],
    "LinearDynamicsPrior": ["test_archer_linear_dynamics_prior"],
    "LinearGaussianDynamics": ["test_linear_gaussian_dynamics_joint_density"],
    "LinearGaussianSequence": ["test_linear_gaussian_sequence_joint_density"],
    "LearnedSimilarity": ["test_larsen_learned_similarity_and_adversarial_losses"],
    "LocScale": ["test_loc_scale_is_linear_and_softplus_with_a_floor"],
    "MaskWeightedNormal": ["test_stavarache_mask_weighted_log_density"],
    "MeanReader": ["test_mean_reader_is_a_network_on_the_mean"],
    "MeanFieldGuide": ["test_kingma_welling_mean_field_factorization"],
    "MixtureStart": ["test_mixture_start_density"],
    "MixtureStartPrior": ["test_mixture_start_density"],
    "NamedELBO": ["test_kingma_welling_elbo_from_closed_forms", "test_chung_per_frame_kl_at_the_sampled_path"],
    "NormalPixels": ["test_normal_pixels_density"],
    "ResidualGuide": ["test_residual_guide_looks_at_what_is_the_grounds_and_unlike_it"],
    "UniformDecoder": ["test_uniform_decoder_is_one_color_of_no_confidence"],
    "WindowDecoder": ["test_eslami_window_decoder_puts_its_window_at_its_place"],
    "WindowEncoder": ["test_window_encoder_reads_the_window_around_the_largest_heap"],
    "ParallelGuide": ["test_stavarache_parallel_guide_factorization"],
    "ParallelVAE": ["test_stavarache_parallel_vae_joint_density"],
    "PixelMixture": ["test_burgess_pixel_mixture_density"],
    "RandomCrop": ["test_random_crop_repeats_the_pixels_of_a_square"],
    "PairNetwork": ["test_pair_network_reads_two_successive_frames"],
    "PatchEncoder": ["test_patch_encoder_is_the_maximum_over_patches"],
    "RandomGray": ["test_random_gray_is_a_power_of_a_mix"],
    "RandomTones": ["test_random_tones_are_a_wave_through_the_colors"],
    "RecurrentTransition": ["test_recurrent_transition_sees_the_frames_before_and_its_context"],
    "Reencoding": ["test_reencoding_is_the_distance_of_codes_that_come_back"],
    "RotationTransition": ["test_zaharia_peters_rotation_transition"],
    "SmoothingGuide": ["test_das_dandi_code_smoothing_factorization"],
    "SharedScaleNormal": ["test_shared_scale_normal_is_the_normal_of_torch"],
    "StandardPrior": ["test_das_dandi_standard_prior"],
    "StationaryPrior": ["test_stationary_prior_density_and_draws"],
    "StaticPosterior": ["test_static_posterior_is_normal_from_the_last_states"],
    "StructuredGuide": ["test_zaharia_peters_structured_posterior"],
    "SubtractMean": ["test_subtract_mean_takes_what_all_frames_share"],
    "Terms": ["test_terms_add_up_to_the_total"],
    "add_guide_penalty": ["test_guide_penalty_adds_its_weight_times_its_sum"],
    "add_penalty": ["test_penalty_adds_its_weight_times_its_sum"],
    "block_cholesky": ["test_block_cholesky_is_the_cholesky_factor"],
    "bounded_eigenvalues": ["test_eigenvalues_are_a_bounded_tanh"],
    "info_nce": ["test_info_nce_is_a_cross_entropy_of_cosines"],
    "linear_recurrence": ["test_linear_recurrence_frame_by_frame"],
    "log_density_matrix": ["test_density_matrix_pairs_every_draw_with_every_clip"],
    "mask_entropy_penalty": ["test_stavarache_mask_entropy"],
    "silence_penalty": ["test_silence_penalty"],
    "claim_penalty": ["test_claim_penalty"],
    "matrix_recurrence": ["test_matrix_recurrence_frame_by_frame"],
    "mutual_information": ["test_chen_mutual_information_of_a_whole_data_set"],
    "component_kl": ["test_stavarache_kl_of_each_component"],
    "contraction": ["test_contraction_has_the_singular_values_of_the_symmetric_form"],
    "exact_posterior": ["test_linear_gaussian_dynamics_posterior_by_bayes"],
    "render_circle": ["test_zaharia_peters_circle_on_gaussian"],
    "factorization_gaps": [
        "test_evidence_is_the_elbo_and_the_gap",
        "test_factorization_gaps_are_least_expected_kls",
        "test_gaps_of_restricted_means_are_stationary_points",
    ],
    "fit_supervised": ["test_supervised_error_is_a_mean_of_squares"],
    "importance_bound": ["test_burda_importance_bound_from_plain_traces"],
    "kalman_log_evidence": ["test_kalman_evidence_is_the_dense_one"],
    "amortization_gap": ["test_cremer_amortization_gap_of_independent_normals"],
    "elementwise_kl": ["test_chain_rule_of_relative_entropy_element_by_element"],
    "interval_coverage": ["test_coverage_of_intervals_by_their_definition"],
    "latent_kl": ["test_latent_kl_is_the_kl_of_the_objective"],
    "pareto_khat": ["test_vehtari_tail_of_known_shape"],
    "posterior_correlation": ["test_posterior_correlation_is_that_of_the_dense_covariance"],
    "rank_p_values": ["test_chi_square_of_ranks"],
    "simulation_based_calibration": ["test_talts_ranks_of_the_exact_posterior"],
    "log_evidence": ["test_linear_gaussian_evidence_by_bayes"],
    "posterior": ["test_linear_gaussian_posterior_is_the_normal_of_the_joint"],
    "chain_precision": ["test_archer_chain_precision"],
    "conditional_kl": ["test_divergence_given_the_past_from_its_closed_parts"],
    "scale_latents": ["test_higgins_scaled_latents_objective"],
    "score_shown_frames": ["test_likelihood_of_shown_frames_alone"],
    "selected_inverse": ["test_selected_inverse_is_part_of_the_inverse"],
    "structured_kl": [
        "test_divergence_of_chains_in_units_of_the_other",
        "test_divergence_of_diagonal_chains_step_by_step",
        "test_divergence_by_blocks_is_that_of_dense_normals",
    ],
    "EigenvalueGuide": ["test_eigenvalue_guide_factorization"],
    "EigenvalueVAE": ["test_eigenvalue_vae_joint_density"],
    "LaplaceEigenvalues": ["test_laplace_eigenvalues_are_the_slowness_penalty"],
    "LaplacePrior": ["test_klindt_laplace_prior_density"],
    "LaplaceTransition": ["test_klindt_laplace_transition_density"],
    "SlowFastEigenvalues": ["test_slow_fast_eigenvalues_prior"],
    "SlowLearning": ["test_slow_learning_halves_the_rate_by_a_running_mean"],
    "SlowFastMixture": ["test_slow_fast_mixture_density"],
    "TanhNormal": ["test_tanh_normal_change_of_variables"],
    "TotalCorrelation": ["test_chen_stratified_weights_of_frames"],
    "TruncatedLaplace": ["test_truncated_laplace_density"],
    "identity_deviation": ["test_zaharia_peters_identity_deviation"],
    "increasing_weights": ["test_zaharia_peters_weights_grow_with_the_dimension"],
    "linear_prediction_error": ["test_zaharia_peters_linear_prediction_error"],
    "mean_absolute": ["test_mean_absolute_value_of_a_normal"],
    "slowness": ["test_zaharia_peters_slowness"],
    "total_correlation": ["test_chen_total_correlation_of_a_whole_data_set"],
    "weighted_slowness": ["test_zaharia_peters_weighted_slowness"],
    "AddCodes": ["test_mantel_1_codes_are_added"],
    "DeltaWhatWhereGuide": ["test_delta_what_where_guide_sets_both_codes"],
    "MedianFrame": ["test_median_frame_and_motion_are_those_of_numpy"],
    "Motion": ["test_median_frame_and_motion_are_those_of_numpy"],
    "MeanFrames": ["test_hosoya_mean_of_frames"],
    "NormalizedHead": ["test_mantel_normalized_code"],
    "PlaceBlindEncoder": ["test_place_blind_encoder_is_the_maximum_over_places"],
    "PlacedDecoder": [
        "test_jaderberg_placed_decoder_is_a_translated_sampling",
        "test_placed_decoder_overlays_what_its_networks_say",
    ],
    "ProductFrames": ["test_bouchacourt_product_of_frames"],
    "SameClip": ["test_denton_birodkar_same_clip"],
    "PartsDecoder": ["test_eslami_parts_decoder_draws_each_part_from_its_own_code"],
    "Glimpses": ["test_jaderberg_glimpses_are_cut_out_and_shared"],
    "match_parts": ["test_matched_parts_are_those_of_the_largest_sums"],
    "WhereThenWhatGuide": ["test_where_then_what_guide_factorization"],
    "PlaceFinder": ["test_place_finder_is_attention_over_places"],
    "WhatThenWhereGuide": ["test_what_then_where_guide_factorization"],
    "WhatWhereGuide": ["test_what_where_guide_factorization"],
    "WhatWhereVAE": ["test_what_where_joint_density"],
    "barlow_twins": ["test_mantel_5_barlow_twins", "test_mantel_6_cross_correlation"],
    "inertial_loss": ["test_mantel_2_inertial_loss"],
    "mixing_weight": ["test_mantel_7_total_loss"],
    "pixel_error": ["test_mantel_3_pixel_error"],
    "temporal_difference": ["test_wiskott_sejnowski_temporal_difference"],
}


def count_equations() -> dict[str, int]:
    """How many displayed equations the docstring of each object holds."""
    counts = {}
    for path in sorted((ROOT / "pyrodis").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module):
                number = (ast.get_docstring(node) or "").count("$$") // 2
                if number:
                    counts[getattr(node, "name", path.stem)] = number
    return counts


def names_of_tests() -> set[str]:
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        found.update(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf8"), flags=re.MULTILINE))
    return found


def test_every_equation_of_a_docstring_has_its_test() -> None:
    assert count_equations() == {name: len(tests) for name, tests in EQUATIONS.items()}


@pytest.mark.parametrize("name", sorted(EQUATIONS))
def test_the_tests_of_the_equations_exist(name: str) -> None:
    assert set(EQUATIONS[name]) <= names_of_tests()
