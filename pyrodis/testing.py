"""Checks that people run on parts of their own: distributions, pairs of programs, regularizers, data sets, metrics.

Each check raises `AssertionError` with one sentence that says what is wrong, and returns nothing. They are what the
tests of pyrodis run on its own parts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from torch import nn
from torch.utils.data import Dataset

from pyrodis.guides import Factorization, FullGuide
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.factorization import measure_factorization
from pyrodis.infer.queries import decode, encode, reconstruct, sample_prior, swap
from pyrodis.infer.sites import get_trace, latent_sites
from pyrodis.models import DSVAE, LSTMPrior, NormalPixels
from pyrodis.nn import ConvDecoder, ConvEncoder


def tiny_dsvae(seed: int = 0) -> tuple[DSVAE, FullGuide]:
    """Return a DSVAE and a full guide of a few hundred parameters, for examples and tests.

    Args:
        seed: Seed of the initial weights.

    Returns:
        Model and guide for clips (B, 5, 1, 8, 8), f of 3 and z of 2 dimensions.

    Example:
        >>> model, guide = tiny_dsvae()
        >>> model(batch_size=2)["x"].shape
        torch.Size([2, 5, 1, 8, 8])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = ConvDecoder(5, (1, 8, 8), base_channels=2)
        model = DSVAE(decoder, LSTMPrior(2, hidden_dim=8), NormalPixels(), static_dim=3, dynamic_dim=2, num_frames=5)
        guide = FullGuide(ConvEncoder((1, 8, 8), 4, base_channels=2), static_dim=3, dynamic_dim=2, hidden_dim=8)
    return model, guide


def check_distribution(distribution: Any, num_samples: int = 4000) -> None:
    r"""Check that a distribution draws what it scores.

    Shapes, finite values, `expand`, and, where the entropy is known, $\mathbb E \log p = -H$ by Monte Carlo within five
    standard errors.

    Args:
        distribution: Any Pyro distribution with `rsample`.
        num_samples: Draws for the Monte Carlo check.

    Raises:
        AssertionError: If a shape, a value or a gradient is wrong.

    Example:
        >>> from pyro.distributions import Normal
        >>> check_distribution(Normal(torch.zeros(3, 2), 1.0).to_event(1))
    """
    batch, event = distribution.batch_shape, distribution.event_shape
    value = distribution.rsample()
    _require(value.shape == batch + event, f"rsample() has shape {tuple(value.shape)}, expected {tuple(batch + event)}")
    log_prob = distribution.log_prob(value)
    _require(log_prob.shape == batch, f"log_prob has shape {tuple(log_prob.shape)}, expected {tuple(batch)}")
    _require(bool(log_prob.isfinite().all()), "log_prob of the distribution's own draw is not finite")
    wide = distribution.expand(torch.Size([2]) + batch)
    _require(wide.batch_shape == torch.Size([2]) + batch, f"expand gives batch shape {tuple(wide.batch_shape)}")
    _require(type(wide) is type(distribution), f"expand returns {type(wide).__name__}; give the class its own expand")
    both = torch.stack([value, value])
    _require(torch.allclose(wide.log_prob(both)[0], log_prob, rtol=1e-4, atol=1e-4), "log_prob changes under expand")
    draws = distribution.rsample(torch.Size([num_samples]))
    _require(draws.shape == torch.Size([num_samples]) + batch + event, f"rsample(n) has shape {tuple(draws.shape)}")
    scores = distribution.log_prob(draws).detach()
    try:
        entropy = distribution.entropy().detach()
    except NotImplementedError:
        return
    error = (scores.mean(0) + entropy).abs() / (scores.std(0) / num_samples**0.5 + 1e-12)
    _require(bool((error < 5).all()), f"-E log p differs from the entropy by {float(error.max()):.1f} standard errors")


