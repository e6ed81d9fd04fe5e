"""A model of clips of which some frames were not observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import nn
from torch.distributions import Independent

from pyrodis.infer.sites import OBSERVED
from pyrodis.ops import check_shown

__all__ = ["ShownFrames", "score_shown_frames"]

Shown = torch.Tensor | Callable[[torch.Tensor], torch.Tensor]


class _MaskFrames(Messenger):
    """A handler that gives the pixels of hidden frames the log-density 0."""

    def __init__(self, shown: torch.Tensor) -> None:
        super().__init__()
        self.shown = shown

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] != OBSERVED or not msg["is_observed"]:
            return
        fn = msg["fn"]
        if not isinstance(fn, Independent) or len(fn.event_shape) != 4 or fn.base_dist.event_shape:
            raise ValueError(
                f"the site 'x' must be a distribution of independent pixels with to_event(4), got {fn}; "
                "frames of another distribution cannot be left out"
            )
        msg["fn"] = fn.base_dist.mask(self.shown[..., None, None, None]).to_event(4)


class ShownFrames(nn.Module):
    """A model whose likelihood counts the shown frames alone; made by `score_shown_frames`.

    Args:
        program: The model.
        shown: Which frames are observed, a bool tensor or the sequence of its values; or a function of the clips that
            says so.

    Raises:
        TypeError: If `program` is no module, or `shown` none of these.

    Example:
        >>> ShownFrames(nn.Identity(), torch.tensor([True, False])).shown
        tensor([ True, False])
    """

    def __init__(self, program: nn.Module, shown: Shown | Sequence[Any]) -> None:
        super().__init__()
        if not isinstance(program, nn.Module):
            raise TypeError(f"program must be a model, got {program!r}")
        self.program = program
        self.shown: Shown = _check_frames(shown)

    def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None, **inputs: Any) -> Any:
        """Run the model; without clips nothing is hidden.

        Args:
            x: Clips (B, T, C, H, W), or None.
            batch_size: B, if there is no x.
            inputs: Passed on: what else the model is given, see `FitSettings`.

        Returns:
            What the model returns.

        Raises:
            TypeError: If `shown` is not a bool tensor.
            ValueError: If it has another shape than (T) or (B, T), or hides all frames of a clip.
        """
        if x is None:
            return self.program(batch_size=batch_size, **inputs)
        shown: Any = self.shown if isinstance(self.shown, torch.Tensor) else self.shown(x)
        with _MaskFrames(check_shown(shown, x).to(x.device)):
            return self.program(x, **inputs)


def score_shown_frames(model: nn.Module, shown: Shown) -> ShownFrames:
    r"""Leave the hidden frames of clips out of a model's likelihood, as missing data are.

    $$\log p(x_{\mathrm{shown}} \mid f, z) = \sum_{t \,\mathrm{shown}} \log p(x_t \mid f, z_t)$$

    The codes of hidden frames keep their prior, so what is trained with it is a bound of the evidence of the shown
    frames. What the guide sees of a hidden frame is up to the clips: give it clips with black in those places.

    A model that scores some frames only, as `DelayedVAE` does, scores those of them that are shown.

    A run that is fitted with it is saved as this module, and `load` gives it back; its `program` is the model. Where
    `shown` is a function, load it with `load(run, model=score_shown_frames(...))`, an object of one's own making.

    Args:
        model: A model whose site "x" has independent pixels.
        shown: True where a frame is observed; or a function from clips to that, such as
            `pyrodis.nn.visible_frames`, where every clip has frames of its own that are missing.

    Shape:
        shown: (T) or (B, T), bool.

    Returns:
        A module that runs the model; its parameters are the model's.

    Raises:
        TypeError: If `shown` is neither a tensor nor a function.

    Source:
        Missing at random, after Rubin, Inference and Missing Data (1976).

    Example:
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> model = score_shown_frames(model, torch.tensor([True, True, False, True, True]))
        >>> model(torch.zeros(2, 5, 1, 8, 8))["reconstruction"].shape
        torch.Size([2, 5, 1, 8, 8])
    """
    if isinstance(shown, Sequence):
        raise TypeError(f"shown must be a bool tensor or a function from clips to one, got {shown!r}")
    return ShownFrames(model, shown)


def _check_frames(shown: Any) -> Shown:
    """`shown` as a tensor or a function. What its shape has to be, its clips say later."""
    if isinstance(shown, Sequence) and not isinstance(shown, str):
        flat = [value for row in shown for value in (row if isinstance(row, Sequence) else [row])]
        lengths = {len(row) if isinstance(row, Sequence) else None for row in shown}
        if not flat or len(lengths) > 1 or not all(isinstance(value, bool) for value in flat):
            raise TypeError(f"shown must be true or false, a value a frame, alike for all clips, got {shown!r}")
        return torch.tensor(shown)
    if not isinstance(shown, torch.Tensor) and not callable(shown):
        raise TypeError(f"shown must be a bool tensor or a function from clips to one, got {shown!r}")
    return shown
