"""Draws for ArviZ: what is in the groups, that they belong together, and that files give them back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pyro
import pytest
import torch
from torch import nn
from torch.distributions import Normal

import pyrodis
from pyrodis import export
from pyrodis.guides import EigenvalueGuide, FullGuide, WhatWhereGuide
from pyrodis.infer import score_shown_frames
from pyrodis.models import DSVAE, EigenvalueVAE, LaplaceEigenvalues, NormalPixels, StandardPrior, WhatWhereVAE
from pyrodis.nn import ConvDecoder, ConvEncoder, EveryFrame
from tests import components
from tests.pairs import DYNAMIC_PAIRS, FRAME, GUIDES, PRIORS, D, S, T, make_clips, make_pair

GROUPS = ("posterior", "prior", "posterior_predictive", "prior_predictive", "log_likelihood", "observed_data")
N, P, B = 6, 2, 3


def eigenvalue_pair() -> tuple[nn.Module, nn.Module]:
    model = EigenvalueVAE(ConvDecoder(D, FRAME, base_channels=2), LaplaceEigenvalues(D), NormalPixels(), D, T)
    return model, EigenvalueGuide(ConvEncoder(FRAME, 4, base_channels=2), D, hidden_dim=4)


def what_where_pair(reader: nn.Module | None, per_frame: bool) -> tuple[nn.Module, nn.Module]:
    decoder, encoders = ConvDecoder(S + D, FRAME, base_channels=2), [ConvEncoder(FRAME, 4, 2) for _ in range(2)]
    model = WhatWhereVAE(decoder, NormalPixels(), S, D, T, what_per_frame=per_frame)
    return model, WhatWhereGuide(*encoders, S, D, what_reader=reader)


def shown_pair() -> tuple[nn.Module, nn.Module]:
    model, guide = make_pair()
    return score_shown_frames(model, torch.tensor([True, False, True, True])), guide


PAIRS: dict[str, Callable[[], tuple[Any, Any]]] = {
    **DYNAMIC_PAIRS,
    **{
        f"DSVAE-{guide.__name__}-{prior.__name__}": lambda guide=guide, prior=prior: make_pair(guide, prior)
        for guide in GUIDES
        for prior in PRIORS
    },
    "EigenvalueVAE": eigenvalue_pair,
    "WhatWhereVAE": lambda: what_where_pair(None, False),
    "WhatWhereVAE per frame": lambda: what_where_pair(EveryFrame(), True),
    "ParallelVAE": components.make_pair,
    "shown frames": shown_pair,
}
SITES = {
    "f": {"static_dim": S},
    "z": {"time": T, "dynamic_dim": D},
    "eigenvalues": {"step": T - 1, "eigenvalue": D},
    "correlations": {"step": T - 1, "dynamic_dim": D},
    "what": {"what_dim": S},
    "where": {"time": T, "where_dim": D},
}


def clips_of(name: str, model: nn.Module) -> torch.Tensor:
    x = components.make_images(B) if name == "ParallelVAE" else make_clips(B)
    return x.to(next(iter([*model.parameters(), *model.buffers()])).dtype)


def export_pair(model: Any, guide: Any, x: torch.Tensor, *numbers: int, seed: int = 0, **rest: Any) -> Any:
    torch.manual_seed(seed)
    return pyrodis.to_arviz(model, guide, x, *numbers, **rest)


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_is_exported(name: str) -> None:
    torch.manual_seed(0)
    model, guide = (program.eval() for program in PAIRS[name]())
    x = clips_of(name, model)
    data = export_pair(model, guide, x, N, P)
    sites = {"z": {"latent_dim": D}} if name == "ParallelVAE" else SITES
    if name == "WhatWhereVAE per frame":
        sites = sites | {"what": {"time": T, "what_dim": S}}
    if name == "DSVAE-GridGuide":  # two and one latents in four cells
        sites = sites | {"f": {"static_dim": 8}, "z": {"time": T, "dynamic_dim": 4}}
    plates = {"component": components.K} if name == "ParallelVAE" else {}
    latents = set(pyrodis.encode(guide, x))
    returned = set(guide(x)) & {"eigenvalues", "correlations"}
    assert set(data["prior"]) == latents
    assert set(data["posterior"]) == latents | returned
    for group in ("posterior", "prior"):
        for site, variable in data[group].data_vars.items():
            assert dict(variable.sizes) == {"chain": 1, "draw": N, **plates, "sequence": B, **sites[site]}, site
            assert tuple(variable.dims) == ("chain", "draw", *plates, "sequence", *sites[site])
            assert np.isfinite(variable.values).all()
            assert set(variable.coords) == set(variable.dims)
    frames = dict(zip(("sequence", "time", "channel", "height", "width"), x.shape))
    for group in ("posterior_predictive", "prior_predictive"):
        assert dict(data[group]["x"].sizes) == {"chain": 1, "draw": P, **frames}
    assert dict(data["log_likelihood"]["x"].sizes) == {"chain": 1, "draw": P, "sequence": B}
    assert dict(data["observed_data"]["x"].sizes) == frames
    assert np.array_equal(data["observed_data"]["x"].values, x.numpy())


def take(data: Any, group: str, num: int = P) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value.values[0, :num]) for name, value in data[group].data_vars.items()}


def test_predictions_and_likelihoods_belong_to_their_draws() -> None:
    model, guide = make_pair()
    x = make_clips(B)
    data = export_pair(model, guide, x, N, 4)
    likelihood = {group: pyrodis.decode(model, take(data, group, 4)) for group in ("posterior", "prior")}
    expected = Normal(likelihood["posterior"], 0.3).log_prob(x).sum((2, 3, 4, 5))
    np.testing.assert_allclose(data["log_likelihood"]["x"].values[0], expected.numpy(), rtol=1e-6)
    for group, loc in likelihood.items():
        noise = torch.from_numpy(data[f"{group}_predictive"]["x"].values[0]) - loc
        count = noise.numel()
        assert abs(float(noise.mean())) < 4 * 0.3 / count**0.5
        assert float(noise.std()) == pytest.approx(0.3, abs=4 * 0.3 / (2 * count) ** 0.5)


def test_the_mixture_of_components_belongs_to_its_draws() -> None:
    model, guide = components.make_pair()
    x = components.make_images(B)
    data = export_pair(model, guide, x, N, P)
    z = take(data, "posterior")["z"]
    for draw in range(P):
        with pyro.poutine.trace() as messenger, pyro.poutine.condition(data={"z": z[draw]}):
            model(x)
        site = messenger.trace.nodes["x"]
        expected = site["fn"].log_prob(site["value"]).detach().numpy()
        np.testing.assert_allclose(data["log_likelihood"]["x"].values[0, draw], expected, rtol=1e-10)


def test_draws_are_those_of_guide_and_prior() -> None:
    model, guide = make_pair(FullGuide, StandardPrior)
    x = make_clips(B)[:, :3]  # not as long as the clips that the model draws
    num = 2000
    data = export_pair(model, guide, x, num, 0)
    assert set(datasets(data)) == {"posterior", "prior", "observed_data"}
    f = data["posterior"]["f"].values[0]
    error = f.std(0) / num**0.5
    mean = pyrodis.encode(guide, x)["f"].numpy()
    assert (np.abs(f.mean(0) - mean) < 5 * error).all()
    for site in ("f", "z"):
        drawn = data["prior"][site].values[0]
        assert abs(drawn.mean()) < 5 / drawn.size**0.5
        assert drawn.std() == pytest.approx(1.0, abs=5 / (2 * drawn.size) ** 0.5)
    assert data["prior"]["z"].sizes["time"] == data["posterior"]["z"].sizes["time"] == 3


def test_penalties_and_weights_take_no_part() -> None:
    model, guide = make_pair()
    x = make_clips(B)
    wrapped = pyrodis.scale_latents(guide, {"f": 3.0})
    calls: list[str] = []
    penalty = lambda output: calls.append("run") or output["f"].square().sum(-1)  # noqa: E731
    wrapped = pyrodis.add_penalty(wrapped, "large", penalty, 9.0, side="guide")
    weighted = pyrodis.add_penalty(model, "dear", penalty, 9.0, side="model")
    plain, other = (datasets(export_pair(*pair, x, N, P)) for pair in ((model, guide), (weighted, wrapped)))
    assert set(plain) == set(other) == set(GROUPS)
    assert all(plain[group].equals(other[group]) for group in GROUPS)
    assert calls == []


def test_hidden_frames_do_not_count() -> None:
    x = make_clips(B)
    changed = x.clone()
    changed[:, 1] = 0.5
    _, guide = shown_pair()
    blind = FirstFrame(guide)
    found = [export_pair(shown_pair()[0], blind, clips, N, P)["log_likelihood"]["x"].values for clips in (x, changed)]
    np.testing.assert_allclose(*found)
    plain = [export_pair(make_pair()[0], blind, clips, N, P)["log_likelihood"]["x"].values for clips in (x, changed)]
    assert not np.allclose(*plain)


class FirstFrame(nn.Module):
    """A guide that sees the first frame alone, so that codes do not tell what the others are."""

    def __init__(self, guide: nn.Module) -> None:
        super().__init__()
        self.guide = guide

    def forward(self, x: torch.Tensor, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        return self.guide(x[:, :1].expand(x.shape))


def test_eigenvalues_of_a_structured_guide_are_told() -> None:
    torch.manual_seed(0)
    model, guide = (program.eval() for program in DYNAMIC_PAIRS["DSVAE-DiagonalTransition"]())
    x = make_clips(B).float()
    found = export_pair(model, guide, x, N, 0)["posterior"]["eigenvalues"]
    expected = guide(x)["eigenvalues"].detach().numpy()
    for draw in range(N):
        np.testing.assert_allclose(found.values[0, draw], expected, rtol=1e-6)
    assert found.coords["step"].values.tolist() == [1, 2, 3]


def test_eigenvalues_that_are_latent_are_drawn() -> None:
    torch.manual_seed(0)
    model, guide = (program.eval() for program in eigenvalue_pair())
    data = export_pair(model, guide, make_clips(B).float(), N, 0)
    assert (data["posterior"]["eigenvalues"].values[0].std(0) > 0).all()
    assert (np.ptp(data["posterior"]["correlations"].values[0], axis=0) == 0).all()


def test_draws_are_decoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, guide = make_pair()
    x, sizes = make_clips(B), []
    whole = export_pair(model, guide, x, N, 5)
    model.decoder.register_forward_hook(lambda module, given, output: sizes.append(len(given[0])))
    monkeypatch.setattr(export, "FRAMES_AT_ONCE", 2 * B * T)
    parts = export_pair(model, guide, x, N, 5)
    assert sizes[1:] == [2, 2, 1] * 2
    for group in ("posterior", "prior", "log_likelihood"):
        for name in whole[group].data_vars:
            np.testing.assert_allclose(whole[group][name].values, parts[group][name].values, rtol=1e-10)


def test_latents_cost_no_decoding() -> None:
    model, guide = make_pair()
    calls: list[int] = []
    model.decoder.register_forward_hook(lambda module, given, output: calls.append(given[0].shape[-3]))
    export_pair(model, guide, make_clips(B), 50, 0)
    assert calls == [1]  # one clip, to see whether model and guide are a pair
    assert pyro.poutine.runtime._PYRO_STACK == []


def test_programs_run_in_eval_mode_and_keep_their_own() -> None:
    model, guide = make_pair()
    resting = datasets(export_pair(model, guide, make_clips(B), N, P))
    guide.train()
    model.decoder.train()
    before = {module: module.training for program in (model, guide) for module in program.modules()}
    training = datasets(export_pair(model, guide, make_clips(B), N, P))
    assert all(resting[group].equals(training[group]) for group in GROUPS)
    assert before == {module: module.training for module in before}


def test_a_site_of_ones_own_has_numbered_dimensions() -> None:
    class Program(nn.Module):
        def forward(self, x: torch.Tensor | None = None, batch_size: int | None = None) -> dict[str, torch.Tensor]:
            with pyro.plate("data", len(x)):
                w = pyro.sample("w", pyro.distributions.Normal(torch.zeros(3, 4), 1.0).to_event(2))
                if type(self) is Program:
                    loc = w.sum((-1, -2))[..., None, None, None, None].expand(*w.shape[:-2], *x.shape[1:])
                    pyro.sample("x", pyro.distributions.Normal(loc, 1.0).to_event(4), obs=x)
            return {"w": w, "reconstruction": x}

    class Guide(Program):
        pass

    data = export_pair(Program(), Guide(), make_clips(B).float(), N, P)
    assert dict(data["posterior"]["w"].sizes) == {"chain": 1, "draw": N, "sequence": B, "w_dim_0": 3, "w_dim_1": 4}


def test_factors_are_constant_data() -> None:
    model, guide = make_pair()
    factors = torch.tensor([[0, 1], [2, 3], [4, 5]])
    data = export_pair(model, guide, make_clips(B), N, 0, factors=factors, factor_names=("action", "hair"))
    found = data["constant_data"]["factors"]
    assert found.sel(factor="hair").values.tolist() == [1, 3, 5]
    each = factors[:, None].expand(-1, T, -1)
    data = export_pair(model, guide, make_clips(B), N, 0, factors=each)
    assert data["constant_data"]["factors"].dims == ("sequence", "time", "factor")


def datasets(data: Any) -> dict[str, Any]:
    """Group name to dataset, whichever ArviZ made it."""
    if hasattr(data, "children"):
        return {name: node.to_dataset() for name, node in data.children.items()}
    return {name: data[name] for name in data.groups()}


@pytest.mark.parametrize("name", ["DSVAE-DiagonalTransition", "EigenvalueVAE", "ParallelVAE"])
def test_a_file_gives_back_what_was_written(name: str, tmp_path: Path) -> None:
    import arviz

    model, guide = (program.eval() for program in PAIRS[name]())
    factors = torch.arange(B)[:, None]
    data = export_pair(model, guide, clips_of(name, model), N, P, factors=factors, factor_names=["action"])
    data.to_netcdf(tmp_path / "draws.nc")
    written, read = datasets(data), datasets(arviz.from_netcdf(tmp_path / "draws.nc"))
    assert set(written) == set(read) == {*GROUPS, "constant_data"}
    for group in written:
        assert written[group].identical(read[group]), group  # values, names, coordinates and attributes


def test_arviz_reads_it() -> None:
    import arviz

    matplotlib.use("Agg")
    model, guide = make_pair()
    data = export_pair(model, guide, make_clips(B), 40, 0)
    table = arviz.summary(data, var_names=["f"], kind="stats")
    assert len(table) == B * S
    mean = data["posterior"]["f"].mean(("chain", "draw")).values.ravel()
    np.testing.assert_allclose(table["mean"].to_numpy(dtype=float), mean, atol=0.01)
    arviz.plot_forest(data, var_names=["f"], combined=True)
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("version", ["1.0.0", "1.3.0"])
def test_a_newer_arviz_gets_a_tree_of_the_same_groups(
    version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stand-in of ArviZ 1, which has no InferenceData; its `from_netcdf` is xarray's `open_datatree`."""
    import xarray

    model, guide = make_pair()
    old = datasets(export_pair(model, guide, make_clips(B), N, P))
    monkeypatch.setitem(sys.modules, "arviz", SimpleNamespace(__version__=version))
    tree = export_pair(model, guide, make_clips(B), N, P)
    assert isinstance(tree, xarray.DataTree)
    new = datasets(tree)
    assert set(old) == set(new)
    assert all(old[group].equals(new[group]) for group in old)
    tree.to_netcdf(tmp_path / "draws.nc")
    with xarray.open_datatree(tmp_path / "draws.nc") as read:
        assert tree.identical(read)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"x": torch.zeros(4, 1, 8, 8)}, ValueError, r"x must have shape \(B, T, C, H, W\), got \(4, 1, 8, 8\)"),
        ({"x": np.zeros((2, 4, 1, 8, 8))}, TypeError, "x must be a .*tensor"),
        ({"x": torch.full((2, 4, 1, 8, 8), float("nan")).double()}, ValueError, "must be finite, got NaN or infinity"),
        ({"num_samples": 0}, ValueError, "num_samples must be a positive whole number, got 0"),
        ({"num_samples": 2.0}, TypeError, "num_samples must be a positive whole number, got 2.0"),
        ({"num_predictive": -1}, ValueError, "num_predictive must be from 0 to num_samples = 6, got -1"),
        ({"num_predictive": 7}, ValueError, "num_predictive must be from 0 to num_samples = 6, got 7"),
        ({"num_predictive": None}, TypeError, "num_predictive must be a whole number of at least 0, got None"),
        ({"factors": [[1], [2], [3]]}, TypeError, "factors must be a torch tensor, got list"),
        ({"factors": torch.zeros(2, 1)}, ValueError, r"factors must have shape \(B, F\).* as x, got \(2, 1\)"),
        ({"factor_names": ["a"]}, ValueError, r"factor_names must come with factors, got \('a',\) alone"),
        (
            {"factors": torch.zeros(3, 2), "factor_names": ["a"]},
            ValueError,
            r"factor_names must be 2 names.*got \['a'\]",
        ),
        ({"factors": torch.zeros(3, 2), "factor_names": "ab"}, ValueError, "factor_names must be 2 names.*got 'ab'"),
    ],
)
def test_refuses_bad_input(change: dict[str, Any], error: type[Exception], match: str) -> None:
    model, guide = make_pair()
    arguments = {"x": make_clips(B), "num_samples": N, "num_predictive": P} | change
    with pytest.raises(error, match=match):
        pyrodis.to_arviz(model, guide, **arguments)


def test_refuses_programs_that_are_no_pair() -> None:
    model, guide = make_pair()
    x = make_clips(B)
    other = DYNAMIC_PAIRS["BetaVAE-MeanFieldGuide"]()[1].double()
    with pytest.raises(
        ValueError, match=r"model and guide must have the same latent sites, got \['f', 'z'\] and \['z'\]"
    ):
        pyrodis.to_arviz(model, other, x, N, P)
    with pytest.raises(ValueError, match="the model must observe x at a site 'x'"):
        pyrodis.to_arviz(guide, model, x, N, P)
    wider = FullGuide(ConvEncoder(FRAME, 4, base_channels=2), S + 1, D, hidden_dim=4).double()
    with pytest.raises(ValueError, match=r"latent 'f' must have shape \(\.\.\., B, 3\), got \(6, 3, 4\)"):
        pyrodis.to_arviz(model, wider, x, N, P)
    assert isinstance(model, DSVAE)
