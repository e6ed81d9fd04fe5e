"""Pictures of solid objects: silhouettes in closed form, who hides whom, where shadows fall, the same bytes always."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pyrodis.datasets import SCENE_COLORS, SceneObjects, place_objects, render_scene, scene_masks
from pyrodis.datasets.scene_drawing import CAMERA, LIGHT, PITCH, VIEW, sphere_edges
from pyrodis.datasets.solids import Solids

CROWD = "f9493ef0964392bf"  # the first bytes of the sha256 of a picture


def camera_axes() -> np.ndarray:
    """Right, down and forward, as rows."""
    cos, sin = math.cos(PITCH), math.sin(PITCH)
    return np.array([[1.0, 0.0, 0.0], [0.0, -sin, -cos], [0.0, cos, -sin]])


def seen_at(point: tuple[float, float, float], size: int) -> tuple[int, int]:
    """Row and column of the pixel that shows a point of space."""
    right, down, depth = camera_axes() @ (np.array(point) - np.array(CAMERA))
    return tuple(int((1 + axis / (depth * VIEW)) * size / 2) for axis in (down, right))  # type: ignore[return-value]


def ellipse_of_sphere(center: tuple[float, float, float], radius: float) -> Any:
    """The conic of a sphere's silhouette: p^T Q p > 0 within it, at p = (u, v, 1), from -1 to 1 across the frame."""
    c = camera_axes() @ (np.array(center) - np.array(CAMERA))
    q = np.outer(c, c) - (c @ c - radius**2) * np.eye(3)
    scale = np.diag([VIEW, VIEW, 1.0])
    return scale @ q @ scale


@pytest.mark.parametrize("place", [(0.0, 0.0), (-1.9, -2.0), (2.4, 2.7)])
@pytest.mark.parametrize(("radius", "size"), [(0.45, 64), (0.75, 64), (0.75, 128), (0.3, 33)])
def test_silhouette_of_a_sphere_is_the_ellipse_of_its_projection(
    place: tuple[float, float], radius: float, size: int
) -> None:
    mask = scene_masks(place_objects(["sphere"], [place], radii=[radius]), size=size)[0, 0].numpy()
    conic = ellipse_of_sphere((*place, radius), radius)
    grid = (np.arange(size) + 0.5) / size * 2 - 1
    u, v = np.meshgrid(grid, grid)
    points = np.stack([u, v, np.ones_like(u)], -1)
    inside = np.einsum("hwi,ij,hwj->hw", points, conic, points)
    sure = np.abs(inside) > 1e-5 * np.abs(inside).max()  # rounding decides on the edge itself
    assert (mask == (inside > 0))[sure].all()
    area = math.pi * -np.linalg.det(conic) / np.linalg.det(conic[:2, :2]) / math.sqrt(np.linalg.det(conic[:2, :2]))
    assert abs(mask.sum() - abs(area) * (size / 2) ** 2) < 0.06 * mask.sum() + 2


def test_edges_of_spheres_touch_their_ellipses() -> None:
    center, radius = (1.0, -1.0, 0.6), 0.6
    edges = sphere_edges(torch.tensor(center).unsqueeze(1), torch.tensor([radius]))[..., 0].double().numpy()
    inverse = np.linalg.inv(ellipse_of_sphere(center, radius))
    for axis in (0, 1):
        for edge in edges[axis]:
            line = np.array([1.0, 0.0, -edge] if axis == 0 else [0.0, 1.0, -edge])
            assert abs(line @ inverse @ line) < 1e-5 * np.abs(inverse).max()  # a tangent is on the dual conic


