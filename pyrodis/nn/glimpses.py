"""Pieces of frames around given places: what a decoder of parts puts there, looked at."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from pyrodis.nn._placing import check_patch_size, interpolation, places_of, room_of
from pyrodis.nn.conv import check_frame_dtype
from pyrodis.nn.strided import _check_frame_shape
from pyrodis.ops import check_positive_int, full_precision, without_autocast


class Glimpses(nn.Module):
    r"""Cut out of frames what is at the places of their parts, each pixel shared among the parts that are near.

    $$g_{m, kl} = \sum_{i, j} \Lambda(i - \tilde y_m - k)\, \Lambda(j - \tilde x_m - l)\, x_{ij}
    \cdot \frac{e^{-d_{mm, kl}^2 / 2 s^2}}{\sum_n e^{-d_{mn, kl}^2 / 2 s^2}}, \qquad \Lambda(d) = \max(0, 1 - |d|)$$

    (k, l) runs over the G x G pixels of a glimpse, whose upper left one is at the half of G - P before that of the
    patch: $(\tilde x_m, \tilde y_m) = \Phi(\mathrm{where}_m) (W - P, H - P) - (G - P) / 2$, with the place of
    `PartsDecoder`.
    The first factor is the inverse of the placing there, the adjoint of its interpolation; outside of the frame it is
    dark. $d_{mn, kl}$ is how far pixel (k, l) of glimpse m is from the middle of part n, so that the second factor is
    the share of part m in that pixel, with the reach s = P / 4: what lies near one part and far from the others is its
    own but for a little, a pixel as far from two parts is halved, and parts at one place share all of it equally.

    Args:
        frame_shape: (C, H, W).
        num_parts: M.
        patch_size: P, side of the patches that are put at the places.
        size: G, side of a glimpse, smaller or larger than a patch.
        shared: Whether pixels are shared. If not, the second factor is 1.

    Shape:
        frames (B, T, C, H, W) and where (..., B, T, 2 M) to (..., B, T, M, C, G, G).

    Raises:
        TypeError: If a size is not an int, shared is no bool, or frames and where are not both of double precision
            where one is.
        ValueError: If a size is not positive, patches are larger than frames, or frames or where have another shape.

    Source:
        The crop of Jaderberg et al., Spatial Transformer Networks (2015), as Eslami et al., Attend, Infer, Repeat
        (2016), look with it. The shares are ours: there what another object covers is not told apart.

    Example:
        >>> glimpses = Glimpses((1, 32, 32), num_parts=2, patch_size=12, size=16)
        >>> glimpses(torch.rand(2, 5, 1, 32, 32), torch.zeros(2, 5, 4)).shape
        torch.Size([2, 5, 2, 1, 16, 16])
    """

    room: torch.Tensor

    def __init__(
        self,
        frame_shape: Sequence[int] = (1, 64, 64),
        num_parts: int = 2,
        patch_size: int = 28,
        size: int = 32,
        shared: bool = True,
    ) -> None:
        super().__init__()
        self.frame_shape = _check_frame_shape(frame_shape)
        self.num_parts = check_positive_int("num_parts", num_parts)
        self.patch_size = check_patch_size(patch_size, self.frame_shape, 0)
        self.size = check_positive_int("size", size)
        if not isinstance(shared, bool):
            raise TypeError(f"shared must be True or False, got {shared!r}")
        self.shared = shared
        self.register_buffer("room", room_of(self.frame_shape, patch_size), persistent=False)

    @property
    def where_dim(self) -> int:
        """2 M, size of the code of where."""
        return 2 * self.num_parts

    def forward(self, frames: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Return what is at the places.

        Args:
            frames: Tensor of shape (B, T, C, H, W).
            where: Codes (..., B, T, 2 M): x and y of part after part.

        Returns:
            Tensor of shape (..., B, T, M, C, G, G), in full precision.
        """
        self._check(frames, where)
        with without_autocast(frames):
            places = places_of(where, self.num_parts, self.room)
            first, (height, width) = places - (self.size - self.patch_size) / 2, self.frame_shape[1:]
            rows = interpolation(first[..., 1], height, self.size).unsqueeze(-3)
            columns = interpolation(first[..., 0], width, self.size).unsqueeze(-3)
            seen = rows.mT @ full_precision(frames).unsqueeze(2) @ columns
            return seen * self._shares(places).unsqueeze(-3) if self.shared else seen

    def looks(self, frames: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Return what parts are compared by: their glimpses without detail, averaged over windows of about P / 6.

        Args:
            frames: Tensor of shape (B, T, C, H, W).
            where: Codes (..., B, T, 2 M).

        Returns:
            Tensor of shape (..., B, T, M, F), for `pyrodis.ops.match_parts`, in full precision.
        """
        seen, window = self(frames, where), min(1 + 2 * (self.patch_size // 12), self.size)
        return avg_pool2d(seen.flatten(0, -4), window, stride=1).flatten(1).unflatten(0, seen.shape[:-3])

    def _shares(self, places: torch.Tensor) -> torch.Tensor:
        """Which share of each pixel of the glimpses (..., M, G, G) at places (..., M, 2) is the part's own."""
        pixels = torch.arange(self.size, device=places.device, dtype=places.dtype) - (self.size - 1) / 2
        apart = places.unsqueeze(-2) - places.unsqueeze(-3)  # from part n to part m: (..., m, n, 2)
        columns, rows = (pixels + apart.unsqueeze(-1)).square().unbind(-2)
        distances = rows.unsqueeze(-1) + columns.unsqueeze(-2)  # (..., m, n, G, G)
        shares = (-distances / (2 * (self.patch_size / 4) ** 2)).softmax(-3)
        return shares.diagonal(dim1=-4, dim2=-3).movedim(-1, -3)

    def _check(self, frames: torch.Tensor, where: torch.Tensor) -> None:
        if frames.ndim != 5 or tuple(frames.shape[2:]) != self.frame_shape:
            raise ValueError(
                f"frames must have shape (B, T, C, H, W) with (C, H, W) = {self.frame_shape}, got {tuple(frames.shape)}"
            )
        wanted = (*frames.shape[:2], self.where_dim)
        if tuple(where.shape[-3:]) != wanted:
            raise ValueError(
                f"where must have shape (..., B, T, 2 M) = (..., {', '.join(map(str, wanted))}), two numbers for each "
                f"of {self.num_parts} parts, got {tuple(where.shape)}"
            )
        check_frame_dtype("where", where, frames)
