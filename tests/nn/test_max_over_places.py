"""The maximum over places, against torch.amax."""

from __future__ import annotations

import torch

from pyrodis.nn.conv import max_over_places


def test_it_is_amax_and_one_of_equal_places_learns() -> None:
    maps = torch.randn(3, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.equal(max_over_places(maps), maps.amax((-2, -1)))
    weights = torch.arange(12.0, dtype=torch.float64).reshape(3, 4)
    (ours,) = torch.autograd.grad((weights * max_over_places(maps)).sum(), maps)
    (theirs,) = torch.autograd.grad((weights * maps.amax((-2, -1))).sum(), maps)
    assert torch.equal(ours, theirs)
    flat = torch.ones(1, 1, 2, 2, requires_grad=True)
    max_over_places(flat).sum().backward()
    assert flat.grad is not None
    assert sorted(flat.grad.flatten().tolist()) == [0, 0, 0, 1]
    assert torch.equal(max_over_places(maps.bfloat16()), maps.bfloat16().amax((-2, -1)))