def brute_force(objects: SceneObjects, size: int) -> np.ndarray:
    """Which object is met first on the way from the camera, by small steps along each ray."""
    grid = ((np.arange(size) + 0.5) / size * 2 - 1) * VIEW
    u, v = np.meshgrid(grid, grid)
    right, down, forward = camera_axes()
    directions = u[..., None] * right + v[..., None] * down + forward
    owner = np.full((size, size), objects.shapes.shape[1])
    for t in np.arange(20.0, 5.0, -0.02):
        points = np.array(CAMERA) + t * directions
        for m in range(objects.shapes.shape[1]):
            r, angle = float(objects.radii[0, m]), float(objects.rotations[0, m])
            x, y = ((points[..., i] - float(objects.positions[0, m, i])) / r for i in (0, 1))
            z = points[..., 2] / r
            x, y = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
            half = math.sqrt(0.5)
            within = [
                x**2 + y**2 + (z - 1) ** 2 < 1,
                (x**2 + y**2 < 1) & (z > 0) & (z < 2),
                (abs(x) < half) & (abs(y) < half) & (z > 0) & (z < 2 * half),
            ][int(objects.shapes[0, m])]
            owner[within] = m
    return owner


def crowd() -> SceneObjects:
    return place_objects(
        ["cube", "sphere", "cylinder", "cube"],
        [(0.2, 0.5), (-0.4, -1.3), (0.9, 1.9), (1.6, -0.6)],
        radii=[0.8, 0.6, 0.75, 0.5],
        rotations=[0.5, 0.0, 0.0, 1.2],
        shiny=[True, False, False, True],
    )


def test_every_pixel_shows_the_first_object_that_a_walk_along_its_ray_meets() -> None:
    masks = scene_masks(crowd(), size=32)[0]
    walked = brute_force(crowd(), 32)
    assert (masks.int().argmax(0).numpy() != walked).mean() < 0.02
    assert masks.sum(0).eq(1).all()
    assert (masks[:4].flatten(1).sum(1) > 5).all()


def test_the_nearer_object_hides_the_farther_whatever_its_slot() -> None:
    places = [(0.0, -1.5), (0.0, 0.4)]
    for order in ([0, 1], [1, 0]):
        pair = place_objects(["cylinder", "sphere"], [places[i] for i in order])
        masks = scene_masks(pair)[0]
        near, far = order.index(0), order.index(1)
        alone = [scene_masks(place_objects([("cylinder", "sphere")[i]], [places[order[i]]]))[0, 0] for i in (0, 1)]
        assert torch.equal(masks[near], alone[near])
        assert torch.equal(masks[far], alone[far] & ~alone[near])
        assert bool((alone[far] & alone[near]).any())


def test_an_empty_slot_draws_nothing() -> None:
    scene = crowd()
    without = SceneObjects(
        scene.shapes.clone().index_fill_(1, torch.tensor([2]), -1), *(getattr(scene, n) for n in FIELDS[1:])
    )
    masks = scene_masks(without)[0]
    assert not masks[2].any()
    keep = torch.tensor([0, 1, 3])
    fewer = SceneObjects(*(getattr(scene, name)[:, keep] for name in FIELDS))
    assert torch.equal(render_scene(fewer), render_scene(without))
    empty = scene_masks(SceneObjects(*(getattr(scene, name)[:, :0] for name in FIELDS)))
    assert empty.shape == (1, 1, 64, 64)
    assert empty.all()


FIELDS = ("shapes", "positions", "radii", "rotations", "colors", "shiny")


def ground() -> Tensor:
    """The ground without objects."""
    return render_scene(SceneObjects(*(getattr(crowd(), name)[:, :0] for name in FIELDS)), size=128)[0]


def darker(scene: SceneObjects) -> Tensor:
    """Which pixels of the background are darker than without objects: bool (128, 128)."""
    background = scene_masks(scene, size=128)[0, -1]
    return background & (render_scene(scene, size=128)[0].mean(0) < ground().mean(0) - 0.1)


