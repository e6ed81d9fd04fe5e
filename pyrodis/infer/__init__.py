"""Training, objectives, effect handlers and queries.

The names that most people need are those of `pyrodis` itself; a name here is looked up when it is first used, so that
importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrodis.infer.amortization import AmortizationGap as AmortizationGap
    from pyrodis.infer.amortization import amortization_gap as amortization_gap
    from pyrodis.infer.calibration import Calibration as Calibration
    from pyrodis.infer.calibration import interval_coverage as interval_coverage
    from pyrodis.infer.calibration import simulation_based_calibration as simulation_based_calibration
    from pyrodis.infer.components import component_kl as component_kl
    from pyrodis.infer.contrastive import Contrast as Contrast
    from pyrodis.infer.correlation import posterior_correlation as posterior_correlation
    from pyrodis.infer.density_ratio import DensityRatio as DensityRatio
    from pyrodis.infer.digit_judge import ClipReading as ClipReading
    from pyrodis.infer.digit_judge import DigitJudge as DigitJudge
    from pyrodis.infer.digit_judge import train_digit_judge as train_digit_judge
    from pyrodis.infer.elbo import NamedELBO as NamedELBO
    from pyrodis.infer.elbo import Terms as Terms
    from pyrodis.infer.evaluation import Decodings as Decodings
    from pyrodis.infer.evaluation import decode_exchanges as decode_exchanges
    from pyrodis.infer.evaluation import exchange_scores as exchange_scores
    from pyrodis.infer.evaluation import pair_table as pair_table
    from pyrodis.infer.evaluation import unseen_scores as unseen_scores
    from pyrodis.infer.factorization import measure_factorization as measure_factorization
    from pyrodis.infer.gaps import factorization_gaps as factorization_gaps
    from pyrodis.infer.guide_scores import GuideScores as GuideScores
    from pyrodis.infer.guide_scores import GuideTable as GuideTable
    from pyrodis.infer.hidden_frames import score_shown_frames as score_shown_frames
    from pyrodis.infer.history import History as History
    from pyrodis.infer.interruption import TrainingInterrupted as TrainingInterrupted
    from pyrodis.infer.judge import Judge as Judge
    from pyrodis.infer.judge import train_judge as train_judge
    from pyrodis.infer.learned_similarity import LearnedSimilarity as LearnedSimilarity
    from pyrodis.infer.linear_prediction import LinearPrediction as LinearPrediction
    from pyrodis.infer.mutual_information import MutualInformation as MutualInformation
    from pyrodis.infer.pareto import pareto_khat as pareto_khat
    from pyrodis.infer.penalties import GuideRun as GuideRun
    from pyrodis.infer.penalties import add_guide_penalty as add_guide_penalty
    from pyrodis.infer.processes import end_processes as end_processes
    from pyrodis.infer.processes import first_process as first_process
    from pyrodis.infer.processes import joint_batch as joint_batch
    from pyrodis.infer.reencoding import Reencoding as Reencoding
    from pyrodis.infer.same_clip import SameClip as SameClip
    from pyrodis.infer.settings import FitSettings as FitSettings
    from pyrodis.infer.site_kl import SiteKL as SiteKL
    from pyrodis.infer.site_kl import latent_kl as latent_kl
    from pyrodis.infer.slow_learning import SlowLearning as SlowLearning
    from pyrodis.infer.staged_training import fit_stages as fit_stages
    from pyrodis.infer.stages import Stage as Stage
    from pyrodis.infer.stages import individual_stages as individual_stages
    from pyrodis.infer.stages import tandem_stages as tandem_stages
    from pyrodis.infer.stages import together_stages as together_stages
    from pyrodis.infer.supervised import fit_supervised as fit_supervised
    from pyrodis.infer.total_correlation import TotalCorrelation as TotalCorrelation
    from pyrodis.infer.traversal import remove_latents as remove_latents
    from pyrodis.infer.what_where import WhatWhereDecodings as WhatWhereDecodings
    from pyrodis.infer.what_where import decode_what_where as decode_what_where
    from pyrodis.infer.what_where import future_frame_scores as future_frame_scores
    from pyrodis.infer.what_where import what_where_probes as what_where_probes
    from pyrodis.infer.what_where import what_where_scores as what_where_scores

_HOMES = {
    "AmortizationGap": "amortization",
    "Calibration": "calibration",
    "ClipReading": "digit_judge",
    "Contrast": "contrastive",
    "Decodings": "evaluation",
    "DensityRatio": "density_ratio",
    "DigitJudge": "digit_judge",
    "FitSettings": "settings",
    "GuideRun": "penalties",
    "GuideScores": "guide_scores",
    "GuideTable": "guide_scores",
    "History": "history",
    "Judge": "judge",
    "LearnedSimilarity": "learned_similarity",
    "LinearPrediction": "linear_prediction",
    "MutualInformation": "mutual_information",
    "NamedELBO": "elbo",
    "Reencoding": "reencoding",
    "SameClip": "same_clip",
    "SiteKL": "site_kl",
    "SlowLearning": "slow_learning",
    "Stage": "stages",
    "Terms": "elbo",
    "TotalCorrelation": "total_correlation",
    "TrainingInterrupted": "interruption",
    "WhatWhereDecodings": "what_where",
    "add_guide_penalty": "penalties",
    "amortization_gap": "amortization",
    "component_kl": "components",
    "decode_exchanges": "evaluation",
    "decode_what_where": "what_where",
    "exchange_scores": "evaluation",
    "unseen_scores": "evaluation",
    "factorization_gaps": "gaps",
    "end_processes": "processes",
    "first_process": "processes",
    "fit_stages": "staged_training",
    "fit_supervised": "supervised",
    "future_frame_scores": "what_where",
    "individual_stages": "stages",
    "interval_coverage": "calibration",
    "joint_batch": "processes",
    "latent_kl": "site_kl",
    "measure_factorization": "factorization",
    "pair_table": "evaluation",
    "pareto_khat": "pareto",
    "posterior_correlation": "correlation",
    "remove_latents": "traversal",
    "score_shown_frames": "hidden_frames",
    "simulation_based_calibration": "calibration",
    "tandem_stages": "stages",
    "together_stages": "stages",
    "train_digit_judge": "digit_judge",
    "train_judge": "judge",
    "what_where_probes": "what_where",
    "what_where_scores": "what_where",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"pyrodis.infer.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pyrodis.infer' has no attribute '{name}'; it has {', '.join(__all__)}")
