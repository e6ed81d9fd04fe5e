"""The equations of what keeps f and z apart: penalties of dependence, contrast and consistency, and an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from pyrodis.guides import FramewiseGuide, FullGuide
from pyrodis.infer.density_ratio import DensityRatio
from pyrodis.infer.elbo import NamedELBO
from pyrodis.infer.mutual_information import log_density_matrix
from pyrodis.infer.penalties import add_guide_penalty
from pyrodis.infer.queries import decode, encode
from pyrodis.infer.reencoding import Reencoding
from pyrodis.infer.second_pass import second_pass
from pyrodis.models import StandardPrior
from pyrodis.nn import ConvEncoder, SubtractMean
from pyrodis.regularizers import info_nce, mutual_information
from tests.equations import by_hand
from tests.pairs import make_clips, make_guide, make_latents, make_pair


def mixture(loc: Tensor, scale: Tensor) -> MixtureSameFamily:
    """The aggregated posterior of a whole data set, by torch."""
    return MixtureSameFamily(Categorical(logits=torch.zeros(len(loc))), Independent(Normal(loc, scale), 1))


def test_chen_mutual_information_of_a_whole_data_set() -> None:
    """With the data set as the batch, the densities are those of equally weighted mixtures."""
    torch.manual_seed(0)
    loc, scale = torch.randn(6, 5, dtype=torch.float64), torch.rand(6, 5, dtype=torch.float64) + 0.5
    draws = loc + scale * torch.randn(6, 5, dtype=torch.float64)
    densities = by_hand.normal_log_prob(draws.unsqueeze(1), loc, scale)
    f, z = densities[..., :2].sum(-1), densities[..., 2:].sum(-1)
    joint = mixture(loc, scale).log_prob(draws)
    marginals = [mixture(loc[:, part], scale[:, part]).log_prob(draws[:, part]) for part in (slice(2), slice(2, 5))]
    torch.testing.assert_close(mutual_information(f, z, 6), joint - sum(marginals))


def test_guide_penalty_adds_its_weight_times_its_sum() -> None:
    (model, guide), x = make_pair(), make_clips(3)
    values = []
    penalized = add_guide_penalty(
        guide, "large", lambda run: values.append(run.sites["f"]["value"].square().sum(-1)) or values[-1], 0.7
    )
    losses = []
    for program in (guide, penalized):
        torch.manual_seed(0)
        losses.append(NamedELBO().differentiable_loss(model, program, x))
    torch.testing.assert_close(losses[1] - losses[0], 0.7 * values[0].sum())


def test_info_nce_is_a_cross_entropy_of_cosines() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 3, dtype=torch.float64)
    cosines = torch.stack([torch.cosine_similarity(row, b) for row in a])
    expected = cross_entropy(cosines / 0.3, torch.arange(5), reduction="none")
    torch.testing.assert_close(info_nce(a, b, 0.3), expected)


def test_density_matrix_pairs_every_draw_with_every_clip() -> None:
    x = make_clips(3)
    for guide_class in (FramewiseGuide, FullGuide):
        torch.manual_seed(0)
        for name, site in second_pass(make_guide(guide_class), x).items():
            fn, value = site["fn"], site["value"]
            fn = (fn.conditional(value) if name == "z" and guide_class is FullGuide else fn).base_dist
            value, loc, scale = value.detach(), fn.mean.detach(), fn.stddev.detach()
            rows = [[by_hand.normal_log_prob(value[i], loc[j], scale[j]).sum() for j in range(3)] for i in range(3)]
            matrix = log_density_matrix(site)
            torch.testing.assert_close(matrix, torch.tensor(rows, dtype=torch.float64))
            torch.testing.assert_close(matrix.diagonal(), site["fn"].log_prob(site["value"]))


def test_reencoding_is_the_distance_of_codes_that_come_back() -> None:
    (model, guide), x = make_pair(FramewiseGuide, StandardPrior), make_clips(3)
    codes = encode(guide, x)
    swapped = {"f": codes["f"][[2, 0, 1]], "z": codes["z"]}
    again = encode(guide, decode(model, swapped))
    expected = sum((again[name] - swapped[name]).square().flatten(1).sum(1).mean() for name in ("f", "z"))
    terms = NamedELBO().terms(model, add_guide_penalty(guide, "again", Reencoding(model), 0.5), x)
    torch.testing.assert_close(terms.values["again"], 0.5 * expected)


def test_kim_mnih_density_ratio_and_cross_entropy() -> None:
    torch.manual_seed(0)
    ratio, codes = DensityRatio(3, 2, 4, hidden_dim=5).double(), make_latents(3)
    f, z = codes["f"], codes["z"].reshape(3, 8)
    same, other = (ratio.network(torch.cat([f, part], 1)).squeeze(1) for part in (z, z[[2, 0, 1]]))
    of_one = binary_cross_entropy_with_logits(same, torch.ones(3, dtype=torch.float64), reduction="none")
    of_two = binary_cross_entropy_with_logits(other, torch.zeros(3, dtype=torch.float64), reduction="none")
    log_ratio = same.sigmoid().log() - (1 - same.sigmoid()).log()
    torch.testing.assert_close(ratio(codes), log_ratio + of_one + of_two)


def test_subtract_mean_takes_what_all_frames_share() -> None:
    torch.manual_seed(0)
    encoder: nn.Module = ConvEncoder((1, 8, 8), 3, base_channels=2).double().eval()
    x = make_clips(2)
    features = torch.stack([torch.stack([encoder(frame) for frame in clip]) for clip in x])
    expected = features - sum(features[:, t] for t in range(4)).unsqueeze(1) / 4
    torch.testing.assert_close(SubtractMean(encoder)(x), expected)