def test_a_shadow_falls_to_the_side_away_from_the_light() -> None:
    height = 0.7
    shade = darker(place_objects(["sphere"], [(0.0, 0.0)], radii=[height]))
    foot = [-height / LIGHT[2] * LIGHT[i] for i in (0, 1)]  # of the center's shadow
    tip = math.hypot(*foot) + height / LIGHT[2]  # a ball throws an ellipse as much longer as the light is lower
    for reach in (0.75, 0.97):
        point = [reach * tip / math.hypot(*foot) * f for f in foot]
        assert shade[seen_at((*point, 0.0), 128)]
        assert not shade[seen_at((-point[0], -point[1], 0.0), 128)]
    assert not shade[seen_at((*[1.1 * tip / math.hypot(*foot) * f for f in foot], 0.0), 128)]
    _, columns = shade.nonzero(as_tuple=True)
    assert float(columns.float().mean()) > seen_at((0.0, 0.0, 0.0), 128)[1]


def test_an_object_in_the_shadow_of_another_is_darker_and_the_other_is_not() -> None:
    back = (1.4 * -LIGHT[0] / LIGHT[2], 1.4 * -LIGHT[1] / LIGHT[2])
    both = place_objects(["cylinder", "sphere"], [(0.0, 0.0), back], radii=[0.7, 0.4], colors=[1, 7])
    alone = place_objects(["sphere"], [back], radii=[0.4], colors=[7])
    masks = scene_masks(both, size=128)[0]
    together, single = (render_scene(scene, size=128)[0].mean(0) for scene in (both, alone))
    inner = masks[1] & ~scene_masks(both, size=128)[0, -1]
    assert float(together[inner].mean()) < 0.8 * float(single[inner].mean())
    front = scene_masks(both, size=128)[0, 0]
    first = render_scene(place_objects(["cylinder"], [(0.0, 0.0)], radii=[0.7], colors=[1]), size=128)[0].mean(0)
    deep = front & ~torch.nn.functional.max_pool2d((~front).float()[None], 3, 1, 1)[0].bool()
    assert torch.equal(together[deep], first[deep])


def test_normals_point_out_of_lids_walls_and_faces() -> None:
    angle, half = 0.4, math.sqrt(0.5)
    solids = Solids(
        place_objects(["sphere", "cylinder", "cube"], [(1.0, 2.0)] * 3, radii=[2.0] * 3, rotations=[angle] * 3)
    )
    turned = (math.cos(angle), math.sin(angle), 0.0)
    cases = [
        (0, (0.6, 0.0, 0.8), (0.6, 0.0, 0.8)),
        (1, (0.3, -0.2, 1.0), (0.0, 0.0, 1.0)),
        (1, (0.6, -0.8, 0.5), (0.6, -0.8, 0.0)),
        (1, (0.0, 1.0, 0.99), (0.0, 1.0, 0.0)),
        (2, (0.1, 0.2, half), (0.0, 0.0, 1.0)),
        (2, tuple(half * t for t in turned), turned),
        (2, tuple(-half * t for t in turned), tuple(-t for t in turned)),
    ]
    which = torch.tensor([case[0] for case in cases])
    points = solids.centers[:, which] + 2 * torch.tensor([case[1] for case in cases]).T
    wanted = torch.tensor([case[2] for case in cases]).T
    assert torch.allclose(solids.normals(which, points), wanted, atol=1e-5)


def test_metal_has_a_highlight_and_matt_has_none() -> None:
    scenes = [place_objects(["sphere"], [(0, 0)], colors=[1], shiny=[shiny]) for shiny in (False, True)]
    mask = scene_masks(scenes[0], size=128)[0, 0]
    green = [float(render_scene(scene, size=128)[0, 1, mask].amax()) for scene in scenes]
    assert green[0] < 0.4  # red
    assert green[1] > 0.8  # white on red


@pytest.mark.parametrize("number", range(8))
def test_colors_are_those_of_their_names(number: int) -> None:
    scene = place_objects(["cube"], [(0, 0)], colors=[number])
    mean = render_scene(scene)[0][:, scene_masks(scene)[0, 0]].mean(1)
    wanted = torch.tensor(list(SCENE_COLORS.values())[number]) / 255
    assert float(torch.nn.functional.cosine_similarity(mean, wanted, 0)) > 0.97


