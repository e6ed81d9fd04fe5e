"""The Gauss-Markov normal in every form: against dense normals, near its limits, in Pyro, and what it refuses."""

from __future__ import annotations

import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO
from torch import Tensor

from pyrodis.distributions import GaussMarkovNormal
from pyrodis.ops import bounded_eigenvalues
from pyrodis.testing import check_distribution
from tests.normal_sequences import CHAINS, FORMS, Maker, chain, contraction, dense, diagonal, eigenvalues
from tests.work import count_work

T, N = 5, 3

every_form = pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)
every_chain = pytest.mark.parametrize("make", CHAINS, ids=lambda make: make.__name__)
random_shapes = given(
    batch=st.sampled_from([(), (2,), (2, 1)]),
    num_frames=st.integers(1, 6),
    dim=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
few = settings(max_examples=15, deadline=None, database=None, derandomize=True)


def relative_error(value: Tensor, expected: Tensor) -> float:
    assert value.shape == expected.shape
    return float((value - expected).detach().abs().max() / expected.detach().abs().max().clamp_min(1.0))


@every_form
@random_shapes
@few
def test_against_dense_normals(make: Maker, batch: tuple[int, ...], num_frames: int, dim: int, seed: int) -> None:
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        torch.manual_seed(seed)
        ours = make(batch, num_frames, dim, dtype)
        theirs = dense(ours)
        value = ours.rsample((2,))
        assert value.dtype == dtype
        assert relative_error(ours.log_prob(value), theirs.log_prob(value.double().flatten(-2))) < tolerance
        assert relative_error(ours.entropy(), theirs.entropy()) < tolerance
        assert relative_error(ours.covariance_matrix, theirs.covariance_matrix) < tolerance
        assert relative_error(ours.variance.flatten(-2), theirs.variance) < tolerance
        blocks = theirs.covariance_matrix.unflatten(-1, (num_frames, dim)).unflatten(-3, (num_frames, dim))
        for t in range(num_frames):
            own = blocks[..., t, :, t, :]
            assert relative_error(ours.marginal_covariances[..., t, :, :], own) < tolerance
            if t:
                lag = blocks[..., t, :, t - 1, :]
                assert relative_error(ours.lag_covariances[..., t - 1, :, :], lag) < tolerance


@every_form
@pytest.mark.parametrize("num_frames", [1, 2, T])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_keeps_the_contract(make: Maker, num_frames: int, batch: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    normal = make(batch, num_frames, N)
    check_distribution(normal, num_samples=300)
    assert normal.event_shape == (num_frames, N)
    assert normal.sample((0,)).shape == (0, *batch, num_frames, N)
    assert normal.log_prob(torch.zeros(num_frames, N).double()).shape == batch


@every_form
def test_draws_have_its_covariance(make: Maker) -> None:
    torch.manual_seed(0)
    normal = make((), 3, 2)
    draws = normal.rsample((20000,)).flatten(-2)
    scale = normal.variance.sqrt().flatten()
    error = (draws.T.cov() - normal.covariance_matrix) / (scale[:, None] * scale)
    assert error.abs().max() < 5 * 2**0.5 / 20000**0.5
    assert ((draws.mean(0) - normal.mean.flatten()) / scale).abs().max() < 5 / 20000**0.5


@pytest.mark.parametrize("num_pairs", [0, 1])
@pytest.mark.parametrize("with_basis", [False, True])
def test_gradients_of_eigenvalue_forms(num_pairs: int, with_basis: bool) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(2, 4, 3), torch.rand(2, 4, 3) + 0.5, torch.rand(2, 3, 3 - num_pairs) - 0.5]
    parts += [torch.randn(2, 3, 1)] * num_pairs + [torch.eye(3) + 0.2 * torch.randn(3, 3)] * with_basis
    inputs = [part.double().requires_grad_() for part in parts]

    def make(loc: Tensor, scale: Tensor, values: Tensor, *rest: Tensor) -> GaussMarkovNormal:
        angles = rest[0] if num_pairs else None
        return GaussMarkovNormal(loc, scale, values, angles=angles, basis=rest[-1] if with_basis else None)

    check_gradients(make, inputs)


def test_gradients_of_a_dense_transition() -> None:
    torch.manual_seed(0)
    parts = [torch.randn(2, 4, 2).double(), torch.rand(2, 4, 2).double() + 0.5, contraction((2,), 4, 2)]
    inputs = [part.requires_grad_() for part in parts]
    check_gradients(lambda loc, scale, matrix: GaussMarkovNormal(loc, scale, transition=matrix), inputs)


def check_gradients(make: Maker, inputs: list[Tensor]) -> None:
    value = torch.randn_like(inputs[0], requires_grad=True)

    def draw(*parts: Tensor) -> Tensor:
        torch.manual_seed(1)
        return make(*parts).rsample()

    assert torch.autograd.gradcheck(draw, inputs)
    assert torch.autograd.gradcheck(lambda z, *parts: make(*parts).log_prob(z), [value, *inputs])
    assert torch.autograd.gradcheck(lambda *parts: make(*parts).entropy(), inputs)


def test_forms_meet() -> None:
    torch.manual_seed(0)
    loc, scale, values = torch.randn(2, 4, 3).double(), torch.rand(2, 4, 3).double() + 0.5, eigenvalues((2,), 4, 3)
    plain = GaussMarkovNormal(loc, scale, values)
    moduli = values[..., [0, 2]]
    pairs = GaussMarkovNormal(loc, scale, moduli, angles=torch.zeros(2, 3, 1).double())
    doubled = GaussMarkovNormal(loc, scale, values[..., [0, 0, 2]])
    turned = GaussMarkovNormal(loc, scale, moduli, angles=torch.full((2, 3, 1), torch.pi, dtype=torch.float64))
    flipped = GaussMarkovNormal(loc, scale, values[..., [0, 0, 2]] * torch.tensor([-1.0, -1.0, 1.0]).double())
    same = [
        (plain, GaussMarkovNormal(loc, scale, transition=values.diag_embed())),
        (plain, GaussMarkovNormal(loc, scale, values, basis=torch.eye(3).double())),
        (pairs, doubled),
        (turned, flipped),
        (pairs, GaussMarkovNormal(loc, scale, transition=pairs._chain.transitions())),
    ]
    for one, other in same:
        seeds = []
        for normal in (one, other):
            torch.manual_seed(1)
            seeds.append(normal.rsample((3,)))
        torch.testing.assert_close(*seeds)
        torch.testing.assert_close(one.log_prob(seeds[0]), other.log_prob(seeds[0]))
        torch.testing.assert_close(one.precision_matrix, other.precision_matrix)


def test_without_memory_it_is_independent() -> None:
    loc, scale = torch.randn(4, 2), torch.rand(4, 2) + 0.5
    value = torch.randn(4, 2)
    expected = torch.distributions.Normal(loc, scale).log_prob(value).sum()
    torch.testing.assert_close(GaussMarkovNormal(loc, scale, torch.zeros(3, 2)).log_prob(value), expected)


@pytest.mark.parametrize("form", ["diagonal", "rotation", "basis"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_finite_up_to_the_limit_in_float32(form: str, sign: float) -> None:
    torch.manual_seed(0)
    loc, scale = torch.zeros(64, 4, requires_grad=True), torch.ones(64, 4, requires_grad=True)
    values = torch.full((63, 2 if form == "rotation" else 4), sign * (1 - 1e-6), requires_grad=True)
    rest = {"angles": torch.full((63, 2), 0.3)} if form == "rotation" else {}
    rest |= {"basis": torch.eye(4) + 0.1 * torch.randn(4, 4)} if form == "basis" else {}
    normal = GaussMarkovNormal(loc, scale, values, **rest)
    value = normal.rsample((3,))
    far = torch.randn(3, 64, 4)
    for term in (value, normal.log_prob(value), normal.log_prob(far), normal.entropy()):
        assert term.isfinite().all()
        gradients = torch.autograd.grad(term.sum(), (loc, scale, values), retain_graph=True, allow_unused=True)
        assert all(part is None or bool(part.isfinite().all()) for part in gradients)
    exact = GaussMarkovNormal(loc.double(), scale.double(), values.double(), **{k: v.double() for k, v in rest.items()})
    assert relative_error(normal.log_prob(far).double(), exact.log_prob(far.double())) < 1e-4
    assert relative_error(normal.entropy().double(), exact.entropy()) < 1e-4


@few
@given(
    raw=st.lists(st.floats(-30, 30, width=32), min_size=12, max_size=12),
    log_scale=st.lists(st.floats(-3, 3, width=32), min_size=10, max_size=10),
)
def test_positive_definite_whatever_a_network_gives(raw: list[float], log_scale: list[float]) -> None:
    values = bounded_eigenvalues(torch.tensor(raw[:8], dtype=torch.float64).reshape(4, 2))
    scale, angles = (
        torch.tensor(log_scale, dtype=torch.float64).reshape(5, 2).exp(),
        torch.tensor([raw[8:]]).double().mT,
    )
    matrix = torch.tensor(raw[:4] * 4, dtype=torch.float64).reshape(4, 2, 2) / 10
    root = torch.linalg.cholesky(torch.eye(2).double() + matrix.mT @ matrix)
    transition = torch.linalg.solve_triangular(root, matrix.mT, upper=False).mT
    forms = [{"eigenvalues": values}, {"eigenvalues": values[:, :1], "angles": angles}, {"transition": transition}]
    for parts in forms:
        normal = GaussMarkovNormal(torch.zeros(5, 2).double(), scale, **parts)
        outer = scale.flatten()[:, None] * scale.flatten()  # a congruence, which keeps the signs of eigenvalues
        assert torch.linalg.eigvalsh(normal.precision_matrix * outer).min() > 0
        assert normal.log_prob(normal.sample()).isfinite()


@pytest.mark.parametrize("make", CHAINS[:2], ids=lambda make: make.__name__)
def test_the_conditionals_of_frames_multiply_to_the_density(make: Maker) -> None:
    torch.manual_seed(0)
    normal = make((2,), T, N)
    value = normal.sample((4,))
    conditional = normal.conditional(value)
    torch.testing.assert_close(conditional.log_prob(value), normal.log_prob(value))
    changed = value.clone()
    changed[..., 3:, :] += 1
    torch.testing.assert_close(normal.conditional(changed).mean[..., :4, :], conditional.mean[..., :4, :])


@pytest.mark.parametrize("make", CHAINS[2:], ids=lambda make: make.__name__)
def test_frames_that_mix_their_dimensions_have_no_independent_conditional(make: Maker) -> None:
    normal = make((), T, N)
    with pytest.raises(NotImplementedError, match="no independent normal with a basis or transition"):
        normal.conditional(normal.sample())


def work(make: Maker, num_frames: int) -> tuple[int, int]:
    def run() -> None:
        normal = make((2,), num_frames, 3, torch.float32)
        normal.loc.requires_grad_()
        normal.log_prob(normal.rsample()).sum().backward()

    return count_work(run)


@every_form
def test_work_is_linear_in_frames(make: Maker) -> None:
    assert work(make, 256)[1] / work(make, 64)[1] < 1.2 * 4


@pytest.mark.parametrize("make", CHAINS[:4], ids=lambda make: make.__name__)
def test_elementwise_forms_need_no_loop_over_frames(make: Maker) -> None:
    assert work(make, 4096)[0] / work(make, 256)[0] < 1.1 * 4


@every_chain
def test_batches_broadcast_and_plates_expand(make: Maker) -> None:
    torch.manual_seed(0)
    normal = make((), T, N)
    with pyro.plate("draws", 6, dim=-2), pyro.plate("data", 4, dim=-1):
        assert pyro.sample("z", normal).shape == (6, 4, T, N)
    wide = normal.expand([4])
    assert wide.loc.shape == (4, T, N)
    assert isinstance(wide.expand([2, 4]), GaussMarkovNormal)
    broad = GaussMarkovNormal(torch.zeros(7, 1, T, N), torch.ones(T, N), torch.zeros(3, T - 1, N))
    assert broad.batch_shape == (7, 3)
    assert broad.rsample((2,)).shape == (2, 7, 3, T, N)


@every_form
def test_serves_a_pair_of_programs(make: Maker) -> None:
    torch.manual_seed(0)
    posterior = make((4,), T, N, torch.float32)
    prior = diagonal((), T, N, torch.float32)

    def model(x: Tensor) -> None:
        with pyro.plate("data", 4):
            z = pyro.sample("z", prior)
            pyro.sample("x", pyro.distributions.Normal(z, 1.0).to_event(2), obs=x)

    def guide(x: Tensor) -> None:
        with pyro.plate("data", 4):
            pyro.sample("z", posterior)

    x = torch.zeros(4, T, N)
    elbo = Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)
    assert torch.tensor(elbo.loss(model, guide, x)).isfinite()
    assert Predictive(poutine.uncondition(model), guide=guide, num_samples=5, parallel=True)(x)["z"].shape[0] == 5


@every_form
def test_runs_without_a_device(make: Maker) -> None:
    with torch.device("meta"), pyro.validation_enabled(False):
        normal = make((2,), T, N, torch.float32)
        value = normal.rsample((3,))
        assert normal.log_prob(value).is_meta
        assert normal.entropy().shape == (2,)


# What goes wrong, and a part of the sentence.
ZEROS, ONES = torch.zeros(5, 2), torch.ones(5, 2)
HALF = torch.full((4, 2), 0.5)
REFUSED = {
    "no dimension": (
        lambda: GaussMarkovNormal(torch.zeros(5, 0), torch.ones(5, 0), torch.zeros(4, 0)),
        r"got \(5, 0\)",
    ),
    "no frame": (lambda: GaussMarkovNormal(torch.zeros(0, 2), torch.ones(0, 2), HALF), "at least one frame"),
    "too many eigenvalues": (
        lambda: GaussMarkovNormal(ZEROS, ONES, torch.zeros(5, 2)),
        r"eigenvalues must have a shape that ends in \(4, 2\).* got \(5, 2\)",
    ),
    "moduli for pairs": (
        lambda: GaussMarkovNormal(ZEROS, ONES, HALF, angles=torch.zeros(4, 1)),
        r"eigenvalues must have a shape that ends in \(4, 1\)",
    ),
    "angles": (lambda: GaussMarkovNormal(ZEROS, ONES, HALF[:, :1], angles=HALF), r"angles .* ends in \(4, 1\)"),
    "scale": (lambda: GaussMarkovNormal(ZEROS, ONES[:4], HALF), r"scale .* ends in \(5, 2\).* got \(4, 2\)"),
    "transition": (
        lambda: GaussMarkovNormal(ZEROS, ONES, transition=HALF),
        r"transition must have a shape that ends in \(4, 2, 2\)",
    ),
    "basis": (lambda: GaussMarkovNormal(ZEROS, ONES, HALF, basis=torch.eye(3)), r"\(n, n\) = \(2, 2\), got \(3, 3\)"),
    "neither": (lambda: GaussMarkovNormal(ZEROS, ONES), "exactly one of eigenvalues and transition .* got neither"),
    "both": (lambda: GaussMarkovNormal(ZEROS, ONES, HALF, transition=HALF), "got both"),
    "basis of a transition": (
        lambda: GaussMarkovNormal(ZEROS, ONES, transition=torch.zeros(4, 2, 2), basis=torch.eye(2)),
        "angles and basis go with eigenvalues",
    ),
    "batches": (
        lambda: GaussMarkovNormal(torch.zeros(3, 5, 2), torch.ones(2, 5, 2), HALF),
        r"batch shapes must broadcast, got scale of shape \(2, 5, 2\) beside \(3,\)",
    ),
    "eigenvalue of one": (
        lambda: GaussMarkovNormal(ZEROS, ONES, HALF.index_put((torch.tensor(2), torch.tensor(0)), torch.tensor(1.0))),
        "strictly between -1 and 1, got 1.0 at frame 3, dimension 0; use pyrodis.ops.bounded_eigenvalues",
    ),
    "eigenvalue that is none": (lambda: GaussMarkovNormal(ZEROS, ONES, HALF * float("nan")), "got nan at frame 1"),
    "scale of zero": (lambda: GaussMarkovNormal(ZEROS, ZEROS, HALF), "scale must be finite and above 0, got 0.0"),
    "loc": (lambda: GaussMarkovNormal(ZEROS + float("inf"), ONES, HALF), "loc must be finite, got inf at frame 0"),
    "angle": (
        lambda: GaussMarkovNormal(ZEROS, ONES, HALF[:, :1], angles=HALF[:, :1] * float("nan")),
        "angles must be finite, got nan at frame 1",
    ),
    "transition of norm one": (
        lambda: GaussMarkovNormal(
            ZEROS, ONES, transition=torch.stack([torch.eye(2) * v for v in (0.5, 0.9, 1.0, 0.5)])
        ),
        r"spectral norm below 1 at every frame, it fails at frame 3 \(counted from 0\); use pyrodis.ops.contraction",
    ),
    "basis that is singular": (
        lambda: GaussMarkovNormal(ZEROS, ONES, HALF, basis=torch.ones(2, 2)),
        "basis must be invertible",
    ),
    "basis that is singular but for rounding": (
        lambda: GaussMarkovNormal(ZEROS, ONES, HALF, basis=torch.tensor([[1.0, 2.0], [2.0, 4.0]])),
        "basis must be invertible, got one with singular values from 5 to",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_does_not_fit(name: str) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence):
        make()


def test_refuses_what_is_no_floating_point_tensor() -> None:
    with pytest.raises(TypeError, match=r"loc must be a floating-point tensor, got torch.int64"):
        GaussMarkovNormal(torch.zeros(5, 2, dtype=torch.long), ONES, HALF)
    with pytest.raises(TypeError, match="scale must be a floating-point tensor, got float"):
        GaussMarkovNormal(ZEROS, 1.0, HALF)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="eigenvalues must be a floating-point tensor, got float"):
        GaussMarkovNormal(ZEROS, ONES, 0.9)  # type: ignore[arg-type]


def test_values_are_read_only_where_checked() -> None:
    normal = GaussMarkovNormal(ZEROS, ONES, torch.ones(4, 2), validate_args=False)
    assert normal.expand([2]).batch_shape == (2,)
    checked = chain((), T, N, eigenvalues=eigenvalues((), T, N), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        checked.expand([2]).log_prob(torch.full((T, N), float("nan")).double())
