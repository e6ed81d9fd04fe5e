"""From masks of items to masks of item types."""

from __future__ import annotations

import torch
from torch import Tensor


def type_masks(masks: Tensor, types: Tensor, num_types: int) -> Tensor:
    """Merge the masks of all items of one type: two zeros in a scene are one type, rightly one component.

    Args:
        masks: Masks of item slots, the background last.
        types: Type of each slot; `num_types` stands for an empty slot, whose mask is added to the background.
        num_types: How many types there are.

    Shape:
        masks: (..., M + 1, H, W), bool. types: (..., M), whole numbers in [0, num_types], with the same dimensions
        before the slots.

    Returns:
        bool (..., num_types + 1, H, W), the background last; a partition where the masks are one.

    Raises:
        TypeError: If the masks are not bool.
        ValueError: If the shapes do not match, or a type is out of range.

    Example:
        >>> masks = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).bool().unsqueeze(1)  # three pixels in a row
        >>> type_masks(masks, torch.tensor([0, 0]), 2)[:, 0].int().tolist()
        [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    """
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must be bool, got {masks.dtype}; compare them with a threshold")
    if masks.ndim < 3 or types.shape != (*masks.shape[:-3], masks.shape[-3] - 1):
        raise ValueError(
            f"types must have one entry for each mask but the background, (..., M) for masks (..., M + 1, H, W), "
            f"got {tuple(types.shape)} for {tuple(masks.shape)}; remove the frame with masks.squeeze(1)"
        )
    if types.numel() and not 0 <= int(types.min()) <= int(types.max()) <= num_types:
        raise ValueError(
            f"types must lie in [0, {num_types}], {num_types} being empty, got {int(types.min())} to {int(types.max())}"
        )
    owners = torch.cat([types, torch.full_like(types[..., :1], num_types)], -1)[..., None, None]
    return torch.stack([(masks & (owners == number)).any(-3) for number in range(num_types + 1)], -3)