def check_model_guide(
    make: Callable[[], tuple[nn.Module, nn.Module]], x: torch.Tensor, *, couples_clips: bool = False
) -> None:
    """Check that a model and a guide keep the contract that every query, objective and trainer relies on.

    The pair has the same latent sites with the same shapes; both run with data and the model without; `Trace_ELBO` as a
    module and `SVI` give the same loss and gradients and train every parameter, twice in one process; the loss works
    with vectorized particles; a batch's loss is the sum over its items (in eval mode); encode, decode, reconstruct,
    swap and sample_prior give the shapes of the contract.

    Args:
        make: Returns a fresh pair.
        x: A small batch of clips, at least two.
        couples_clips: Whether a penalty compares the clips of a batch, as `pyrodis.regularizers.barlow_twins` does: the
            loss is then no sum over items, and that one promise is not checked.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        AssertionError: With the first promise that is broken.

    Example:
        >>> check_model_guide(tiny_dsvae, torch.rand(3, 5, 1, 8, 8))
    """
    model, guide = make()
    _check_sites(model, guide, x)
    _check_queries(model, guide, x)
    if not couples_clips:
        _check_sum_over_items(model, guide, x)
    for _ in range(2):
        _check_training(*make(), x)


def check_factorization(guide: nn.Module, x: torch.Tensor, *, may_see_less: bool = False) -> None:
    """Check that what the factors of a guide depend on is what its method `factorization` says.

    Args:
        guide: A guide with a method `factorization(num_frames)`, as those of `pyrodis.guides` have.
        x: A few clips.
        may_see_less: Whether a factor may depend on less than is declared, as views that hide something make it.

    Shape:
        x: (B, T, C, H, W) in [0, 1].

    Raises:
        AssertionError: With the first code whose factor is not as declared.

    Example:
        >>> check_factorization(tiny_dsvae()[1], torch.rand(3, 3, 1, 8, 8))
    """
    _require(callable(getattr(guide, "factorization", None)), f"{type(guide).__name__} has no method factorization")
    num_frames = x.shape[1]
    declared: Factorization = guide.factorization(num_frames)  # type: ignore[operator]
    found = measure_factorization(guide, x)
    same = sorted(declared) == sorted(found)
    _require(same, f"the guide declares factors of {sorted(declared)}, its codes are {sorted(found)}")
    for code, seen in found.items():
        more = [name for name in seen if name not in declared[code]]
        less = [name for name in declared[code] if name not in seen]
        _require(not more, f"{code} depends on {more}, which factorization({num_frames}) does not say")
        _require(may_see_less or not less, f"{code} does not depend on {less}, as factorization({num_frames}) says")


def check_regularizer(regularizer: Callable[[torch.Tensor], torch.Tensor], value: torch.Tensor) -> None:
    """Check that a regularizer gives one finite, non-negative value per datum, differentiable, from that datum alone.

    Args:
        regularizer: A function from tensors (B, ...) to (B).
        value: A batch of inputs, at least two.

    Shape:
        value: (B, ...).

    Raises:
        AssertionError: With the first promise that is broken.

    Example:
        >>> from pyrodis.regularizers import temporal_difference
        >>> check_regularizer(temporal_difference, torch.randn(3, 5, 2))
    """
    value = value.detach().clone().requires_grad_()
    penalty = regularizer(value)
    _require(
        penalty.shape == value.shape[:1],
        f"must return shape (B) = {tuple(value.shape[:1])}, got {tuple(penalty.shape)}",
    )
    _require(bool(penalty.isfinite().all()) and bool((penalty >= 0).all()), "must be finite and not negative")
    stacked = regularizer(torch.stack([value, value]))
    _require(stacked.shape == (2, *penalty.shape), "must keep leading dimensions: reduce over named trailing ones only")
    (gradient,) = torch.autograd.grad(penalty[0], value)
    _require(bool(gradient.isfinite().all()), "must have a finite gradient")
    _require(bool((gradient[1:] == 0).all()), "the value of a datum must depend on that datum alone")


def check_dataset(dataset: Dataset[Any]) -> None:
    """Check that a data set's items and attributes are those that training, judges and figures expect.

    A factor's size is its number of classes, or None where it is continuous, in [0, 1]. Factors may be those of the
    clip or of each frame. Items may hold masks, of which exactly one covers each pixel.

    Args:
        dataset: A data set of clips with known factors.

    Raises:
        AssertionError: With the first promise that is broken.

    Example:
        >>> from pyrodis.datasets import ProceduralSprites
        >>> check_dataset(ProceduralSprites(split="test"))
    """
    for name in ("factor_names", "factor_sizes", "split", "seed", "name", "checksum", "num_frames", "frame_shape"):
        _require(hasattr(dataset, name), f"a data set must have the attribute {name}")
    data: Any = dataset
    item = data[0]
    shape = (data.num_frames, *data.frame_shape)
    _require(tuple(item["x"].shape) == shape, f'item["x"] must have shape {shape}, got {tuple(item["x"].shape)}')
    _require(item["x"].is_floating_point(), f'item["x"] must be floating point, got {item["x"].dtype}')
    _require(float(item["x"].min()) >= 0 and float(item["x"].max()) <= 1, 'item["x"] must lie in [0, 1]')
    _check_factors(data, item["factors"])
    _check_masks(data, item)
    _require(torch.equal(data[0]["x"], item["x"]), "the same index must give the same clip")
    last = len(data) - 1
    if hasattr(data, "__getitems__"):
        _require(
            torch.equal(data.__getitems__([0, last])[1]["x"], data[last]["x"]),
            "__getitems__ must agree with __getitem__",
        )


