"""The models and guides of one code a frame, each against its written equation."""

from __future__ import annotations

from typing import Any

import pyro
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from pyrodis.guides import (
    BasisTransition,
    DeltaGuide,
    DenseTransition,
    DiagonalTransition,
    InertialGuide,
    InformationGuide,
    MeanFieldGuide,
    RotationTransition,
    StructuredGuide,
)
from pyrodis.guides.transitions import PairNetwork
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.handlers import scale_latents
from pyrodis.models import (
    BetaVAE,
    DelayedVAE,
    DynamicsPrior,
    LinearDynamicsPrior,
    LinearGaussianDynamics,
    NormalPixels,
    StandardPrior,
    StationaryPrior,
)
from pyrodis.nn import ConvDecoder, ConvEncoder
from pyrodis.ops import chain_precision, contraction, kalman_log_evidence
from tests.equations import by_hand
from tests.pairs import FRAME, D, T, make_clips, make_latents


def log_prob(program: Any, x: Tensor, z: Tensor, site: str) -> Tensor:
    """The log-density of one site where z is given."""
    trace = pyro.poutine.trace(pyro.poutine.condition(program, data={"z": z})).get_trace(x)
    trace.compute_log_prob()
    return trace.nodes[site]["log_prob"]


def tiny(module: torch.nn.Module) -> Any:
    return module.double().eval()


@pytest.mark.parametrize("prior", [StandardPrior(D), StationaryPrior(D, 0.6)])
def test_higgins_beta_vae_joint_density(prior: torch.nn.Module) -> None:
    torch.manual_seed(0)
    model = tiny(BetaVAE(ConvDecoder(D, FRAME, base_channels=2), prior, NormalPixels(0.3), D))
    x, z = make_clips(), make_latents()["z"]
    correlation = getattr(prior, "autocorrelation", 0.0)
    codes = Normal(0.0, 1.0).log_prob(z[:, 0]).sum(-1)
    pixels = Normal(model.decoder(z[:, 0]).sigmoid(), 0.3).log_prob(x[:, 0]).sum((-3, -2, -1))
    for t in range(1, T):
        codes = codes + Normal(correlation * z[:, t - 1], (1 - correlation**2) ** 0.5).log_prob(z[:, t]).sum(-1)
        frame = Normal(model.decoder(z[:, t]).sigmoid(), 0.3).log_prob(x[:, t])
        pixels = pixels + frame.sum((-3, -2, -1))
    torch.testing.assert_close(log_prob(model, x, z, "z"), codes, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(log_prob(model, x, z, "x"), pixels, rtol=1e-6, atol=1e-6)
    assert torch.equal(model(x)["x"], x)


def test_kingma_welling_mean_field_factorization() -> None:
    torch.manual_seed(0)
    guide = tiny(MeanFieldGuide(ConvEncoder(FRAME, 4, base_channels=2), D))
    x, z = make_clips(), make_latents()["z"]
    expected = sum(
        by_hand.normal_log_prob(z[:, t], *by_hand.head(guide.head, guide.encoder(x[:, t]))).sum(-1) for t in range(T)
    )
    torch.testing.assert_close(log_prob(guide, x, z, "z"), expected)


def test_zaharia_peters_delayed_likelihood() -> None:
    torch.manual_seed(0)
    model = tiny(DelayedVAE(ConvDecoder(D, FRAME, base_channels=2), StandardPrior(D), NormalPixels(0.3), D))
    x, z = make_clips(), make_latents()["z"]
    frames = [Normal(model.decoder(z[:, t - 1]).sigmoid(), 0.3).log_prob(x[:, t]) for t in range(2, T)]
    torch.testing.assert_close(log_prob(model, x, z, "x"), sum(frame.sum((-3, -2, -1)) for frame in frames))
    torch.testing.assert_close(log_prob(model, x, z, "z"), Normal(0.0, 1.0).log_prob(z).sum((-2, -1)))


def test_delta_guide_is_an_autoencoder() -> None:
    torch.manual_seed(0)
    guide = tiny(DeltaGuide(ConvEncoder(FRAME, 4, base_channels=2), D))
    model = tiny(BetaVAE(ConvDecoder(D, FRAME, base_channels=2), StandardPrior(D), NormalPixels(0.3), D))
    x = make_clips()
    z = guide.loc(guide.encoder(x))
    assert torch.equal(guide(x)["z"], z)
    for beta, prior in ((0.0, 0.0), (0.7, -0.7 * Normal(0.0, 1.0).log_prob(z).sum() / len(x))):
        weights = {"z": beta}
        total = NamedELBO().terms(scale_latents(model, weights), scale_latents(guide, weights), x).total
        pixels = Normal(model.decoder(z).sigmoid(), 0.3).log_prob(x).sum() / len(x)
        torch.testing.assert_close(total, prior - pixels, rtol=1e-6, atol=1e-6)


def inertia(codes: Tensor, gamma: float, alpha: float) -> Tensor:
    """The recurrence as it is written."""
    loc = [codes[:, 0]]
    prediction = loc[0]
    for code in codes.unbind(1)[1:]:
        loc.append((1 - gamma) * code + gamma * prediction)
        prediction = loc[-1] + alpha * (loc[-1] - loc[-2])
    return torch.stack(loc, 1)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, 1.0), (0.3, 1.0), (0.6, 0.5), (1.0, 1.0), (1.0, -0.4)])
