"""Consistency of codes that are swapped, decoded and encoded again, as a penalty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pyro import poutine
from torch import nn

from pyrodis.infer.penalties import GuideRun, innermost
from pyrodis.infer.second_pass import second_pass, unseen
from pyrodis.infer.sites import given_past


class Reencoding(nn.Module):
    r"""Swapped codes should come back when their decoding is encoded; for `add_guide_penalty`.

    $$R_i = \sum_s \lVert \mathrm{loc}_s(\hat x_i) - c_{s,i} \rVert^2, \qquad \hat x_i = \mathrm{decode}(c_i), \qquad
    c_{f,i} = \mathrm{loc}_f(x_{i-1}), \quad c_{z,i} = \mathrm{loc}_z(x_i)$$

    The static sites come from the clip before in the batch, i - 1 (from the last one for the first), all others from
    clip i. Where two codes hold the same, a swap contradicts itself and cannot come back. loc is the mean given the
    draws before.

    The codes that go in are constants, on both sides: no gradient passes to the run that made them. The gradient
    reaches the decoder, and the guide through its second run alone; the prior gets none. The model's parameters are
    not registered here a second time. Each step decodes and encodes once more.

    Args:
        model: The model, whose "reconstruction" given codes is the decoding.
        static: Names of the sites that are swapped.

    Shape:
        A run over B clips to (B).

    Raises:
        TypeError: If the model is no module, or `static` is a string.
        ValueError: If `static` does not name some but not all of the guide's sites.

    Example:
        >>> from pyrodis.infer import NamedELBO, add_guide_penalty
        >>> from pyrodis.testing import tiny_dsvae
        >>> model, guide = tiny_dsvae()
        >>> guide = add_guide_penalty(guide, "reencoding", Reencoding(model), 1.0)
        >>> NamedELBO().terms(model, guide, torch.rand(3, 5, 1, 8, 8)).values["reencoding"] > 0
        tensor(True)
    """

    def __init__(self, model: nn.Module, static: Sequence[str] = ("f",)) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch module that is a Pyro program, got {type(model).__name__}")
        if isinstance(static, str):
            raise TypeError(f'static must be a list of site names, got the string "{static}"; write ["{static}"]')
        self._model = (innermost(model),)  # in a tuple, so that it is no submodule
        self.static = tuple(static)

    @property
    def model(self) -> nn.Module:
        """The model, without wrappers."""
        return self._model[0]

    def forward(self, run: GuideRun) -> torch.Tensor:
        """Return the summed squared distance of each clip's codes.

        Args:
            run: A run of the guide.

        Returns:
            Values of shape (B).
        """
        if not set(self.static) < set(run.sites) or not self.static:
            raise ValueError(
                f"static must name some but not all of the guide's sites {sorted(run.sites)}, got {list(self.static)}"
            )
        codes = {name: self._code(name, site) for name, site in run.sites.items()}
        with unseen(self.model), poutine.condition(data=codes):
            frames = self.model(run.x)["reconstruction"]
        again = second_pass(run.guide, frames.reshape(-1, *frames.shape[-4:]))
        parts = []
        for name, code in codes.items():
            event = len(run.sites[name]["fn"].event_shape)
            loc = given_past(again[name]).mean.reshape(code.shape)
            parts.append((loc - code).square().flatten(-event).sum(-1))
        return torch.stack(parts).sum(0)

    def _code(self, name: str, site: Any) -> torch.Tensor:
        loc = given_past(site).mean.detach()
        return loc.roll(1, -1 - len(site["fn"].event_shape)) if name in self.static else loc