def test_gray_is_the_luminance_of_the_colors() -> None:
    color, gray = render_scene(crowd()), render_scene(crowd(), color=False)
    assert gray.shape == (1, 1, 64, 64)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    assert float((gray[:, 0] - (weights * color).sum(1)).abs().max()) < 1.01 / 255


def test_pixels_are_whole_255ths_and_the_mean_of_four_rays() -> None:
    x = render_scene(crowd(), size=32)
    assert torch.equal((255 * x).round() / 255, x)
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    # A pixel on an edge lies between the object and the ground: smoothed, which a single ray could not do.
    large = render_scene(crowd(), size=64)
    assert float((torch.nn.functional.avg_pool2d(large, 2) - x).abs().mean()) < 0.01


def test_bytes_depend_on_nothing_but_the_scene() -> None:
    scene = crowd()
    alone = render_scene(scene)
    crowded = SceneObjects(*(torch.cat([getattr(scene, name)] * 37) for name in FIELDS))
    moved = SceneObjects(crowded.shapes, crowded.positions.clone(), *(getattr(crowded, n) for n in FIELDS[2:]))
    moved.positions[:-1] += 0.1 * torch.randn(36, 4, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(render_scene(moved)[-1:], alone)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(render_scene(scene), alone)
    digest = hashlib.sha256((255 * alone).round().byte().numpy().tobytes()).hexdigest()
    assert digest.startswith(CROWD), digest


def test_objects_outside_of_the_frame_or_behind_the_camera_do_no_harm() -> None:
    for place in [(9.0, 0.0), (0.0, -14.0), (0.0, 300.0), (3.2, 0.0)]:
        x = render_scene(place_objects(["cube"], [place]))
        assert x.isfinite().all()
    assert scene_masks(place_objects(["cylinder"], [(9.0, 0.0)]))[0, 1].all()
    cut = scene_masks(place_objects(["sphere"], [(3.2, 0.0)]))[0, 0]
    assert cut[:, -1].any()


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"shapes": torch.tensor([[3]])}, ValueError, r"shapes must be in \[-1, 2\], got values from 3 to 3"),
        ({"colors": torch.tensor([[8]])}, ValueError, r"colors must be in \[0, 7\]"),
        ({"radii": torch.tensor([[0.0]])}, ValueError, "radii must be above 0, got 0"),
        ({"radii": torch.tensor([[1]])}, TypeError, "radii must be torch.float32, got torch.int64"),
        ({"radii": torch.ones(1, 2)}, ValueError, r"radii must have shape \(1, 1\), got \(1, 2\)"),
        ({"positions": torch.ones(1, 1)}, ValueError, r"positions must have shape \(1, 1, 2\)"),
        ({"shapes": torch.tensor([0])}, ValueError, r"shapes must have shape"),
    ],
)
def test_refuses_objects_that_are_none(change: dict[str, Tensor], error: type[Exception], sentence: str) -> None:
    scene = place_objects(["sphere"], [(0.0, 0.0)])
    with pytest.raises(error, match=sentence):
        SceneObjects(**{name: change.get(name, getattr(scene, name)) for name in FIELDS})


def test_refuses_unknown_shapes_and_sizes() -> None:
    with pytest.raises(ValueError, match="shapes must be among sphere, cylinder, cube, got 'cone'"):
        place_objects(["cone"], [(0.0, 0.0)])
    for draw in (render_scene, scene_masks):
        with pytest.raises(ValueError, match="size must be at least 8, got 4"):
            draw(crowd(), size=4)
        with pytest.raises(TypeError, match="size must be a positive whole number"):
            draw(crowd(), size=64.0)  # type: ignore[arg-type]
