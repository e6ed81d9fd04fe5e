"""Contrast of clips and of views of them, as a penalty."""

from __future__ import annotations

import torch
from torch import nn

from pyrodis.infer.penalties import GuideRun
from pyrodis.infer.second_pass import second_pass
from pyrodis.infer.sites import given_past
from pyrodis.ops import check_positive_number
from pyrodis.regularizers import info_nce


class Contrast(nn.Module):
    """A code should tell its clip from the others through a view of the clip; for `add_guide_penalty`.

    The guide runs a second time, on view(x), unseen by the trace; the means of one site in both runs, given the draws
    before, are compared by `pyrodis.regularizers.info_nce`. The code is rewarded for what the view keeps and charged
    for what the view changes. For f the view is one that changes the motion alone (`FrameShuffle`), for z one that
    changes the appearance alone (`RandomTones`). The gradient passes through both runs. Each contrast costs a further
    run of the guide.

    Args:
        site: Name of the site.
        view: A module from frames to frames.
        temperature: As in `info_nce`.

    Shape:
        A run over B clips to (B).

    Raises:
        TypeError: If the view is no module or the temperature no number.
        ValueError: If the temperature is not above 0, or the site is missing.

    Source:
        Bai et al. (2021), who contrast posterior means as well; here the negatives of a clip are the views of the other
        clips of its batch.

    Example:
        >>> from pyrodis.infer import NamedELBO, add_guide_penalty
        >>> from pyrodis.nn import FrameShuffle
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_guide_penalty(guide, "contrast_f", Contrast("f", FrameShuffle()), 1.0)
        >>> NamedELBO().terms(model, guide, torch.rand(3, 5, 1, 8, 8)).values["contrast_f"] > 0
        tensor(True)
    """

    def __init__(self, site: str, view: nn.Module, temperature: float = 0.5) -> None:
        super().__init__()
        if not isinstance(view, nn.Module):
            raise TypeError(
                f"view must be a module from frames to frames, got {view!r}; pass one such as FrameShuffle()"
            )
        self.site = site
        self.view = view
        self.temperature = check_positive_number("temperature", temperature)

    def forward(self, run: GuideRun) -> torch.Tensor:
        """Return the contrast of each clip.

        Args:
            run: A run of the guide.

        Returns:
            Values in nats, shape (B).
        """
        sites = run.site(self.site), second_pass(run.guide, self.view(run.x))[self.site]
        first, second = (given_past(site).mean.flatten(-len(site["fn"].event_shape)) for site in sites)
        return info_nce(first, second, self.temperature)
