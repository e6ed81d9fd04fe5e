"""A circle that moves before a Gaussian background: the data of two documents on dynamics, drawn on demand."""

from __future__ import annotations

import hashlib
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.circle_drawing import CircleScene, circle_masks, render_circle
from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.held_out_regions import Region
from pyrodis.datasets.motion import AtRest, LinearMotion, Motion
from pyrodis.datasets.streams import accepted_uniforms, check_seed, check_split
from pyrodis.ops.checks import check_positive_int

_VERSION: Final = "circle on Gaussian 1"
_FRAMES_AT_ONCE: Final = 40  # their canvases fit into a processor's cache
_PUBLISHED_MOTION: Final = LinearMotion()
_PUBLISHED_SCENE: Final = CircleScene()


@final
class CircleOnGaussian(Dataset[dict[str, Tensor]]):
    """White circles that move before a Gaussian background, drawn on demand.

    Four factors, or two more for each further circle, all in [0, 1]: x and y of the circle and of the background's
    peak. With its defaults it is the published moving task: the circle goes from a uniform start to a uniform end at a
    distance over .1, along a straight line in ten frames, and the background stays on one of 32 x 32 points. With
    `motion=None, num_frames=1` it is the published static task: the circle rests on one of 16 x 16 points.

    Sequence i is a function of (seed, split, i), whatever `num_sequences` is. On the grid of the static task two splits
    may hold the same frame; hold out a region where they must not.

    Args:
        split: "train", "validation" or "test", which are drawn from different random numbers.
        num_sequences: How many. The published moving set has 200,000, all for training; its static set all 262,144.
        num_frames: Frames of a sequence.
        seed: A whole number in [0, 2^32).
        motion: How circles move, such as `LinearMotion`, `BouncingMotion` and `GravityMotion`; None: they rest on a
            grid of 16 x 16 points.
        background_motion: How the background moves; None: it rests on a grid of 32 x 32 points.
        held_out: A region of the factors that train and validation never enter, and that every test sequence enters in
            some frame: `HeldOutBand` or `HeldOutCells`.
        scene: Size of the frames, number of circles, their brightness, and whether they hide the background.
        with_masks: Whether items hold masks as well.

    Attributes:
        factor_names: ("circle_x", "circle_y", "background_x", "background_y"), then "second_x", "second_y" and so on.
        factor_sizes: None for each factor, since all are continuous.
        split: The split's name.
        seed: The seed.
        name: "circle_on_gaussian".
        num_frames: T.
        frame_shape: (1, H, W).
        checksum: The sha256 of the generator's version and settings, the same for all splits.

    Shape:
        An item is {"x": float32 (T, 1, H, W) in [0, 1], "factors": float32 (T, F) in [0, 1]}, and with masks also
        {"masks": bool (T, 3, H, W)}, which are inside, edge and background as in `circle_masks`.

    Raises:
        ValueError: If an argument lies outside its range, or the region leaves no sequence.
        TypeError: If a number is not whole.

    Source:
        Zaharia, Peters et al., Disentangled dynamics, and the code published with it. Frames agree with that code to
        the byte; the random numbers are ours, and so are the splits.

    Example:
        >>> data = CircleOnGaussian(num_sequences=1000)
        >>> data[0]["x"].shape, data[0]["factors"].shape, data.factor_names[:2]
        (torch.Size([10, 1, 32, 32]), torch.Size([10, 4]), ('circle_x', 'circle_y'))
        >>> static = CircleOnGaussian(num_sequences=1000, num_frames=1, motion=None)
    """

    name: Final = "circle_on_gaussian"

    def __init__(
        self,
        *,
        split: str = "train",
        num_sequences: int = 200_000,
        num_frames: int = 10,
        seed: int = 0,
        motion: Motion | None = _PUBLISHED_MOTION,
        background_motion: Motion | None = None,
        held_out: Region | None = None,
        scene: CircleScene = _PUBLISHED_SCENE,
        with_masks: bool = False,
    ) -> None:
        self.split = check_split(split)
        self.num_sequences = check_positive_int("num_sequences", num_sequences)
        self.num_frames = check_positive_int("num_frames", num_frames)
        self.seed = check_seed(seed)
        self.motion: Motion = AtRest(16) if motion is None else motion
        self.background_motion: Motion = AtRest(32) if background_motion is None else background_motion
        self.held_out = held_out
        self.scene = scene
        self.with_masks = with_masks
        self.frame_shape = (1, scene.size, scene.size)
        circles = [f"{_ordinal(i)}{axis}" for i in range(scene.num_circles) for axis in "xy"]
        self.factor_names: tuple[str, ...] = (*circles[:2], "background_x", "background_y", *circles[2:])
        self.factor_sizes: tuple[int | None, ...] = (None,) * len(self.factor_names)
        self.checksum = hashlib.sha256(repr(self._settings()).encode()).hexdigest()
        parts = [self.motion.num_uniforms] * scene.num_circles + [self.background_motion.num_uniforms]
        self._parts = parts
        self._uniforms = accepted_uniforms((_VERSION, self.seed, split), num_sequences, sum(parts), self._accepts)

    @property
    def factors(self) -> Tensor:
        """Factors of all sequences, float32 (N, T, F), without their frames."""
        return self._factors_of(self._uniforms)

    def __len__(self) -> int:
        return self.num_sequences

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Draws many items at once, as a `DataLoader` asks for them; the items are views into one batch."""
        where = torch.tensor([wrap_index(index, len(self)) for index in indices], dtype=torch.long)
        factors = self._factors_of(self._uniforms[where])
        circles, ground = torch.cat([factors[..., :2], factors[..., 4:]], -1), factors[..., 2:4]
        if isinstance(self.background_motion, AtRest):
            ground = ground[:, :1]  # one background a sequence, drawn once
        pieces = max(1, len(indices) * self.num_frames // _FRAMES_AT_ONCE)
        drawn = [
            render_circle(c, g, self.scene) for c, g in zip(circles.chunk(pieces), ground.chunk(pieces), strict=True)
        ]
        batch = {"x": torch.cat(drawn), "factors": factors}
        if self.with_masks:
            batch["masks"] = circle_masks(circles, self.scene)
        return [{key: value[i] for key, value in batch.items()} for i in range(len(indices))]

    def _settings(self) -> tuple[Any, ...]:
        return (
            _VERSION,
            self.seed,
            self.num_frames,
            self.motion,
            self.background_motion,
            self.held_out,
            self.scene,
        )

    def _factors_of(self, uniforms: Tensor) -> Tensor:
        """float64 (B, U) to float32 (B, T, F): the first circle, the background, the further circles."""
        *circles, ground = uniforms.split(self._parts, 1)
        paths = [self.motion.positions(part, self.num_frames) for part in circles]
        background = self.background_motion.positions(ground, self.num_frames)
        return torch.cat([paths[0], background, *paths[1:]], -1).float()

    def _accepts(self, uniforms: Tensor) -> Tensor:
        """Whether the motions and the held-out region take a sequence: (B, U) to bool (B)."""
        *circles, ground = uniforms.split(self._parts, 1)
        accepted = self.background_motion.accepts(ground)
        for part in circles:
            accepted = accepted & self.motion.accepts(part)
        if self.held_out is None:
            return accepted
        enters = self.held_out.contains(self._factors_of(uniforms), self.factor_names).any(1)
        return accepted & (enters == (self.split == "test"))


def _ordinal(number: int) -> str:
    """What stands before x and y in the names of a circle's factors."""
    return "circle_" if number == 0 else "second_" if number == 1 else f"circle{number + 1}_"
