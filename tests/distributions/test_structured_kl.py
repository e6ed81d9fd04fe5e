"""Divergences of normal sequences against those of dense normals, near the limits, and where there is none."""

from __future__ import annotations

import pytest
import torch
from pyro.distributions import Laplace, Normal
from torch import Tensor
from torch.distributions import kl_divergence

import pyrodis
from pyrodis.distributions import AutoregressiveNormal, BlockTridiagonalNormal, GaussMarkovNormal
from pyrodis.nn import RecurrentTransition
from tests.normal_sequences import FORMS, Maker, dense, diagonal, independent
from tests.work import count_work

PAIRS = [(q, p) for q in [*FORMS, independent] for p in [*FORMS, independent] if (q, p) != (independent, independent)]


@pytest.mark.parametrize(("make_q", "make_p"), PAIRS, ids=lambda make: make.__name__)
@pytest.mark.parametrize(("num_frames", "dim"), [(1, 2), (2, 1), (4, 3)])
def test_against_dense_normals(make_q: Maker, make_p: Maker, num_frames: int, dim: int) -> None:
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        torch.manual_seed(0)
        q, p = make_q((3, 1), num_frames, dim, dtype), make_p((2,), num_frames, dim, dtype)
        ours = kl_divergence(q, p)
        dense_q, dense_p = dense(q).expand((3, 2)), dense(p).expand((3, 2))
        theirs = kl_divergence(dense_q, dense_p)
        assert ours.shape == (3, 2)
        assert ((ours - theirs).abs() / theirs.clamp_min(1.0)).max() < tolerance
        same = make_q((2,), num_frames, dim, dtype)
        if make_q is not independent:
            assert kl_divergence(same, same).abs().max() < 1e2 * tolerance * num_frames * dim


@pytest.mark.parametrize(("make_q", "make_p"), [(FORMS[0], FORMS[0]), (FORMS[3], FORMS[6]), (FORMS[5], FORMS[4])])
def test_agrees_with_draws(make_q: Maker, make_p: Maker) -> None:
    torch.manual_seed(0)
    q, p = make_q((), 3, 2), make_p((), 3, 2)
    value = q.sample((20000,))
    ratio = q.log_prob(value) - p.log_prob(value)
    assert abs(float(ratio.mean() - kl_divergence(q, p))) < 5 * float(ratio.std()) / 20000**0.5


def test_gradients() -> None:
    torch.manual_seed(0)
    parts = [torch.randn(2, 3, 2), torch.rand(2, 3, 2) + 0.5, torch.rand(2, 2, 2) - 0.5] * 2
    inputs = [(part + 0.1 * torch.rand_like(part)).double().requires_grad_() for part in parts]

    def divergence(*parts: Tensor) -> Tensor:
        return kl_divergence(GaussMarkovNormal(*parts[:3]), GaussMarkovNormal(*parts[3:]))

    assert torch.autograd.gradcheck(divergence, inputs)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_exact_at_the_limit_in_float32(sign: float) -> None:
    loc, scale = 0.01 * torch.randn(2, 64, 3), torch.rand(2, 64, 3) + 0.5
    ends = [torch.full((63, 3), sign * value, requires_grad=True) for value in (1 - 1e-6, 1 - 3e-6)]
    q, p = GaussMarkovNormal(loc[0], scale[0], ends[0]), GaussMarkovNormal(loc[1], scale[0], ends[1])
    exact = kl_divergence(
        GaussMarkovNormal(loc[0].double(), scale[0].double(), ends[0].double()),
        GaussMarkovNormal(loc[1].double(), scale[0].double(), ends[1].double()),
    )
    divergence = kl_divergence(q, p)
    torch.testing.assert_close(divergence.double(), exact, rtol=1e-4, atol=0)
    assert all(bool(part.isfinite().all()) for part in torch.autograd.grad(divergence, ends))
    assert abs(float(kl_divergence(q, q).detach())) < 1e-2


@pytest.mark.parametrize("form", ["rotation", "blocks"])
def test_codes_that_stay_under_a_chain_that_hardly_moves_in_float32(form: str) -> None:
    """The precision's blocks are near 1e6 and cancel; the divergence must not be made of them."""
    torch.manual_seed(0)
    loc = torch.randn(64, 1, 2) + 0.003 * torch.randn(64, 10, 2)
    scale, moduli, angles = torch.full((64, 10, 2), 0.05), torch.full((64, 9, 1), 0.9), torch.full((64, 9, 1), 0.01)

    def divergence(dtype: torch.dtype) -> Tensor:
        prior = GaussMarkovNormal(*(part.to(dtype) for part in (0 * loc, scale / scale, torch.full((9, 2), 1 - 1e-6))))
        q = GaussMarkovNormal(loc.to(dtype), scale.to(dtype), moduli.to(dtype), angles=angles.to(dtype))
        if form == "blocks":
            q = BlockTridiagonalNormal(loc.to(dtype), *q.precision_blocks)
        return kl_divergence(q, prior)

    exact = divergence(torch.float64)
    assert (divergence(torch.float32) - exact).abs().max() < 2e-6 * exact.mean()


def test_work_is_linear_in_frames() -> None:
    for make_q, make_p in ((FORMS[0], FORMS[0]), (FORMS[0], FORMS[6]), (FORMS[6], FORMS[4])):
        (_, little), (_, much) = (
            count_work(lambda: kl_divergence(make_q((), T, 3), make_p((), T, 3)))  # noqa: B023
            for T in (32, 128)
        )
        assert much / little < 1.2 * 4


def test_no_estimate_where_there_is_no_closed_form() -> None:
    chain = diagonal((), 4, 2, torch.float32)
    others = [
        Laplace(torch.zeros(4, 2), 1.0).to_event(2),
        Normal(torch.zeros(3, 4, 2), 1.0).to_event(3),
        AutoregressiveNormal(RecurrentTransition(2, hidden_dim=4), 4),
    ]
    for other in others:
        with pytest.raises(NotImplementedError):
            kl_divergence(chain, other)
    with pytest.raises(NotImplementedError):
        kl_divergence(others[0], chain)
    with pytest.raises(ValueError, match=r"same event shape \(T, n\), got \(4, 2\) and \(5, 2\)"):
        kl_divergence(chain, diagonal((), 5, 2, torch.float32))
    nested = Normal(torch.zeros(4, 2), 1.0).to_event(1).to_event(1)
    torch.testing.assert_close(
        kl_divergence(chain, nested), kl_divergence(chain, Normal(torch.zeros(4, 2), 1.0).to_event(2))
    )


def test_the_objective_uses_it() -> None:
    import pyro

    prior, posterior = diagonal((), 4, 2, torch.float32), diagonal((3,), 4, 2, torch.float32)

    def program(latent: GaussMarkovNormal) -> None:
        with pyro.plate("data", 3):
            pyro.sample("z", latent)

    terms = pyrodis.NamedELBO().terms(lambda x: program(prior), lambda x: program(posterior), torch.zeros(3))
    torch.testing.assert_close(terms.values["kl_z"], kl_divergence(posterior, prior).mean())
    assert terms.analytic == {"z"}
