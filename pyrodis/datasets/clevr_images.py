"""The images of CLEVR, from its public files where a user has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pyrodis.datasets.compositor import wrap_index
from pyrodis.datasets.image_folder import read_image
from pyrodis.datasets.item_sources import check_types
from pyrodis.datasets.scenes import check_names
from pyrodis.datasets.solids import SHAPES
from pyrodis.ops.checks import check_positive_int

ADDRESS: Final = "https://cs.stanford.edu/people/jcjohns/clevr/"

_SPLITS: Final = {"train": "train", "validation": "val"}
_CROP: Final = (96, 24, 384, 312)  # left, top, right, bottom, of 480 x 320
_MAX_OBJECTS: Final = 10


@final
class CLEVRImages(Dataset[dict[str, Tensor]]):
    """Images of CLEVR with the types of their objects, cropped and reduced, without masks.

    The files are those of `torchvision.datasets.CLEVRClassification`, with which they may be downloaded (18 GB); they
    are not part of this library. A square of 288 of the 480 x 320 pixels is cut out, so that an object that the scene
    lists may lie outside of the frame. The test images of CLEVR list no objects and are left out.

    Args:
        root: The folder that holds clevr/CLEVR_v1.0/.
        split: "train" (70,000 images) or "validation" (15,000).
        size: Height and width of the frames.
        types: The names of the types 0, 1, ..: some of "sphere", "cylinder" and "cube", in any order.
        items: The types that occur, as places in `types`: scenes with others are left out. None: all of them.
        max_objects: Scenes with more objects are left out.
        color: Whether frames have three channels; else they are gray and have one.

    Attributes:
        factor_names: ("type_0", .., ), for `max_objects` slots.
        factor_sizes: num_types + 1 each; the last value is an empty slot.
        num_types: Types of which there are names.
        num_slots: `max_objects`.
        items: Types that occur.
        split: The split's name.
        seed: 0, as nothing is drawn.
        name: "clevr" or "gray_clevr".
        num_frames: 1.
        frame_shape: (C, size, size).
        checksum: The sha256 of the file that lists the scenes, and of the settings.

    Shape:
        An item is {"x": float32 (1, C, H, W) in [0, 1], "factors": int64 (max_objects,)}.

    Raises:
        FileNotFoundError: If the files are not there.
        ValueError: If an argument lies outside its range, the list of scenes is broken, or no scene is left.
        TypeError: If a number is not whole.

    Source:
        Johnson et al., CLEVR (CVPR 2017). The crop is the part of the view that is cut out of CLEVR with masks (rows 29
        to 220 and columns 64 to 255 of 240 x 320 pixels; Kabra et al., Multi-object datasets, 2019): those pictures
        show the same width of a scene with two thirds of the pixels.

    Example:
        >>> data = CLEVRImages("data/", types=("cylinder", "sphere"), items=(0,))  # doctest: +SKIP
        >>> data[0]["x"].shape  # doctest: +SKIP
        torch.Size([1, 3, 64, 64])
    """

    num_frames: Final = 1
    seed: Final = 0

    def __init__(
        self,
        root: str | Path,
        *,
        split: str = "train",
        size: int = 64,
        types: Sequence[str] = SHAPES,
        items: Sequence[int] | None = None,
        max_objects: int = _MAX_OBJECTS,
        color: bool = True,
    ) -> None:
        if split not in _SPLITS:
            raise ValueError(f"split must be train or validation, got {split!r}; the test images list no objects")
        self.split = split
        self.size = check_positive_int("size", size)
        self.types = check_names("types", types, SHAPES)
        self.num_types, self.num_slots = len(self.types), check_positive_int("max_objects", max_objects)
        self.items = check_types("items", tuple(range(self.num_types)) if items is None else items, self.num_types)
        self.color = color
        self.name = "clevr" if color else "gray_clevr"
        self.frame_shape = (3 if color else 1, size, size)
        self.factor_names = tuple(f"type_{i}" for i in range(self.num_slots))
        self.factor_sizes = (self.num_types + 1,) * self.num_slots
        names, listing = _listed(Path(root), _SPLITS[split])
        settings = (hashlib.sha256(listing).hexdigest(), size, self.types, self.items, max_objects, bool(color), _CROP)
        self.checksum = hashlib.sha256(repr(settings).encode()).hexdigest()
        self._files, self.factors = self._chosen(names, _scene_shapes(listing, split))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        from PIL import Image

        place = wrap_index(index, len(self))
        pixels = Image.fromarray(read_image(self._files[place], "RGB")).crop(_CROP)
        pixels = pixels.resize((self.size, self.size), Image.Resampling.BILINEAR)
        data = bytearray((pixels if self.color else pixels.convert("L")).tobytes())
        x = torch.frombuffer(data, dtype=torch.uint8).view(self.size, self.size, -1).movedim(-1, 0)
        return {"x": x.unsqueeze(0).float() / 255, "factors": self.factors[place]}

    def __getitems__(self, indices: list[int]) -> list[dict[str, Tensor]]:
        """Reads many items at once, as a `DataLoader` and a `ClipSubset` ask for them."""
        return [self[index] for index in indices]

    def _chosen(self, files: list[Path], shapes: dict[str, list[str]]) -> tuple[list[Path], Tensor]:
        """Files and factors of the scenes that have nothing but what may occur."""
        wanted = [self.types[i] for i in self.items]
        kept = [f for f in files if len(shapes[f.name]) <= self.num_slots and set(shapes[f.name]) <= set(wanted)]
        if not kept:
            raise ValueError(
                f"no scene of {len(files)} has at most {self.num_slots} objects, all of {wanted}; allow more"
            )
        factors = torch.full((len(kept), self.num_slots), self.num_types)
        for row, file in zip(factors, kept, strict=True):
            types = [self.types.index(shape) for shape in shapes[file.name]]
            row[: len(types)] = torch.tensor(types, dtype=torch.int64)
        return kept, factors


def _listed(root: Path, split: str) -> tuple[list[Path], bytes]:
    """The image files of a split in order, and the bytes of the file that lists its scenes."""
    from torchvision.datasets import CLEVRClassification

    try:
        CLEVRClassification(root, split=split)
    except (RuntimeError, FileNotFoundError) as error:
        raise FileNotFoundError(
            f"there is no clevr/CLEVR_v1.0/ with images and scenes in {root}; give its folder, or download it from "
            f"{ADDRESS}"
        ) from error
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"the scenes of {split} in {root} must list every image, got others; download them again"
        ) from error
    folder = root / "clevr" / "CLEVR_v1.0"
    return sorted((folder / "images" / split).glob("*.png")), (
        folder / "scenes" / f"CLEVR_{split}_scenes.json"
    ).read_bytes()


def _scene_shapes(listing: bytes, split: str) -> dict[str, list[str]]:
    """The shapes of the objects of each image."""
    try:
        scenes: list[dict[str, Any]] = json.loads(listing)["scenes"]
        return {scene["image_filename"]: [thing["shape"] for thing in scene["objects"]] for scene in scenes}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the scenes of {split} must list the shape of each object, got none; download them again"
        ) from error