def check_metric(
    metric: Callable[[torch.Tensor, torch.Tensor], float],
    perfect: tuple[Any, Any],
    chance: tuple[Any, Any],
    tolerance: float,
) -> None:
    """Check that a metric gives one for perfect input and about zero, or its stated chance, for noise.

    Args:
        metric: Maps two arrays to a number.
        perfect: Input that must score 1.
        chance: Input that must score 0.
        tolerance: Allowed distance from 0 for the second.

    Raises:
        AssertionError: If either is off.

    Example:
        >>> agreement = lambda a, b: float((a == b).float().mean())
        >>> check_metric(agreement, (torch.ones(4), torch.ones(4)), (torch.ones(4), torch.zeros(4)), 0.0)
    """
    best, worst = float(metric(*perfect)), float(metric(*chance))
    _require(abs(best - 1) < 1e-6, f"perfect input must score 1, got {best}")
    _require(abs(worst) <= tolerance, f"noise must score within {tolerance} of 0, got {worst}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _check_factors(data: Any, factors: torch.Tensor) -> None:
    names, sizes, frames = data.factor_names, data.factor_sizes, data.num_frames
    _require(len(names) == len(sizes) == factors.shape[-1], "factor names, sizes and values differ in number")
    _require(
        factors.dim() == 1 or factors.shape[:-1] == (frames,),
        f"factors must have shape (F) or (T, F) with T = {frames}, got {tuple(factors.shape)}",
    )
    has_classes = torch.tensor([size is not None for size in sizes], dtype=torch.bool)
    _require(bool(has_classes.all()) or factors.is_floating_point(), "continuous factors must be floating point")
    classes, shares = factors[..., has_classes], factors[..., ~has_classes]
    limits = torch.tensor([size for size in sizes if size is not None], dtype=torch.int64)
    _require(bool(((classes >= 0) & (classes < limits)).all()), f"factors must lie below {sizes}")
    _require(bool(((shares >= 0) & (shares <= 1)).all()), "continuous factors must lie in [0, 1]")


def _check_masks(data: Any, item: Mapping[str, torch.Tensor]) -> None:
    if "masks" not in item:
        return
    masks, (_, height, width) = item["masks"], data.frame_shape
    _require(
        masks.dtype == torch.bool and masks.shape == (data.num_frames, masks.shape[1], height, width),
        f'item["masks"] must be bool (T, masks, {height}, {width}), got {masks.dtype} {tuple(masks.shape)}',
    )
    _require(bool((masks.sum(1) == 1).all()), "exactly one mask must cover each pixel of a frame")


def _check_sites(model: nn.Module, guide: nn.Module, x: torch.Tensor) -> None:
    model_trace = get_trace(model, x)  # not replayed: values of other sizes would fail somewhere in its networks
    q, p = latent_sites(get_trace(guide, x)), set(latent_sites(model_trace))
    _require(set(q) == p, f"the guide samples {sorted(q)}, the model {sorted(p)}; they must be the same")
    for name, site in q.items():
        ours: Any = site["fn"]
        theirs: Any = model_trace.nodes[name]["fn"]
        _require(
            ours.shape() == theirs.shape(),
            f"site '{name}' has shape {ours.shape()} in the guide, {theirs.shape()} in the model",
        )
        _require(
            ours.event_shape == theirs.event_shape,
            f"site '{name}' has event shape {tuple(ours.event_shape)} in the guide, {tuple(theirs.event_shape)} in the "
            f"model; what belongs to one datum is its event, e.g. .to_event({len(theirs.event_shape)})",
        )
    _require(model_trace.nodes["x"]["is_observed"], "the model must observe x at the site 'x'")
    output = model(x)
    _require(
        isinstance(output, Mapping) and "reconstruction" in output, 'the model must return a dict with "reconstruction"'
    )


def _check_queries(model: nn.Module, guide: nn.Module, x: torch.Tensor) -> None:
    means, draws = encode(guide, x), encode(guide, x, num_samples=3)
    for name, value in means.items():
        _require(
            draws[name].shape == (3, *value.shape), f"draws of '{name}' must have shape (N, ...) = {(3, *value.shape)}"
        )
    frames = reconstruct(model, guide, x)
    _require(torch.equal(frames, decode(model, means)), "reconstruct must be decode of encode")
    _require(
        torch.equal(swap(model, guide, x, x.flip(0), take=[]), frames), "a swap of nothing must be the reconstruction"
    )
    prior = sample_prior(model, x.shape[0])
    _require(set(prior) == set(means), f"sample_prior gives {sorted(prior)}, encode {sorted(means)}")
    decode(model, prior)
    decode(model, draws)


def _check_sum_over_items(model: nn.Module, guide: nn.Module, x: torch.Tensor) -> None:
    model, guide = copy.deepcopy(model).eval(), copy.deepcopy(guide).eval()
    sites = latent_sites(poutine.trace(guide).get_trace(x))
    draws = {name: site["value"] for name, site in sites.items()}
    dims = {name: -1 - len(site["fn"].event_shape) for name, site in sites.items()}  # of the plate "data"
    whole = _score(model, guide, x, draws)
    parts = sum(
        _score(model, guide, x[i : i + 1], {name: value.narrow(dims[name], i, 1) for name, value in draws.items()})
        for i in range(x.shape[0])
    )
    close = abs(whole - parts) <= 1e-4 * max(1.0, abs(whole))
    _require(close, f"the loss of a batch ({whole}) must be the sum over its items ({parts})")


def _score(model: nn.Module, guide: nn.Module, x: torch.Tensor, values: Mapping[str, torch.Tensor]) -> float:
    with torch.no_grad():
        q = poutine.trace(poutine.condition(guide, data=dict(values))).get_trace(x)
        p = poutine.trace(poutine.condition(model, data=dict(values))).get_trace(x)
        return float(q.log_prob_sum() - p.log_prob_sum())


def _check_training(model: nn.Module, guide: nn.Module, x: torch.Tensor) -> None:
    elbo = Trace_ELBO()(model, guide)
    torch.manual_seed(0)
    loss = elbo(x)
    loss.backward()
    trainable = {name: p for name, p in elbo.named_parameters() if p.requires_grad}
    dead = [name for name, p in trainable.items() if p.grad is None]
    _require(not dead, f"parameters without gradient: {dead}")
    gradients = {name: p.grad.clone() for name, p in trainable.items() if p.grad is not None}
    elbo.zero_grad()
    torch.manual_seed(0)
    ours = NamedELBO(analytic=False).differentiable_loss(model, guide, x)
    _require(torch.allclose(ours, loss, rtol=1e-5), f"NamedELBO gives {ours.item()}, Trace_ELBO {loss.item()}")
    sites = latent_sites(get_trace(guide, x)).values()
    depth = max((-frame.dim for site in sites for frame in site["cond_indep_stack"]), default=1)
    vectorized = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=depth)
    _require(bool(vectorized(model, guide)(x).isfinite()), "the loss must be finite with vectorized particles")
    before = {name: p.detach().clone() for name, p in trainable.items()}
    torch.manual_seed(0)
    step_loss = SVI(model, guide, pyro.optim.PyroOptim(torch.optim.SGD, {"lr": 1e-2}), Trace_ELBO()).step(x)
    _require(
        abs(step_loss - loss.item()) <= 1e-4 * abs(loss.item()),
        f"SVI gives the loss {step_loss}, the module {loss.item()}",
    )
    for name, parameter in trainable.items():
        moved = (before[name] - parameter.detach()) / 1e-2  # a smaller step is lost in the rounding of the weight
        scale = gradients[name].abs().max() + before[name].abs().max() * 1e-2 + 1e-6
        _require(
            bool(((moved - gradients[name]).abs() <= 1e-2 * scale).all()),
            f"SVI does not train {name} with the module's gradient",
        )
