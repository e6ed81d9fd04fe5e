"""The judge of moving digits: which digits a frame shows, and where they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from pyrodis.infer.judge import load_cached, save_cached
from pyrodis.infer.sampler import seeded
from pyrodis.metrics import centroid_error
from pyrodis.ops import channels_last, check_frames_shape, check_positive_int, full_precision, in_parts
from pyrodis.ops.paths import cache_dir

DIGIT_JUDGE_VERSION = 1

_MAX_DIGITS = 4  # 24 orders
_FEATURES = 128
_APART = 20.0  # pixels between centers from which on digits of 20 x 20 pixels hide little of each other


@dataclass(frozen=True)
class ClipReading:
    """What a judge reads off clips.

    Args:
        groups: Number of the unordered group of types, as `DigitJudge.group_number` counts them.
        frame_groups: The same, read off each frame by itself.
        centers: Centers of the digits in each frame, in pixels and in no order.
        features: What the types are read off, the mean over frames.

    Shape:
        groups: (B). frame_groups: (B, T). centers: (B, T, M, 2). features: (B, 128).
    """

    groups: Tensor
    frame_groups: Tensor
    centers: Tensor
    features: Tensor


class DigitJudge(nn.Module):
    r"""Two networks that read off a frame which digits it shows, in no order, and where their centers are.

    The first one pools convolutions over all places, and gives a score $s_{kn}$ to there being n digits of type k; a
    group of M types has the sum of its scores, and the softmax over all groups (55 pairs of ten digits) its
    probability. What a clip shows is the group of the largest mean, over its frames, of the logarithms of these: frames
    in which digits hide each other say little then, rather than outvote the others. The second network gives M centers,
    and learns by squared error under the assignment that suits best.

    Args:
        frame_shape: (C, H, W), H = W, a multiple of 8 of at least 32.
        num_types: Number of types.
        num_digits: M, digits of a frame, at most 4.
        base_channels: Channels of the first convolution of either network.

    Attributes:
        groups: Types of every group, in ascending order, int64 (G, M).

    Shape:
        frames: (..., C, H, W) to log-probabilities (..., G) and centers (..., M, 2) in pixels.

    Raises:
        TypeError: If a number is not whole.
        ValueError: If the frames are not square or of such a size, or there are more than 4 digits.

    Source:
        Ours: the judge of the digit-pair protocol. The convolutions are common ones.

    Example:
        >>> judge = DigitJudge((1, 32, 32), base_channels=2)
        >>> [part.shape for part in judge(torch.zeros(5, 3, 1, 32, 32))]
        [torch.Size([5, 3, 55]), torch.Size([5, 3, 2, 2])]
    """

    groups: Tensor

    def __init__(
        self,
        frame_shape: Sequence[int] = (1, 64, 64),
        num_types: int = 10,
        num_digits: int = 2,
        base_channels: int = 16,
    ) -> None:
        super().__init__()
        self.frame_shape = _checked_shape(frame_shape)
        self.num_types = check_positive_int("num_types", num_types)
        if check_positive_int("num_digits", num_digits) > _MAX_DIGITS:
            raise ValueError(f"num_digits must be at most {_MAX_DIGITS}, got {num_digits}; judge fewer digits")
        self.num_digits = num_digits
        groups = torch.tensor(list(combinations_with_replacement(range(num_types), num_digits)))
        self.register_buffer("groups", groups, persistent=False)
        channels, width, size = self.frame_shape[0], check_positive_int("base_channels", base_channels), frame_shape[1]
        self.trunk = nn.Sequential(
            _block(channels, width, 5, 2),
            _block(width, 2 * width),
            nn.MaxPool2d(2),
            _block(2 * width, 4 * width),
            nn.MaxPool2d(2),
            _block(4 * width, 8 * width),
        )
        self.hidden = nn.Linear(16 * width, _FEATURES)
        self.scores = nn.Linear(_FEATURES, num_types * num_digits)
        self.position = nn.Sequential(
            nn.AvgPool2d(2),
            _block(channels, width, 3, 2),
            _block(width, 2 * width),
            _block(2 * width, 4 * width, 3, 2),
            nn.Flatten(),
            nn.Linear(4 * width * (size // 8) ** 2, _FEATURES),
            nn.ReLU(),
            nn.Linear(_FEATURES, 2 * num_digits),
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities of all groups, and the centers.

        Args:
            frames: Frames (..., C, H, W) in [0, 1].

        Returns:
            Log-probabilities (..., G), and centers (..., M, 2) in pixels.
        """
        leading, flat = frames.shape[:-3], frames.reshape(-1, *frames.shape[-3:])
        log_probs, centers = self._log_probs(self._hidden(flat)), self._centers(flat)
        return log_probs.reshape(*leading, -1), centers.reshape(*leading, self.num_digits, 2)

    @torch.no_grad()
    def read(self, x: Tensor) -> ClipReading:
        """Return what clips show.

        Args:
            x: Clips (B, T, C, H, W) in [0, 1].

        Returns:
            Groups, centers and features.

        Raises:
            ValueError: If x has another shape.
        """
        flat = check_frames_shape(x, self.frame_shape).flatten(0, 1)
        features = self._hidden(flat)
        log_probs = self._log_probs(features).unflatten(0, x.shape[:2])
        centers = self._centers(flat).unflatten(0, x.shape[:2])
        features = features.unflatten(0, x.shape[:2]).mean(1)
        return ClipReading(log_probs.mean(1).argmax(-1), log_probs.argmax(-1), centers, features)

    def group_number(self, types: Tensor) -> Tensor:
        """Return the number of the unordered group that some types make up.

        Args:
            types: Types of the digits, in any order.

        Shape:
            types: (..., M), int64.

        Returns:
            int64 (...): a row of `groups`.

        Raises:
            ValueError: If there are not M types, or one is out of range.

        Example:
            >>> DigitJudge((1, 32, 32)).group_number(torch.tensor([[9, 0], [0, 9], [0, 0]])).tolist()
            [9, 9, 0]
        """
        if types.ndim < 1 or types.shape[-1] != self.num_digits:
            raise ValueError(f"types must have shape (..., {self.num_digits}), got {tuple(types.shape)}")
        if types.numel() and not 0 <= int(types.min()) <= int(types.max()) < self.num_types:
            raise ValueError(
                f"types must lie in [0, {self.num_types}), got {int(types.min())} to {int(types.max())}; build the "
                "judge with the data set's num_types"
            )
        weights = self.num_types ** torch.arange(self.num_digits - 1, -1, -1, device=types.device)
        keys = (self.groups.to(types.device) * weights).sum(-1)  # ascending, as the groups are
        return torch.searchsorted(keys, (types.sort(-1).values * weights).sum(-1))

    def _hidden(self, flat: Tensor) -> Tensor:
        maps = in_parts(self.trunk, flat)
        pooled = torch.cat([maps.amax((-1, -2)), maps.mean((-1, -2))], 1)
        return full_precision(self.hidden(pooled).relu())

    def _log_probs(self, features: Tensor) -> Tensor:
        """Features (N, 128) to (N, G)."""
        scores = full_precision(self.scores(features)).unflatten(1, (self.num_types, self.num_digits))
        scores = torch.nn.functional.pad(scores, (1, 0))  # none of a type counts nothing
        counts = one_hot(self.groups, self.num_types).sum(1)
        return scores[:, torch.arange(self.num_types), counts].sum(-1).log_softmax(-1)

    def _centers(self, flat: Tensor) -> Tensor:
        """Frames (N, C, H, W) to (N, M, 2) in pixels; the network's own unit is half the frame, from its middle."""
        half = (self.frame_shape[1] - 1) / 2
        return half * (1 + full_precision(in_parts(self.position, flat)).unflatten(1, (-1, 2)))


