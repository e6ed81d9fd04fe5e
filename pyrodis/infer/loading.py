"""Reading a trained pair back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyrodis.infer.checkpoint import check_weights, load_weights, read_weights
from pyrodis.infer.describe import build
from pyrodis.infer.penalties import innermost
from pyrodis.infer.run_directory import read_config
from pyrodis.ops import channels_last

__all__ = ["load"]


def load(
    run: Path | str,
    model: nn.Module | None = None,
    guide: nn.Module | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Any, Any]:
    """Return the model and the guide of a run, in eval mode.

    Built-in classes are built from ``config.json`` through a fixed table; objects of other classes are given. The
    weights come from ``weights.safetensors``. A guide that uses modules of its model gets them by its `share_with`;
    weights of convolutions lie channels last, as after `fit`. Nothing is unpickled, nothing is imported by a name from
    a file, and no memory is taken for sizes that the weights do not have.

    Args:
        run: The directory of the run.
        model: A model to fill with the weights, in place of the recorded one.
        guide: A guide to fill with the weights, in place of the recorded one.
        device: Where to put both.

    Returns:
        Model and guide.

    Raises:
        FileNotFoundError: The directory, its settings or its weights do not exist.
        ValueError: A file is damaged or of a newer format, a class is not built in, or a shape differs.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
            ...
        FileNotFoundError: nowhere/config.json does not exist; give the directory of a run
    """
    config = read_config(run)
    path = Path(run) / "weights.safetensors"
    with torch.device("meta"):  # shapes alone
        model_shapes = build(config["model"]) if model is None else model
        guide_shapes = build(config["guide"]) if guide is None else guide
    weights = read_weights(path)
    check_weights(model_shapes, guide_shapes, weights, path)
    model = build(config["model"]) if model is None else model
    guide = build(config["guide"]) if guide is None else guide
    load_weights(model, guide, weights, path)
    inner: Any = innermost(guide)
    if hasattr(inner, "share_with"):
        inner.share_with(innermost(model))  # a run holds what they share twice, with the same weights
    for program in (model, guide):
        channels_last(program.eval().to(device))  # as `fit` leaves them
    return model, guide
