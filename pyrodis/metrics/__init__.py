"""Pure functions of codes, factors, predictions and frames; every result is a :class:`Score`.

A score carries its interval over the test items, its chance level, its ceiling and the number of items. Inputs are
numpy arrays or torch tensors; what they must look like is checked at the edge.
"""

from pyrodis.metrics.activity import active_units, activity
from pyrodis.metrics.classification import factor_accuracies
from pyrodis.metrics.frechet import frechet_distance
from pyrodis.metrics.image_quality import image_quality, sequence_quality
from pyrodis.metrics.inception import inception_scores
from pyrodis.metrics.probes import probe_accuracy
from pyrodis.metrics.score import Score, mean_score, proportion_score
from pyrodis.metrics.similarity import cosine_auc, cosine_similarities
from pyrodis.metrics.swap import class_histogram, histogram_entropy, two_sided_scores, two_sided_wanted

__all__ = [
    "Score",
    "active_units",
    "activity",
    "class_histogram",
    "cosine_auc",
    "cosine_similarities",
    "factor_accuracies",
    "frechet_distance",
    "histogram_entropy",
    "image_quality",
    "inception_scores",
    "mean_score",
    "probe_accuracy",
    "proportion_score",
    "sequence_quality",
    "two_sided_scores",
    "two_sided_wanted",
]