def test_zaharia_peters_inertia_recurrence(gamma: float, alpha: float) -> None:
    codes = torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    guide = tiny(InertialGuide(ConvEncoder(FRAME, 4, base_channels=2), D, gamma, alpha))
    torch.testing.assert_close(guide.weights(6) @ codes, inertia(codes, guide.gamma, alpha), rtol=1e-6, atol=1e-6)


def test_inertial_guide_is_normal_around_its_means() -> None:
    torch.manual_seed(0)
    guide = tiny(InertialGuide(ConvEncoder(FRAME, 4, base_channels=2), D, 0.4))
    x, z = make_clips(), make_latents()["z"]
    codes, scale = by_hand.head(guide.head, guide.encoder(x))
    expected = by_hand.normal_log_prob(z, inertia(codes, 0.4, 1.0), scale).sum((-2, -1))
    torch.testing.assert_close(log_prob(guide, x, z, "z"), expected)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chain_log_prob(z: Tensor, transition: Tensor, first: Tensor, noise: Tensor) -> Tensor:
    """Log N(z_1; 0, first) + sum_t log N(z_t; A_t z_{t-1}, noise_t) for one sequence."""
    total = MultivariateNormal(torch.zeros_like(z[0]), first).log_prob(z[0])
    for t in range(1, len(z)):
        total = total + MultivariateNormal(transition[t - 1] @ z[t - 1], noise[t - 1]).log_prob(z[t])
    return total


def test_contraction_has_the_singular_values_of_the_symmetric_form() -> None:
    raw = 3 * random(5, 4, 4)
    gram = torch.eye(4, dtype=raw.dtype) + raw.mT @ raw
    values, vectors = torch.linalg.eigh(gram)
    symmetric = raw @ vectors @ values.rsqrt().diag_embed() @ vectors.mT
    ours = contraction(raw)
    torch.testing.assert_close(
        torch.linalg.svdvals(ours), (1 - 1e-5) * torch.linalg.svdvals(symmetric), rtol=1e-10, atol=1e-10
    )
    root = torch.linalg.cholesky(gram)
    torch.testing.assert_close(ours @ root.mT, (1 - 1e-5) * raw)


