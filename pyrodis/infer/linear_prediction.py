"""The error of predicting codes on a straight line, as a penalty."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from pyrodis.infer.penalties import GuideRun
from pyrodis.regularizers import linear_prediction_error


class LinearPrediction(nn.Module):
    """How badly a frame's posterior mean continues the line through the two before; for `add_guide_penalty`.

    The pure function is `pyrodis.regularizers.linear_prediction_error`, of the means of one site; of a site whose
    frames feed back, of the path on which every frame takes its mean. A learned alpha starts at `alpha` and is trained
    along.

    A penalty of the means of a fixed size can be lowered by codes that shrink; the KL to a prior of fixed scale stands
    against that.

    Args:
        site: Name of the site.
        alpha: How much of the last step is repeated: 1 is constant velocity, 0 is no motion.
        learn_alpha: Whether alpha is a parameter.

    Shape:
        A run over B clips of at least three frames to (B).

    Raises:
        TypeError: If alpha is not a number.
        ValueError: If alpha is not finite, or the site is missing or has fewer than three frames.

    Source:
        Zaharia, Peters et al., Disentangled dynamics, whose penalty is on the codes; on posterior means it has no noise
        to pay for.

    Example:
        >>> from pyrodis.infer import NamedELBO, add_guide_penalty
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_guide_penalty(guide, "prediction", LinearPrediction(learn_alpha=True), 0.1)
        >>> NamedELBO().terms(model, guide, torch.rand(3, 5, 1, 8, 8)).values["prediction"] > 0
        tensor(True)
    """

    def __init__(self, site: str = "z", alpha: float = 1.0, learn_alpha: bool = False) -> None:
        super().__init__()
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
            raise TypeError(f"alpha must be a number, got {alpha!r}; 1 is constant velocity")
        if not math.isfinite(alpha):
            raise ValueError(f"alpha must be finite, got {alpha}; 1 is constant velocity")
        self.site = site
        self.alpha = float(alpha)
        self.learn_alpha = learn_alpha
        self.coefficient = nn.Parameter(torch.tensor(self.alpha), requires_grad=learn_alpha)

    def forward(self, run: GuideRun) -> torch.Tensor:
        """Return the error of each clip.

        Args:
            run: A run of the guide.

        Returns:
            Errors in squared units of the code, shape (B).
        """
        fn: Any = run.site(self.site)["fn"]
        mean = fn.mean_path if hasattr(fn, "mean_path") else fn.mean
        return linear_prediction_error(mean, self.coefficient)
