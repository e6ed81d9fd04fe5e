"""One good call of every public function that takes arrays or numbers, for fuzzing to spoil."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyrodis import distributions, metrics, ops, plotting, regularizers
from pyrodis.metrics import Score

G = np.random.default_rng(0)
N, T, D, F = 40, 4, 3, 2
CODES = G.normal(size=(N, D))
FACTORS = np.stack([np.arange(N) % 2, np.arange(N) // 2 % 3], 1)
PATHS = G.random((6, T, 2))
FRAMES = G.random((5, T, 1, 8, 8))
DISCS = np.zeros((5, T, 1, 8, 8))
for t in range(T):
    DISCS[:, t, :, 2:5, 1 + t : 4 + t] = 1.0
MASKS = np.eye(3)[G.integers(0, 3, (5, 8, 8))].transpose(0, 3, 1, 2).astype(bool)
SOFT = np.where(MASKS, 0.8, 0.1)
REGIONS = np.eye(3)[G.integers(0, 3, (5, T, 8, 8))].transpose(0, 1, 4, 2, 3).astype(bool)
SHARES = np.full((N, 4), 0.25)
KL = G.random((N, 2)) + 0.1
PRESENT = np.stack([np.arange(N) % 2, np.arange(N) // 2 % 2], 1).astype(bool)
NAMES, SIZES = ("action", "skin"), (2, 3)
SCORE = Score(0.5, 0.4, 0.6, chance=0.1, ceiling=1.0, num=9)
SMALL = {"num_resamples": 5}
CELLS = {"batch_size": 8, "num_train": 20, "num_eval": 10, "num_bins": 4, "num_resamples": 3}


def tensor(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape))) * 0.8 + 0.1


def stable(*shape: int) -> torch.Tensor:
    """Positive definite matrices with a little to the side."""
    return torch.eye(shape[-1]).expand(*shape).clone() * 0.5


METRICS: dict[str, dict[str, Any]] = {
    "activity": {"means": CODES},
    "active_units": {"means": CODES, "threshold": 0.01},
    "adjusted_rand_index": {"true_masks": MASKS, "predicted_masks": SOFT, "foreground": True, "min_groups": 2},
    "adjusted_rand_index_by_scene": {"true_masks": MASKS, "predicted_masks": SOFT, "min_groups": 1},
    "assign_latents": {"codes": CODES, "factors": PATHS[:, 0].repeat(7, 0)[:N], "groups": {"a": [0], "b": [1]}},
    "beta_vae_score": {"codes": CODES, "factors": FACTORS, **CELLS},
    "bimodality": {"eigenvalues": CODES[:, 0] / 4, "num_starts": 1},
    "centroid_error": {"predicted": PATHS[:, :, None], "true": PATHS[:, :, None] + 0.1, "chance": 1.0},
    "centroid_errors": {"predicted": PATHS[:, :, None], "true": PATHS[:, :, None] + 0.1},
    "centroid_lag": {"frames": DISCS, "reconstructions": DISCS, "max_lag": 1, **SMALL},
    "class_histogram": {"predictions": FACTORS[:, 1], "size": 3},
    "cosine_auc": {"codes_a": CODES, "codes_b": CODES[::-1].copy(), "same": FACTORS[:, 0] == 0, **SMALL},
    "cosine_similarities": {"codes_a": CODES, "codes_b": CODES[::-1].copy()},
    "dci": {"codes": CODES, "factors": FACTORS, "num_trees": 2, "max_items": 30},
    "disc_centroid": {"frames": DISCS, "threshold": 0.5},
    "dominance": {"kl": KL, "present": PRESENT, "type_names": NAMES, **SMALL},
    "eigenvalue_memory": {"eigenvalues": np.array([0.5, 0.9])},
    "explained_by_groups": {"codes": CODES, "factors": CODES[:, :2], "groups": {"a": [0], "b": [1]}},
    "factor_accuracies": {"predictions": FACTORS, "labels": FACTORS, "factor_names": NAMES, "factor_sizes": SIZES},
    "factor_r2": {"codes": CODES, "factors": CODES[:, :2], **SMALL},
    "factor_vae_score": {"codes": CODES, "factors": FACTORS, **CELLS},
    "frechet_distance": {"features_a": CODES, "features_b": CODES + 1, **SMALL},
    "hamming_distance": {"frames": FRAMES, "predictions": FRAMES, "threshold": 0.5},
    "histogram_entropy": {"predictions": FACTORS[:, 1], "size": 3, **SMALL},
    "image_quality": {"reconstruction": G.random((3, 2, 1, 12, 12)), "x": G.random((3, 2, 1, 12, 12))},
    "inception_scores": {"probabilities": SHARES, "labels": np.arange(N) % 4, **SMALL},
    "lag_of_paths": {"path": PATHS, "true_path": PATHS + 0.01, "max_lag": 1, **SMALL},
    "lag_one_correlation": {"factors": PATHS},
    "latent_correlation": {"codes": CODES},
    "latent_factor_correlation": {"codes": CODES, "factors": CODES[:, :2]},
    "mask_iou": {"type_masks": MASKS, "predicted_masks": SOFT[:, :2], "type_names": NAMES},
    "mcc": {"codes": CODES, "factors": CODES[:, :2], "ranks": True, **SMALL},
    "mean_score": {"values": CODES[:, 0], "chance": 0.0, "ceiling": 1.0},
    "mig": {"codes": CODES, "factors": FACTORS, "num_bins": 4, **SMALL},
    "modularity": {"codes": CODES, "factors": FACTORS, "num_bins": 4, **SMALL},
    "mutual_information_matrix": {"codes": CODES, "factors": FACTORS, "num_bins": 4},
    "owner_accuracy": {"item_masks": MASKS, "predicted_masks": SOFT, "types": np.zeros((5, 2), dtype=int)},
    "paired_difference": {"first": CODES[:, 0], "second": CODES[:, 1]},
    "presence_auroc": {"kl": KL, "present": PRESENT, "type_names": NAMES, **SMALL},
    "probe_accuracy": {
        "codes_train": CODES,
        "labels_train": FACTORS[:, 0],
        "codes_test": CODES,
        "labels_test": FACTORS[:, 0],
    },
    "probe_r2": {
        "codes_train": CODES,
        "targets_train": CODES[:, :2],
        "codes_test": CODES + 0.1,
        "targets_test": CODES[:, :2],
    },
    "proportion_score": {"correct": FACTORS[:, 0] == 0, "chance": 0.5, "ceiling": 1.0},
    "region_errors": {"frames": FRAMES, "reconstructions": FRAMES, "masks": REGIONS},
    "region_errors_by_item": {"frames": FRAMES, "reconstructions": FRAMES, "masks": REGIONS},
    "report": {"codes": CODES, "factors": FACTORS, "scores": metrics.QUICK_SCORES[:1]},
    "sap": {"codes": CODES, "factors": FACTORS, **SMALL},
    "sequence_quality": {"reconstruction": G.random((3, 2, 1, 12, 12)), "x": G.random((3, 2, 1, 12, 12))},
    "squared_cross_correlation": {"codes": CODES, **SMALL},
    "two_factor_score": {
        "static_changed": FACTORS,
        "dynamic_changed": FACTORS,
        "labels": FACTORS,
        "factor_names": NAMES,
        "factor_sizes": SIZES,
        **SMALL,
    },
    "two_sided_scores": {
        "predictions": dict.fromkeys(
            ("reconstruction", "static_sampled", "static_swapped", "dynamic_sampled", "dynamic_swapped"), FACTORS
        ),
        "labels": dict.fromkeys(("own", "donor"), FACTORS),
        "factor_names": NAMES,
        "factor_sizes": SIZES,
    },
    "two_sided_wanted": {"factor_names": NAMES, "dynamic": ("action",)},
    "unordered_positions": {"centers": PATHS[:, :2]},
}
REGULARIZERS: dict[str, dict[str, Any]] = {
    "barlow_twins": {"first": tensor(6, 3), "second": tensor(6, 3) ** 2, "redundancy_weight": 0.1},
    "identity_deviation": {"transition": tensor(2, T, 3, 3)},
    "increasing_weights": {"num": 4, "gamma": 2.0},
    "inertial_loss": {"codes": tensor(2, T, D)},
    "info_nce": {"a": tensor(4, D), "b": tensor(4, D), "temperature": 0.5},
    "linear_prediction_error": {"z": tensor(2, T, D), "alpha": 0.9},
    "mask_entropy_penalty": {"masks": tensor(2, 3, 4, 4).softmax(1), "floor": 1e-6},
    "mixing_weight": {"mixing": 0.5, "num_pixels": 64, "scale": 0.5},
    "mutual_information": {"static": -tensor(4, 4), "dynamic": -tensor(4, 4, T).sum(-1), "num_data": 10},
    "pixel_error": {"reconstruction": tensor(2, T, 1, 8, 8), "x": tensor(2, T, 1, 8, 8) ** 2},
    "claim_penalty": {
        "x": tensor(4, 1, 1, 8, 8),
        "components": tensor(4, 3, 1, 8, 8),
        "confidence": tensor(4, 3, 8, 8),
    },
    "silence_penalty": {"kl": tensor(4, 3), "present": tensor(4, 3) > 0.5},
    "slowness": {"eigenvalues": tensor(2, T, D)},
    "temporal_difference": {"z": tensor(2, T, D)},
    "total_correlation": {"log_densities": -tensor(4, 4, D), "log_weights": -tensor(4, 4)},
    "weighted_slowness": {"eigenvalues": tensor(2, T, D), "weights": tensor(D)},
}
OPS: dict[str, dict[str, Any]] = {
    "bounded_eigenvalues": {"raw": tensor(2, 3)},
    "chain_precision": {
        "transition": stable(2, 2),
        "process_covariance": stable(2, 2),
        "initial_covariance": stable(2, 2),
        "num_frames": 3,
    },
    "check_eigenvalue": {"name": "a", "value": 0.5},
    "check_frames": {"x": tensor(2, T, 1, 8, 8), "frame_shape": (1, 8, 8)},
    "check_frames_shape": {"x": tensor(2, T, 1, 8, 8), "frame_shape": (1, 8, 8)},
    "check_positive_int": {"name": "a", "value": 5},
    "check_positive_number": {"name": "a", "value": 0.5},
    "check_present": {"present": tensor(3, 2) > 0.5, "batch_size": 3, "num_components": 2},
    "check_shown": {"shown": torch.tensor([True, False, True]), "x": tensor(2, 3, 1, 8, 8)},
    "check_single_frames": {"x": tensor(2, 1, 1, 8, 8)},
    "contraction": {"raw": tensor(2, 3, 3)},
    "full_precision": {"x": tensor(2, 3)},
    "kalman_log_evidence": {
        "observed": tensor(2, 3, 5),
        "emission": tensor(5, 2),
        "scale": 0.5,
        "transition": stable(2, 2),
        "process_covariance": stable(2, 2),
        "initial_covariance": stable(2, 2),
    },
    "linear_recurrence": {"coefficients": tensor(2, T - 1, D), "drive": tensor(2, T, D)},
    "match_parts": {"looks": tensor(2, 3, 2, 4)},
    "matrix_recurrence": {"matrices": tensor(2, T - 1, D, D) / 4, "drive": tensor(2, T, D, 1)},
}
PLOTTING: dict[str, dict[str, Any]] = {
    "correlation_matrix": {"matrix": np.eye(3), "row_names": ["a", "b", "c"]},
    "error_by_distance": {"distances": CODES[:, 0] ** 2, "errors": CODES[:, 1] ** 2, "num_bins": 3},
    "factor_sweep": {"values": np.arange(4.0), "codes": G.random((4, 3))},
    "factorization_graph": {"factorization": {"f": ["x_1", "x_2"], "z_1": ["f", "x_1"], "z_2": ["z_1", "x_2"]}},
    "frame_grid": {"sequences": FRAMES[:2], "row_labels": ["a", "b"], "scale": 1},
    "latent_kl_map": {"kl": {"a": G.random((T, D))}},
    "position_map": {"positions": G.random((9, 2)), "errors": G.random(9), "num_bins": 2},
    "posterior_over_time": {"draws": G.random((9, T, 1)), "num_paths": 1},
    "rank_histogram": {"ranks": np.arange(20)[:, None] % 5, "num_draws": 4, "num_bins": 5},
    "save_gif": {"path": Path(tempfile.gettempdir()) / "pyrodis-fuzz.gif", "sequences": FRAMES[:1], "fps": 8},
    "swap_grid": {"x_a": FRAMES[:1], "x_b": FRAMES[1:2], "swapped_ab": FRAMES[2:3], "swapped_ba": FRAMES[3:4]},
    "sweep_curve": {"x": [1.0, 2.0], "y": G.random((3, 2)).tolist()[0], "low": [0.0, 0.0], "high": [2.0, 2.0]},
    "sweep_map": {"values": G.random((2, 2)), "row_values": [1.0, 2.0], "column_values": [1.0, 2.0], "log": False},
    "time_covariance": {"covariance": np.eye(4)},
    "training_curves": {"history": {"epoch": [1, 2], "train_nll": [2.0, 1.0]}},
    "worst_and_best": {"frames": FRAMES[:, 0], "reconstructions": FRAMES[:, 1], "errors": np.arange(5.0), "num": 2},
}
DISTRIBUTIONS: dict[str, dict[str, Any]] = {
    "BlockTridiagonalNormal": {
        "loc": tensor(2, 3, 2),
        "precision_diagonal": stable(2, 3, 2, 2),
        "precision_lower": 0.1 * tensor(2, 2, 2, 2),
    },
    "GaussMarkovNormal": {"loc": tensor(2, 3, 2), "scale": tensor(2, 3, 2), "eigenvalues": tensor(2, 2, 2)},
    "LaplaceTransition": {"num_frames": 3, "dim": 2, "rate": 1.0},
    "MaskWeightedNormal": {"loc": tensor(2, 3, 1, 4, 4), "logits": tensor(2, 3, 4, 4), "scale": 0.5},
    "PixelMixture": {"loc": tensor(2, 3, 1, 4, 4), "logits": tensor(2, 3, 4, 4), "scale": 0.5},
    "TanhNormal": {"loc": tensor(2), "scale": tensor(2)},
    "TruncatedLaplace": {"loc": tensor(2), "scale": tensor(2), "low": -1.0, "high": 1.0},
}
# What takes objects of the library instead of arrays and numbers, or is no function; tested beside its module.
ELSEWHERE = {
    "ALL_SCORES",
    "QUICK_SCORES",
    "Bimodality",
    "Report",
    "Score",
    "as_components",
    "register_parameters",
    "channels_last",
    "in_parts",
    "keep_freed_memory",
    "without_autocast",
    "eigenvalue_histogram",
    "guide_comparison",
    "guide_table",
    "mask_panel",
    "score_table",
    "traversal_film",
    "traversal_grid",
    "two_sided_bars",
    "AutoregressiveNormal",
    "MixtureStart",
    "SlowFastMixture",
    "StructuredNormal",
}
TABLES = {
    metrics: METRICS,
    regularizers: REGULARIZERS,
    ops: OPS,
    plotting: PLOTTING,
    distributions: DISTRIBUTIONS,
}
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    f"{module.__name__.partition('.')[2]}.{name}": (getattr(module, name), arguments)
    for module, table in TABLES.items()
    for name, arguments in table.items()
}
