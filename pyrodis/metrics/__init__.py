"""Pure functions of codes, factors, predictions and frames; every result is a :class:`Score`.

A score carries its interval over the test items, its chance level, its ceiling and the number of items. Inputs are
numpy arrays or torch tensors; what they must look like is checked at the edge.
"""

from pyrodis.metrics.activity import active_units, activity
from pyrodis.metrics.assignment import assign_latents, explained_by_groups
from pyrodis.metrics.beta_vae_score import beta_vae_score
from pyrodis.metrics.bimodality import Bimodality, bimodality, eigenvalue_memory
from pyrodis.metrics.classification import factor_accuracies
from pyrodis.metrics.correlation import (
    lag_one_correlation,
    latent_correlation,
    latent_factor_correlation,
    squared_cross_correlation,
)
from pyrodis.metrics.dci import dci
from pyrodis.metrics.factor_r2 import factor_r2
from pyrodis.metrics.factor_vae_score import factor_vae_score
from pyrodis.metrics.frechet import frechet_distance
from pyrodis.metrics.hamming import hamming_distance
from pyrodis.metrics.image_quality import image_quality, sequence_quality
from pyrodis.metrics.inception import inception_scores
from pyrodis.metrics.lag import centroid_lag, disc_centroid, lag_of_paths
from pyrodis.metrics.mcc import mcc
from pyrodis.metrics.mig import mig, mutual_information_matrix
from pyrodis.metrics.modularity import modularity
from pyrodis.metrics.paired import paired_difference
from pyrodis.metrics.positions import centroid_error, centroid_errors, unordered_positions
from pyrodis.metrics.presence import dominance, presence_auroc
from pyrodis.metrics.probes import probe_accuracy, probe_r2
from pyrodis.metrics.regions import region_errors, region_errors_by_item
from pyrodis.metrics.report import ALL_SCORES, QUICK_SCORES, Report, report
from pyrodis.metrics.sap import sap
from pyrodis.metrics.score import Score, mean_score, proportion_score
from pyrodis.metrics.segmentation import (
    adjusted_rand_index,
    adjusted_rand_index_by_scene,
    mask_iou,
    owner_accuracy,
)
from pyrodis.metrics.similarity import cosine_auc, cosine_similarities
from pyrodis.metrics.swap import class_histogram, histogram_entropy, two_sided_scores, two_sided_wanted
from pyrodis.metrics.two_factor import two_factor_score

__all__ = [
    "ALL_SCORES",
    "QUICK_SCORES",
    "Bimodality",
    "Report",
    "Score",
    "active_units",
    "activity",
    "adjusted_rand_index",
    "adjusted_rand_index_by_scene",
    "assign_latents",
    "beta_vae_score",
    "bimodality",
    "centroid_error",
    "centroid_errors",
    "centroid_lag",
    "class_histogram",
    "cosine_auc",
    "cosine_similarities",
    "dci",
    "disc_centroid",
    "dominance",
    "eigenvalue_memory",
    "explained_by_groups",
    "factor_accuracies",
    "factor_r2",
    "factor_vae_score",
    "frechet_distance",
    "hamming_distance",
    "histogram_entropy",
    "image_quality",
    "inception_scores",
    "lag_of_paths",
    "lag_one_correlation",
    "latent_correlation",
    "latent_factor_correlation",
    "mask_iou",
    "mcc",
    "mean_score",
    "mig",
    "modularity",
    "mutual_information_matrix",
    "owner_accuracy",
    "paired_difference",
    "presence_auroc",
    "probe_accuracy",
    "probe_r2",
    "proportion_score",
    "region_errors",
    "region_errors_by_item",
    "report",
    "sap",
    "sequence_quality",
    "squared_cross_correlation",
    "two_factor_score",
    "two_sided_scores",
    "two_sided_wanted",
    "unordered_positions",
]