def train_digit_judge(
    train: Any,
    test: Any,
    *,
    num_epochs: int = 1,
    required_accuracy: float = 0.9,
    allowed_error: float = 3.0,
    seed: int = 0,
    cache: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[DigitJudge, dict[str, float]]:
    """Train a judge of moving digits, or take it from the cache, and refuse one that cannot read real clips.

    `MovingDigits(..., num_frames=1, num_sequences=200_000)` is what to train on: independent frames, each seen once,
    take minutes of one core and leave nothing to overfit but the drawings of the digits. The report says how well it
    reads real clips: its error of centers there is the floor of every centroid error. Caching and the CPU are as in
    `train_judge`.

    Args:
        train: `MovingDigits` of the train split, which the judge learns from.
        test: `MovingDigits` of the test split with the same source and numbers, which it must read.
        num_epochs: Passes over `train`.
        required_accuracy: Share of test clips whose group it must read.
        allowed_error: Mean error of its centers on test clips, in pixels, that it may have.
        seed: Seed of weights and batches.
        cache: Folder of cached judges; None for `judges` in the cache folder.
        report: Is called with a line of progress twenty times a pass.

    Returns:
        The judge in eval mode, and on `test`: "clip", the share of clips whose group it reads, "frame" that of single
        frames, "apart" that of frames whose digits are at least 20 pixels from each other (if there are), and
        "centroid_error" in pixels.

    Raises:
        ValueError: If the data sets differ in types, digits or frames, or the judge reads real clips worse than asked.

    Source:
        Ours; see `DigitJudge`.

    Example:
        >>> from pyrodis.datasets import MNISTItems, MovingDigits
        >>> source = MNISTItems("data")  # doctest: +SKIP
        >>> frames = MovingDigits(source, num_frames=1, num_sequences=200_000)  # doctest: +SKIP
        >>> clips = MovingDigits(source, split="test", num_sequences=500)  # doctest: +SKIP
        >>> judge, accuracies = train_digit_judge(frames, clips)  # doctest: +SKIP
    """
    _check_alike(train, test)
    folder = Path(cache) if cache is not None else cache_dir() / "judges"
    settings = f"{train.split}-n{len(train)}-e{num_epochs}-s{seed}-d{DIGIT_JUDGE_VERSION}"
    path = folder / f"{train.name}-{train.checksum[:12]}-{settings}.safetensors"
    tested_on = f"{test.name} {test.split} {test.checksum} {len(test)}"
    with seeded(torch.device("cpu"), seed):
        judge = DigitJudge(train.frame_shape, train.num_types, train.num_digits)
        found = load_cached(judge, path)
        if found is None:
            torch.default_generator.manual_seed(seed)
            judge = DigitJudge(train.frame_shape, train.num_types, train.num_digits)  # a damaged file may fill a part
            _train(judge, train, num_epochs, report)
        if found is None or found["tested_on"] != tested_on:
            found = {"accuracies": digit_judge_accuracies(judge, test), "tested_on": tested_on}
            save_cached(judge, path, found)
    measured: dict[str, float] = found["accuracies"]
    if measured["clip"] < required_accuracy or measured["centroid_error"] > allowed_error:
        raise ValueError(
            f"the judge reads the digits of {measured['clip']:.3f} of real clips and misses centers by "
            f"{measured['centroid_error']:.2f} pixels, worse than {required_accuracy} and {allowed_error}, so it may "
            f"not judge; delete {path} and train it on more frames than {len(train)}, or with more epochs"
        )
    return channels_last(judge.eval()), measured


def digit_judge_accuracies(judge: DigitJudge, dataset: Any, batch_size: int = 32) -> dict[str, float]:
    """Return how well a judge reads real clips.

    Args:
        judge: The judge.
        dataset: `MovingDigits`.
        batch_size: Clips a call.

    Returns:
        "clip", "frame", "apart" and "centroid_error", as `train_digit_judge` does.

    Example:
        >>> digit_judge_accuracies(judge, clips)["centroid_error"]  # doctest: +SKIP
        1.2
    """
    judge.eval()
    hits: dict[str, list[Tensor]] = {"clip": [], "frame": [], "apart": []}
    read, true = [], []
    for x, types, centers in _batches(dataset, range(len(dataset)), batch_size):
        reading, group = judge.read(x), judge.group_number(types)
        right = reading.frame_groups == group[:, None]
        distances = torch.stack([torch.cdist(frame, frame) for frame in centers.flatten(0, 1)])
        near = distances.masked_fill(torch.eye(centers.shape[2], dtype=torch.bool), math.inf).amin((-1, -2))
        hits["clip"].append(reading.groups == group)
        hits["frame"].append(right.flatten())
        hits["apart"].append(right.flatten()[near >= _APART])
        read.append(reading.centers)
        true.append(centers)
    found = {name: torch.cat(parts).double() for name, parts in hits.items()}
    shares = {name: float(values.mean()) for name, values in found.items() if len(values)}
    return shares | {"centroid_error": centroid_error(torch.cat(read), torch.cat(true)).value}


def _train(judge: DigitJudge, train: Any, num_epochs: int, report: Callable[[str], None], num_frames: int = 64) -> None:
    """Adam on both losses; a step takes about as many frames as asked for."""
    batch_size = max(1, num_frames // train.num_frames)
    per_epoch = math.ceil(len(train) / batch_size)
    optimizer = torch.optim.Adam(judge.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, total_steps=num_epochs * per_epoch, pct_start=0.1
    )
    channels_last(judge.train())
    half = (judge.frame_shape[1] - 1) / 2
    for epoch in range(num_epochs):
        order = torch.randperm(len(train)).tolist()
        for step, (x, types, centers) in enumerate(_batches(train, order, batch_size), start=1):
            flat = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                log_probs, read = judge(flat)
            groups = judge.group_number(types).repeat_interleave(x.shape[1])
            loss = cross_entropy(log_probs, groups)
            error = _squared_error(read / half, centers.flatten(0, 1) / half)
            optimizer.zero_grad()
            (loss + error).backward()
            optimizer.step()
            schedule.step()
            if step % max(1, per_epoch // 20) == 0 or step == per_epoch:
                pixels = half * math.sqrt(error.item() / judge.num_digits)
                report(
                    f"judge: pass {epoch + 1} of {num_epochs}, step {step} of {per_epoch}, cross-entropy "
                    f"{loss.item():.3f}, centers off by {pixels:.2f} pixels"
                )


def _squared_error(read: Tensor, true: Tensor) -> Tensor:
    """Squared distance of centers (N, M, 2) under the assignment that suits best, summed over digits."""
    orders = permutations(range(true.shape[1]))
    return torch.stack([(read[:, list(order)] - true).square().sum((-1, -2)) for order in orders]).amin(0).mean()


def _batches(dataset: Any, order: Sequence[int], batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Clips, types of their digits, and centers."""
    for batch in torch.utils.data.DataLoader(dataset, batch_size=batch_size, sampler=order):
        yield batch["x"], *dataset.read_factors(batch["factors"])


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _checked_shape(frame_shape: Sequence[int]) -> tuple[int, int, int]:
    channels, height, width = frame_shape
    if height != width or height < 32 or height % 8:
        raise ValueError(
            f"frame_shape must be (C, H, W) with H = W, a multiple of 8 of at least 32, got {tuple(frame_shape)}; draw "
            "the digits on 64 x 64 pixels, for example"
        )
    return channels, height, width


def _check_alike(train: Any, test: Any) -> None:
    for name in ("num_types", "num_digits", "frame_shape"):
        if getattr(train, name) != getattr(test, name):
            raise ValueError(
                f"train and test must have the same {name}, got {getattr(train, name)} and {getattr(test, name)}; "
                "build both with one source and one set of numbers"
            )
