"""Judges: supervised classifiers of clips, which score what an unsupervised model decodes."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pyrodis.infer.sampler import seeded
from pyrodis.nn import ConvEncoder
from pyrodis.ops import channels_last, check_frames_shape, full_precision
from pyrodis.ops.paths import cache_dir

JUDGE_VERSION = 1


class Judge(nn.Module):
    r"""A classifier of clips with one head for every factor.

    $$h_t = \mathrm{encoder}(x_t), \qquad g = \frac1T \sum_t \mathrm{ReLU}(W * h)_t, \qquad
    p(y_j \mid x) = \operatorname{softmax}(W_j g)$$

    A temporal convolution of width 3 sees motion; the mean over frames makes the answer independent of the clip's
    length.

    Args:
        frame_shape: (C, H, W).
        factor_sizes: Number of classes of each factor.
        base_channels: Channels of the encoder's first convolution.

    Shape:
        x: (B, T, C, H, W) to one tensor of logits (B, classes) a factor.

    Raises:
        ValueError: If x has frames of another shape.

    Example:
        >>> [logits.shape for logits in Judge((1, 8, 8), (3, 2), base_channels=2)(torch.zeros(4, 5, 1, 8, 8))]
        [torch.Size([4, 3]), torch.Size([4, 2])]
    """

    def __init__(self, frame_shape: Sequence[int], factor_sizes: Sequence[int], base_channels: int = 16) -> None:
        super().__init__()
        self.frame_shape = tuple(frame_shape)
        self.factor_sizes = tuple(factor_sizes)
        self.encoder = ConvEncoder(frame_shape, feature_dim=128, base_channels=base_channels)
        self.temporal = nn.Conv1d(128, 128, 3, padding=1)
        self.heads = nn.Linear(128, sum(factor_sizes))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the logits of every factor.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].

        Returns:
            One tensor (B, classes) for each factor.
        """
        return full_precision(self.heads(self.features(x))).split(self.factor_sizes, dim=1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the heads read: g of the equation above.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].

        Returns:
            Tensor (B, 128), in full precision.
        """
        frames = self.encoder(check_frames_shape(x, self.frame_shape))
        return full_precision(self.temporal(frames.transpose(1, 2)).relu().mean(dim=2))

    @torch.no_grad()
    def predict(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the most probable class of every factor, and the probabilities of the first factor.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].

        Returns:
            Classes (B, F), and probabilities (B, classes of the first factor).
        """
        return self.read(self.features(x))

    @torch.no_grad()
    def read(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `predict` does, from features.

        Args:
            features: What `features` returned, (B, 128).

        Returns:
            Classes (B, F), and probabilities (B, classes of the first factor).
        """
        logits = full_precision(self.heads(features)).split(self.factor_sizes, dim=1)
        return torch.stack([part.argmax(dim=1) for part in logits], dim=1), logits[0].softmax(dim=1)


def train_judge(
    train: Any,
    test: Any,
    *,
    num_epochs: int = 6,
    required_accuracy: float = 0.999,
    seed: int = 0,
    cache: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Judge, dict[str, float]]:
    """Train a judge on labelled clips, or take it from the cache, and refuse one that cannot read real clips.

    The cached file is named after the checksum of `train` and every setting; it holds tensors and JSON alone. Its
    accuracies are used for the test set that they were measured on, and measured anew for any other. Training runs on
    the CPU, whatever the machine has: it takes minutes, once.

    Args:
        train: Data set with known factors that the judge learns from.
        test: Data set that it must read; disjoint from `train`.
        num_epochs: Passes over `train`.
        required_accuracy: Accuracy on `test` that every factor must reach.
        seed: Seed of weights and batches.
        cache: Folder of cached judges; None for `judges` in the cache folder.
        report: Is called with a line of progress after every epoch.

    Returns:
        The judge in eval mode, and its accuracy on `test` for each factor.

    Raises:
        ValueError: If a factor's accuracy on `test` is below `required_accuracy`.

    Source:
        The protocol of Li and Mandt (2018), whose judge read the action alone.

    Example:
        >>> from pyrodis.datasets import ProceduralSprites
        >>> clips = ProceduralSprites(split="test")
        >>> judge, accuracies = train_judge(clips, clips)  # doctest: +SKIP
    """
    folder = Path(cache) if cache is not None else cache_dir() / "judges"
    path = (
        folder / f"{train.name}-{train.checksum[:12]}-{train.split}-e{num_epochs}-s{seed}-v{JUDGE_VERSION}.safetensors"
    )
    tested_on = f"{test.name} {test.split} {test.checksum} {len(test)}"
    with seeded(torch.device("cpu"), seed):
        judge = Judge(train.frame_shape, train.factor_sizes)
        found = load_cached(judge, path)
        if found is None:
            torch.default_generator.manual_seed(seed)
            judge = Judge(train.frame_shape, train.factor_sizes)  # a damaged file may have filled a part of the first
            _train(judge, train, num_epochs, report)
        if found is None or found["tested_on"] != tested_on:
            found = {"accuracies": judge_accuracies(judge, test), "tested_on": tested_on}
            save_cached(judge, path, found)
    accuracies: dict[str, float] = found["accuracies"]
    poor = {name: round(value, 5) for name, value in accuracies.items() if value < required_accuracy}
    if poor:
        raise ValueError(
            f"the judge reads real test clips with accuracy {poor}, below {required_accuracy}, so it may not judge; "
            f"delete {path} and train it longer with num_epochs above {num_epochs}"
        )
    return channels_last(judge.eval()), accuracies


def judge_accuracies(judge: Judge, dataset: Any, batch_size: int = 128) -> dict[str, float]:
    """Return the judge's accuracy on real clips.

    Args:
        judge: The judge.
        dataset: Data set with known factors.
        batch_size: Clips a call.

    Returns:
        Factor name to accuracy in [0, 1].

    Example:
        >>> judge_accuracies(judge, clips)  # doctest: +SKIP
        {'action': 1.0, 'skin': 1.0, 'bottom': 1.0, 'top': 1.0, 'hair': 1.0}
    """
    judge.eval()
    hits = [judge.predict(x)[0] == factors for x, factors in _batches(dataset, range(len(dataset)), batch_size)]
    return dict(zip(dataset.factor_names, torch.cat(hits).double().mean(0).tolist(), strict=True))


def _train(judge: Judge, train: Any, num_epochs: int, report: Callable[[str], None], batch_size: int = 64) -> None:
    num_steps = num_epochs * (len(train) // batch_size + 1)
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=num_steps)
    channels_last(judge.train())
    for epoch in range(num_epochs):
        order = torch.randperm(len(train)).tolist()
        for x, factors in _batches(train, order, batch_size):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = judge(x)
            loss = torch.stack([cross_entropy(part, factors[:, j]) for j, part in enumerate(logits)]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        report(f"judge: epoch {epoch + 1} of {num_epochs}, cross-entropy of the last batch {loss.item():.4f}")


def _batches(dataset: Any, order: Sequence[int], batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    loader = torch.utils.data.DataLoader(dataset, batch_size=batch_size, sampler=order)
    for batch in loader:
        yield batch["x"], batch["factors"]


def save_cached(judge: nn.Module, path: Path, found: dict[str, Any]) -> None:
    """Write a judge's weights and its accuracies, so that the file is there as a whole or not at all.

    Where it cannot be written a warning says so: the judge itself is not lost.

    Args:
        judge: The judge.
        path: The file.
        found: "accuracies", and "tested_on", what they were measured on.

    Example:
        >>> save_cached(judge, path, {"accuracies": {"action": 1.0}, "tested_on": "sprites"})  # doctest: +SKIP
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {name: value.contiguous() for name, value in judge.state_dict().items()}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    metadata = {"accuracies": json.dumps(found["accuracies"]), "tested_on": found["tested_on"]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata=metadata)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink()
        warnings.warn(f"the judge is not kept for the next time, as {path} cannot be written: {error}", stacklevel=3)


def load_cached(judge: nn.Module, path: Path) -> dict[str, Any] | None:
    """Fill a judge from a cached file and return its accuracies and what they were measured on.

    Args:
        judge: A judge of the same sizes.
        path: The file.

    Returns:
        "accuracies" and "tested_on"; None if there is no file or it is not whole (the judge is then trained anew).

    Example:
        >>> load_cached(judge, path)  # doctest: +SKIP
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            judge.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            metadata = file.metadata()
            accuracies = {name: float(value) for name, value in json.loads(metadata["accuracies"]).items()}
            return {"accuracies": accuracies, "tested_on": metadata.get("tested_on")}
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError):
        return None
