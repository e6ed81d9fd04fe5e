"""The KL of every component: its sum, its order, what it leaves alone, and bad input."""

from __future__ import annotations

import pyro
import pytest
import torch

import pyrodis
from pyrodis.infer import NamedELBO, component_kl
from pyrodis.infer.comparison import draw_log_ratios
from pyrodis.testing import tiny_dsvae
from tests.components import C, H, K, W, fresh_pair, make_images, make_pair


def test_sums_to_the_term_of_the_objective() -> None:
    (model, guide), x = make_pair(), make_images()
    kl = component_kl(model, guide, x)
    assert kl.shape == (4, K)
    assert bool((kl > 0).all())
    terms = NamedELBO().terms(model, guide, x)
    assert "z" in terms.analytic
    torch.testing.assert_close(kl.sum(-1).mean(), terms.values["kl_z"].detach())


def test_draws_of_all_components_are_weighed_together() -> None:
    """In comparisons of guides a draw has one weight an image: over all components, and over x once."""
    (model, guide), x = make_pair(), make_images()
    torch.manual_seed(0)
    ratios = draw_log_ratios(model, guide, x, 2000, chunk_size=1000)
    assert {name: tuple(ratio.shape) for name, ratio in ratios.items()} == {"z": (2000, 4), "x": (2000, 4)}
    expected = {"z": -component_kl(model, guide, x).sum(-1)}
    with torch.no_grad(), pyro.plate("draws", 2000, dim=-3):
        z = guide(x)["z"]
    with torch.no_grad():
        expected["x"] = model.likelihood(*model._decode(z)).log_prob(x).mean(0)
    for name, ratio in ratios.items():
        error = (ratio.mean(0) - expected[name]) / (ratio.std(0) / 2000**0.5)
        assert float(error.abs().max()) < 6


def test_is_of_each_component_and_image_alone() -> None:
    (model, guide), x = make_pair(), make_images()
    kl = component_kl(model, guide, x)
    torch.testing.assert_close(component_kl(model, guide, x[2:3]), kl[2:3])
    with torch.no_grad():
        guide.heads[2].linear.bias += 1.0
    changed = component_kl(model, guide, x) != kl
    assert changed.all(0).tolist() == [False, False, True]
    assert changed.any(0).tolist() == [False, False, True]


def test_ignores_wrappers_modes_and_gradients() -> None:
    torch.manual_seed(0)
    (model, guide), x = fresh_pair(), make_images().float()
    buffers = {name: value.clone() for name, value in guide.state_dict().items()}
    wrapped = [pyrodis.scale_latents(program, {"z": 0.5}) for program in (model, guide)]
    kl = component_kl(*wrapped, x)
    assert not kl.requires_grad
    assert guide.training
    assert model.training
    assert all(torch.equal(buffers[name], value) for name, value in guide.state_dict().items())
    torch.testing.assert_close(kl, component_kl(model.eval(), guide.eval(), x))


def test_refuses_bad_input() -> None:
    (model, guide), x = make_pair(), make_images()
    with pytest.raises(ValueError, match=r"site must name a latent site of both programs, .*'z'.*, got 'f'"):
        component_kl(model, guide, x, site="f")
    with pytest.raises(ValueError, match=r"has 3 components of shape .* in the guide and 2 of"):
        component_kl(make_pair(2)[0], guide, x)
    with pytest.raises(ValueError, match=r"plates 'components' .dim -2. and 'data'"):
        component_kl(*tiny_dsvae(), torch.rand(2, 5, 1, 8, 8))
    with pytest.raises(ValueError, match="contains NaN"):
        component_kl(model, guide, torch.full((2, 1, C, H, W), float("nan")))