def chain(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A transition, and covariances of the noise and of the first frame."""
    transition, roots = 0.4 * random(3, 3, seed=seed), random(2, 3, 3, seed=seed + 1)
    process, initial = roots @ roots.mT + 0.1 * torch.eye(3, dtype=roots.dtype)
    return transition, process, initial


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_archer_chain_precision(num_frames: int) -> None:
    transition, process, initial = chain()
    diagonal, lower = chain_precision(transition, process, initial, num_frames)
    z = random(num_frames, 3, seed=7)
    precision = torch.block_diag(*diagonal)
    for t, block in enumerate(lower):
        rows, columns = slice(3 * t + 3, 3 * t + 6), slice(3 * t, 3 * t + 3)
        precision[rows, columns], precision[columns, rows] = block, block.mT
    dense = MultivariateNormal(torch.zeros(3 * num_frames, dtype=z.dtype), precision_matrix=precision)
    every = num_frames - 1
    expected = chain_log_prob(z, transition.expand(every, 3, 3), initial, process.expand(every, 3, 3))
    torch.testing.assert_close(dense.log_prob(z.flatten()), expected)


def test_kalman_evidence_is_the_dense_one() -> None:
    transition, process, initial = chain()
    emission, scale, num_frames = random(4, 3, seed=5), 0.7, 5
    observed = random(2, num_frames, 4, seed=6)
    covariances = [initial]
    for _ in range(num_frames - 1):
        covariances.append(transition @ covariances[-1] @ transition.mT + process)
    blocks = [
        [
            torch.linalg.matrix_power(transition, max(t - s, 0))
            @ covariances[min(t, s)]
            @ torch.linalg.matrix_power(transition, max(s - t, 0)).mT
            for s in range(num_frames)
        ]
        for t in range(num_frames)
    ]
    codes = torch.cat([torch.cat(row, -1) for row in blocks])
    design = torch.block_diag(*[emission] * num_frames)
    covariance = design @ codes @ design.mT + scale**2 * torch.eye(len(design), dtype=codes.dtype)
    parts = emission, scale, transition, process, initial
    dense = MultivariateNormal(torch.zeros(len(design), dtype=codes.dtype), covariance)
    torch.testing.assert_close(kalman_log_evidence(observed, *parts), dense.log_prob(observed.flatten(1)))
    shown = torch.tensor([[True, False, True, True, False], [False, False, True, False, True]])
    for clip, seen in zip(observed, shown):
        rows = seen.repeat_interleave(4)
        some = MultivariateNormal(torch.zeros(int(rows.sum()), dtype=codes.dtype), covariance[rows][:, rows])
        ours = kalman_log_evidence(clip[None], *parts, shown=seen[None])
        torch.testing.assert_close(ours, some.log_prob(clip.flatten()[rows])[None])


def test_dynamics_prior_is_one_chain_a_dimension() -> None:
    prior = DynamicsPrior(2, initial_eigenvalue=0.8, scale=1.7).double()
    with torch.no_grad():
        prior.raw.copy_(torch.tensor([0.03, -0.2]))
    eigenvalues = (1 - 1e-6) * torch.tensor([0.3, -2.0], dtype=torch.float64).tanh()
    torch.testing.assert_close(prior.eigenvalues.detach(), eigenvalues)
    z = random(3, 5, 2)
    expected = Normal(0.0, 1.7).log_prob(z[:, 0]).sum(-1)
    for t in range(1, 5):
        step = Normal(eigenvalues * z[:, t - 1], 1.7 * (1 - eigenvalues**2).sqrt())
        expected = expected + step.log_prob(z[:, t]).sum(-1)
    torch.testing.assert_close(prior(5).expand([3]).log_prob(z), expected)


def test_archer_linear_dynamics_prior() -> None:
    prior = LinearDynamicsPrior(3).double()
    with torch.no_grad():
        prior.raw.copy_(0.2 * random(3, 3))
    transition, z = prior.transition, random(5, 3, seed=1)
    torch.testing.assert_close(transition, contraction(10 * prior.raw))
    eye = torch.eye(3, dtype=z.dtype)
    noise = eye - transition @ transition.mT
    expected = chain_log_prob(z, transition.expand(4, 3, 3), eye, noise.expand(4, 3, 3))
    torch.testing.assert_close(prior(5).log_prob(z), expected)


def test_pair_network_reads_two_successive_frames() -> None:
    network, features = PairNetwork(4, 2, 3).double(), random(5, 4)
    hidden, output = network.hidden, network.output
    for t in range(1, 5):
        pair = torch.cat([features[t], features[t - 1]])
        expected = output.weight @ (hidden.weight @ pair + hidden.bias).tanh() + output.bias
        torch.testing.assert_close(network(features)[t - 1], expected)


def check_transition(transition: Any, matrices: Any, stationary: Any = None) -> dict[str, Tensor]:
    """The density of z = loc + scale u against the chain of u, frame by frame."""
    transition.double().eval()
    features, loc, scale, z = random(5, 4), random(5, 3, seed=1), random(5, 3, seed=2).exp(), random(5, 3, seed=3)
    with torch.no_grad():
        for parameter in transition.parameters():
            parameter.add_(0.5 * random(*parameter.shape, seed=4))
        posterior, told = transition(features, loc, scale)
        expected_matrices = matrices(transition.network(features))
        first = torch.eye(3, dtype=z.dtype) if stationary is None else stationary()
        noise = first - expected_matrices @ first @ expected_matrices.mT
        u = (z - loc) / scale
        expected = chain_log_prob(u, expected_matrices, first, noise) - scale.log().sum()
        torch.testing.assert_close(posterior.log_prob(z), expected)
    return told


def bounded(raw: Tensor) -> Tensor:
    return (1 - 1e-6) * raw.tanh()


def test_zaharia_peters_diagonal_transition() -> None:
    told = check_transition(DiagonalTransition(4, 3, 6), lambda raw: bounded(raw).diag_embed())
    assert told["eigenvalues"].shape == (4, 3)


def test_zaharia_peters_basis_transition() -> None:
    module = BasisTransition(4, 3, 6)
    basis = lambda: module.rows.detach() / module.rows.detach().square().sum(-1, keepdim=True).sqrt()  # noqa: E731
    check_transition(
        module,
        lambda raw: basis() @ bounded(raw).diag_embed() @ torch.linalg.inv(basis()),
        lambda: basis() @ basis().mT,
    )


def test_zaharia_peters_rotation_transition() -> None:
    def matrices(raw: Tensor) -> Tensor:
        angle, modulus, last = raw[:, 0], bounded(raw[:, 1]), bounded(raw[:, 2])
        zero = torch.zeros_like(angle)
        rows = [
            torch.stack([modulus * angle.cos(), -modulus * angle.sin(), zero], -1),
            torch.stack([modulus * angle.sin(), modulus * angle.cos(), zero], -1),
            torch.stack([zero, zero, last], -1),
        ]
        return torch.stack(rows, -2)

    module = RotationTransition(4, 3, 6)
    told = check_transition(module, matrices)
    moduli = torch.linalg.eigvals(matrices(module.network(random(5, 4)).detach())).abs().sort(-1).values
    torch.testing.assert_close(told["eigenvalues"].abs().sort(-1).values, moduli)


def test_zaharia_peters_dense_transition() -> None:
    module = DenseTransition(4, 3, 6)

    def matrices(raw: Tensor) -> Tensor:
        free = raw.reshape(4, 3, 3)
        root = torch.linalg.cholesky(torch.eye(3, dtype=raw.dtype) + free.mT @ free)
        return (1 - 1e-5) * free @ torch.linalg.inv(root).mT

    told = check_transition(module, matrices)
    moduli = torch.linalg.eigvals(told["transition"]).abs().sort(-1).values
    torch.testing.assert_close(told["eigenvalues"].sort(-1).values, moduli)


def test_zaharia_peters_structured_posterior() -> None:
    torch.manual_seed(0)
    guide = tiny(StructuredGuide(ConvEncoder(FRAME, 4, base_channels=2), D, hidden_dim=3))
    x, z = make_clips(), make_latents()["z"]
    features = guide.encoder(x)
    loc, scale = by_hand.head(guide.head, features)
    eigenvalues, u = bounded(guide.transition.network(features)), (z - loc) / scale
    expected = Normal(0.0, 1.0).log_prob(u[:, 0]).sum(-1) - scale.log().sum((-2, -1))
    for t in range(1, T):
        past = eigenvalues[:, t - 1]
        expected = expected + Normal(past * u[:, t - 1], (1 - past**2).sqrt()).log_prob(u[:, t]).sum(-1)
    torch.testing.assert_close(log_prob(guide, x, z, "z"), expected)
    torch.testing.assert_close(guide(x)["eigenvalues"], eigenvalues)


def state_space(dim: int = 2, num_pixels: int = 3) -> LinearGaussianDynamics:
    """A turning, shrinking chain of two codes seen through three pixels."""
    angle = torch.tensor(0.4, dtype=torch.float64)
    rotation = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    return LinearGaussianDynamics(0.9 * rotation, random(num_pixels, dim, seed=3), scale=0.6, offset=0.5)


def test_linear_gaussian_dynamics_joint_density() -> None:
    transition, process, initial = chain()
    emission = random(4, 3, seed=5)
    model = LinearGaussianDynamics(transition, emission, process, initial, 0.7, 0.5, frame_shape=(1, 2, 2))
    x, z = random(2, 5, 1, 2, 2, seed=1), random(2, 5, 3, seed=2)
    codes = [chain_log_prob(clip, transition.expand(4, 3, 3), initial, process.expand(4, 3, 3)) for clip in z]
    torch.testing.assert_close(log_prob(model, x, z, "z"), torch.stack(codes))
    pixels = Normal(0.5 + z @ emission.mT, 0.7).log_prob(x.flatten(2)).sum((-2, -1))
    torch.testing.assert_close(log_prob(model, x, z, "x"), pixels)


@pytest.mark.parametrize("shown", [None, torch.tensor([True, False, False, True, True])])
def test_linear_gaussian_dynamics_posterior_by_bayes(shown: Tensor | None) -> None:
    """Log p(z) + log p(x | z) - log p(z | x) is the evidence, whatever z is."""
    model, x = state_space(), 0.5 + 0.3 * random(2, 5, 1, 1, 3, seed=1)
    evidence = model.log_evidence(x, shown)
    seen = torch.ones(5, dtype=torch.bool) if shown is None else shown
    for seed in (2, 3):
        z = random(2, 5, 2, seed=seed)
        pixels = Normal(0.5 + z @ model.emission.mT, 0.6).log_prob(x.flatten(2))[:, seen].sum((-2, -1))
        joint = model.prior(5).log_prob(z) + pixels
        torch.testing.assert_close(joint - model.exact_posterior(x, shown).log_prob(z), evidence)


def test_archer_information_form() -> None:
    torch.manual_seed(0)
    guide = tiny(InformationGuide(ConvEncoder(FRAME, 4, base_channels=2), D, skip_blank=True))
    with torch.no_grad():
        guide.raw.copy_(0.1 * random(D, D))
    x, z = make_clips(2), make_latents(2)["z"]
    x[:, 1] = 0
    features = guide.encoder(x)
    loc, scale = by_hand.head(guide.head, features)
    below = (features @ guide.mixing.weight.T + guide.mixing.bias).reshape(2, T, D, D).tril(-1)
    factor = (1 / scale).diag_embed() @ (torch.eye(D, dtype=z.dtype) + below)
    precision = factor @ factor.mT
    precision[:, 1] = 0
    transition, eye = contraction(10 * guide.raw), torch.eye(D, dtype=z.dtype)
    diagonal, lower = chain_precision(transition, eye - transition @ transition.mT, eye, T)
    dense = torch.stack([torch.block_diag(*(diagonal + clip)) for clip in precision])
    for t, block in enumerate(lower):
        rows, columns = slice(D * t + D, D * t + 2 * D), slice(D * t, D * t + D)
        dense[:, rows, columns], dense[:, columns, rows] = block, block.mT
    information = (precision @ loc.unsqueeze(-1)).flatten(1)
    mean = torch.linalg.solve(dense, information)
    expected = MultivariateNormal(mean, precision_matrix=dense).log_prob(z.flatten(1))
    torch.testing.assert_close(log_prob(guide, x, z, "z"), expected, rtol=1e-6, atol=1e-6)
