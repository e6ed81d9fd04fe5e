"""The two-sided evaluation of a static and a dynamic code: what a judge reads off every exchange of codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn

from pyrodis.infer.judge import Judge
from pyrodis.infer.kept_rows import keep_rows
from pyrodis.infer.queries import decode, encode, sample_prior
from pyrodis.infer.sampler import seeded
from pyrodis.metrics import (
    Score,
    active_units,
    cosine_auc,
    cosine_similarities,
    frechet_distance,
    histogram_entropy,
    inception_scores,
    mean_score,
    proportion_score,
    sequence_quality,
    two_sided_scores,
)
from pyrodis.metrics.swap import check_dynamic

PAIR_KINDS = ("appearance", "motion", "both", "neither")
_ROWS = ("reconstruction", "static_sampled", "static_swapped", "dynamic_sampled", "dynamic_swapped")


@dataclass(frozen=True)
class Decodings:
    """What `decode_exchanges` collects over a test set.

    Args:
        predictions: Row of the table, "unconditional", or "real" for the test clips themselves, to the judge's classes.
        probabilities: Row to the judge's probabilities of the first factor.
        factors: True classes.
        donors: Index of every clip's donor.
        codes: Site to posterior means.
        quality: "mse", "psnr", "ssim" of each clip's reconstruction.
        features: Row to the judge's features.

    Shape:
        predictions: (N, F) each; probabilities: (N, classes) each; factors: (N, F); donors: (N); codes: (N, ...) each;
        quality: (N) each; features: (N, 128) each.
    """

    predictions: dict[str, torch.Tensor]
    probabilities: dict[str, torch.Tensor]
    factors: torch.Tensor
    donors: torch.Tensor
    codes: dict[str, torch.Tensor]
    quality: dict[str, np.ndarray]
    features: dict[str, torch.Tensor]


def decode_exchanges(
    model: nn.Module,
    guide: nn.Module,
    judge: Judge,
    dataset: Any,
    *,
    static: Sequence[str] = ("f",),
    seed: int = 0,
    precision: str = "32-true",
    num_views: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Decodings:
    """Decode every clip of a test set under each exchange of codes, and let a judge read the result.

    Rows: "reconstruction" from the posterior means; "static_sampled" with the static sites drawn from the prior;
    "static_swapped" with those of another clip; "dynamic_sampled" and "dynamic_swapped" likewise for the other sites;
    "unconditional" with all sites drawn from the prior. Donors are a random cyclic order of the clips, so no clip is
    its own donor.

    Args:
        model: A generative program.
        guide: An inference program over the same sites.
        judge: Reads the factors off clips; on the device of model and guide.
        dataset: Test set with known factors.
        static: Names of the static sites; all others are dynamic.
        seed: Seed of donors and draws.
        precision: "32-true", or "bf16-mixed" to run the networks under bfloat16 autocast.
        num_views: Over how many draws of the guide's random views codes are averaged, as in `pyrodis.encode`; None for
            one draw.
        report: Is called with a line of progress now and then.

    Returns:
        Predictions, codes, reconstruction quality and features.

    Raises:
        ValueError: If `static` does not name some, but not all, of the guide's sites, `num_views` is given for a
            guide without random views, or `precision` is neither of the two.

    Source:
        The first exchange and its judge are those of Li and Mandt (2018); the other side, which a model fails that puts
        everything into one code, is added here.

    Example:
        >>> decodings = decode_exchanges(model, guide, judge, Sprites(split="test"))  # doctest: +SKIP
    """
    if precision not in ("32-true", "bf16-mixed"):
        raise ValueError(f'precision must be "32-true" or "bf16-mixed", got {precision!r}')
    device = next(guide.parameters()).device
    amp = torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
    with seeded(device, seed), amp:
        codes, factors = encode_all(guide, dataset, num_views)
        if not set(static) < set(codes) or not static:
            raise ValueError(
                f"static must name some but not all of the guide's sites {sorted(codes)}, got {list(static)}"
            )
        order = torch.randperm(len(factors))
        donors = torch.empty_like(order)
        donors[order] = order.roll(1)
        predictions: dict[str, list[torch.Tensor]] = {row: [] for row in ("real", *_ROWS, "unconditional")}
        probabilities: dict[str, list[torch.Tensor]] = {row: [] for row in predictions}
        quality: dict[str, list[np.ndarray]] = {"mse": [], "psnr": [], "ssim": []}
        features: dict[str, list[torch.Tensor]] = {row: [] for row in predictions}
        batches = list(torch.arange(len(factors)).split(64))
        for number, index in enumerate(batches):
            own = {site: value[index].to(device) for site, value in codes.items()}
            donor = {site: value[donors[index]].to(device) for site, value in codes.items()}
            real = clips_at(dataset, index)
            shown = ((row, decode(model, latents)) for row, latents in _exchanges(model, own, donor, static))
            for row, frames in chain([("real", real.to(device))], shown):
                features[row].append(_features(judge, frames))
                classes, first = judge.read(features[row][-1])
                predictions[row].append(classes.cpu())
                probabilities[row].append(first.cpu())
                if row == "reconstruction":
                    for name, value in sequence_quality(frames.cpu().clamp(0, 1), real).items():
                        quality[name].append(value)
            if number % 10 == 9:
                report(f"evaluation: {int(index[-1]) + 1} of {len(factors)} test clips decoded six ways")
    return Decodings(
        {row: torch.cat(parts) for row, parts in predictions.items()},
        {row: torch.cat(parts) for row, parts in probabilities.items()},
        factors,
        donors,
        codes,
        {name: np.concatenate(parts) for name, parts in quality.items()},
        {row: torch.cat(parts).cpu() for row, parts in features.items()},
    )


def exchange_scores(decodings: Decodings, dataset: Any, dynamic: Sequence[str] = ("action",)) -> dict[str, Score]:
    """Return every score of the two-sided protocol from what `decode_exchanges` collected.

    Args:
        decodings: Predictions, codes and quality over the test set.
        dataset: The test set, for names and sizes of its factors.
        dynamic: Names of the factors that belong to the dynamic sites.

    Returns:
        Name to score: "row/factor" of the two-sided table; "real/factor", what the judge reads of the real clips at the
        precision of the table, its ceiling; "inception_score", "conditional_entropy" and
        "marginal_entropy" (nats) of the first factor with the static code drawn; the same of unconditional draws;
        "mse", "psnr" (dB), "ssim"; "active_units/site"; "cosine_auc/site/appearance" and "cosine_auc/site/motion";
        "fid/row", the Frechet distance of a row's decodings from the real clips in the judge's features, and
        "fid/real_halves", that between two random halves of the real clips: what no difference looks like, on half as
        many clips. A judge's features are its own, so it cannot be compared with a distance in Inception's.

    Raises:
        ValueError: If there are fewer than 4 clips.

    Example:
        >>> exchange_scores(decodings, dataset)["static_swapped/action"].value  # doctest: +SKIP
        1.0
    """
    names, sizes = dataset.factor_names, dataset.factor_sizes
    labels = {"own": decodings.factors, "donor": decodings.factors[decodings.donors]}
    table = {row: decodings.predictions[row] for row in _ROWS}
    scores = two_sided_scores(table, labels, names, sizes, dynamic)
    if "real" in decodings.predictions:
        agrees = (decodings.predictions["real"] == decodings.factors).numpy()
        for j, (name, size) in enumerate(zip(names, sizes, strict=True)):
            scores[f"real/{name}"] = proportion_score(agrees[:, j], 1 / size)
    scores |= inception_scores(decodings.probabilities["static_sampled"], decodings.factors[:, 0])
    drawn = inception_scores(decodings.probabilities["unconditional"])
    scores |= {f"unconditional/{name}": score for name, score in drawn.items()}
    for j, (name, size) in enumerate(zip(names, sizes, strict=True)):
        scores[f"unconditional/histogram_entropy/{name}"] = histogram_entropy(
            decodings.predictions["unconditional"][:, j], size
        )
    ceilings = {"mse": 0.0, "psnr": None, "ssim": 1.0}
    scores |= {name: mean_score(value, ceiling=ceilings[name]) for name, value in decodings.quality.items()}
    for site, code in decodings.codes.items():
        count = float(active_units(code))
        scores[f"active_units/{site}"] = Score(count, count, count, None, float(code.shape[-1]), len(code))
    return scores | _cosine_scores(decodings, dataset, dynamic) | _frechet_scores(decodings.features)


def unseen_scores(
    decodings: Decodings, dataset: Any, factor: str, value: int, dynamic: Sequence[str] = ("action",)
) -> dict[str, Score]:
    """Return what becomes of clips that have a value of a static factor which no training clip had.

    All are agreements of what the judge reads with the factors of the clips that codes came from, as in the two-sided
    table, on some of its decodings: "reconstruction" and "dynamic_sampled" of clips with the value, the latter wanted
    at chance in the dynamic factors; "appearance", the static code of a clip with it beside the dynamic one of a clip
    without it; "motion", the reverse. So donor and clip differ in the factor.

    Args:
        decodings: What `decode_exchanges` collected over a test set of clips with the value and without.
        dataset: That test set, for names and sizes of its factors.
        factor: Name of the static factor.
        value: The value that was held out.
        dynamic: Names of the factors that belong to the dynamic sites.

    Returns:
        "row/factor" to score, for these four rows.

    Raises:
        ValueError: If the factor is dynamic or unknown, or all or none of the clips have the value.

    Example:
        >>> unseen_scores(decodings, dataset, "top", 5)["appearance/top"].value  # doctest: +SKIP
        0.31
    """
    names, sizes = list(dataset.factor_names), dataset.factor_sizes
    if factor not in names or factor in dynamic:
        known = ", ".join(name for name in names if name not in dynamic)
        raise ValueError(f"factor must be static, one of {known}, got {factor!r}; take the one that was held out")
    own, donor = decodings.factors, decodings.factors[decodings.donors]
    has, donor_has = (side[:, names.index(factor)] == value for side in (own, donor))
    moves = torch.tensor([name in dynamic for name in names])
    rows = {
        "reconstruction": ("reconstruction", has, own),
        "appearance": ("static_swapped", donor_has & ~has, torch.where(moves, own, donor)),
        "motion": ("static_swapped", has & ~donor_has, torch.where(moves, own, donor)),
        "dynamic_sampled": ("dynamic_sampled", has, own),
    }
    scores = {}
    for row, (decoded, chosen, wanted) in rows.items():
        if not bool(chosen.any()):
            share = "none" if not bool(has.any()) else "too many"
            raise ValueError(f"some of the clips must have {factor} {value}, got {share}; take another test set")
        agrees = (decodings.predictions[decoded] == wanted)[chosen].numpy()
        for j, (name, size) in enumerate(zip(names, sizes, strict=True)):
            scores[f"{row}/{name}"] = proportion_score(agrees[:, j], 1 / size)
    return scores


def pair_table(
    decodings: Decodings, dataset: Any, dynamic: Sequence[str] = ("action",), num_pairs: int = 3
) -> list[dict[str, Any]]:
    """Return cosine similarities of the codes of pairs that share appearance, motion, both or neither.

    Args:
        decodings: Codes over the test set.
        dataset: The test set, for the names of its factors.
        dynamic: Names of the factors that make up motion; the others make up appearance.
        num_pairs: Pairs of each kind. A pair that shares both is one clip twice where the set holds each clip once.

    Returns:
        A row a pair: "shared", "clip_a", "clip_b", and "cosine_<site>" for each site.

    Raises:
        TypeError: If `dynamic` is a string.
        ValueError: If `dynamic` does not name some, but not all, of the factors, or the test set has no such pairs.

    Source:
        Das and Dandi, section III: 12 pairs of sprites.

    Example:
        >>> pair_table(decodings, dataset)[0]  # doctest: +SKIP
        {'shared': 'appearance', 'clip_a': 17, 'clip_b': 14, 'cosine_f': 0.98, 'cosine_z': 0.11}
    """
    pairs = _pairs(decodings.factors, _dynamic_columns(dataset, dynamic), num_pairs)
    rows = []
    for kind in PAIR_KINDS:
        first, second = pairs[kind]
        cosines = {f"cosine_{s}": cosine_similarities(c[first], c[second]) for s, c in decodings.codes.items()}
        for i in range(num_pairs):
            row: dict[str, Any] = {"shared": kind, "clip_a": int(first[i]), "clip_b": int(second[i])}
            rows.append(row | {name: float(value[i]) for name, value in cosines.items()})
    return rows


def encode_all(guide: nn.Module, dataset: Any, num_views: int | None) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the codes of all clips of a data set, site by site on the CPU, and their factors.

    Args:
        guide: An inference program.
        dataset: Data set with known factors.
        num_views: As in `pyrodis.encode`.

    Returns:
        Site to posterior means (N, ...), and factors (N, ...).

    Example:
        >>> codes, factors = encode_all(guide, dataset, None)  # doctest: +SKIP
    """
    device = next(guide.parameters()).device
    num, start = len(dataset), 0
    codes: dict[str, torch.Tensor] = {}
    factors: dict[str, torch.Tensor] = {}
    for batch in torch.utils.data.DataLoader(dataset, batch_size=64):
        index = torch.arange(start, start + len(batch["factors"]))
        start += len(index)
        keep_rows(factors, "factors", index, batch["factors"], num)
        for site, value in encode(guide, batch["x"].to(device), num_views=num_views).items():
            keep_rows(codes, site, index, value, num)
    return codes, factors["factors"]


def _exchanges(
    model: nn.Module, own: dict[str, torch.Tensor], donor: dict[str, torch.Tensor], static: Sequence[str]
) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    drawn = sample_prior(model, len(next(iter(own.values()))))
    still, moving = set(static), set(own) - set(static)
    yield "reconstruction", own
    yield "static_sampled", own | {site: drawn[site] for site in still}
    yield "static_swapped", own | {site: donor[site] for site in still}
    yield "dynamic_sampled", own | {site: drawn[site] for site in moving}
    yield "dynamic_swapped", own | {site: donor[site] for site in moving}
    yield "unconditional", drawn


@torch.no_grad()
def _features(judge: Judge, clips: torch.Tensor) -> torch.Tensor:
    return judge.features(clips)


def _frechet_scores(features: dict[str, torch.Tensor]) -> dict[str, Score]:
    real = features["real"]
    if len(real) < 4:
        raise ValueError(f"a test set must have at least 4 clips, two for each half, got {len(real)}; score more clips")
    scores = {f"fid/{row}": frechet_distance(value, real) for row, value in features.items() if row != "real"}
    halves = np.array_split(np.random.default_rng(0).permutation(len(real)), 2)
    return scores | {"fid/real_halves": frechet_distance(real[halves[0]], real[halves[1]])}


def clips_at(dataset: Any, index: torch.Tensor) -> torch.Tensor:
    """Return the clips of these numbers as one batch.

    Args:
        dataset: Data set of clips that has `__getitems__`.
        index: Numbers of clips (B).

    Returns:
        Clips (B, T, C, H, W).

    Example:
        >>> clips_at(dataset, torch.arange(4))  # doctest: +SKIP
    """
    return torch.stack([item["x"] for item in dataset.__getitems__(index.tolist())])


def _dynamic_columns(dataset: Any, dynamic: Sequence[str]) -> list[int]:
    check_dynamic(dataset.factor_names, dynamic)
    return [dataset.factor_names.index(name) for name in dynamic]


def _pairs(factors: torch.Tensor, dynamic: list[int], num_pairs: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw pairs of clips that share appearance alone, motion alone, both or neither."""
    table = factors.numpy()
    motion = np.unique(table[:, dynamic], axis=0, return_inverse=True)[1].reshape(-1)
    appearance = np.unique(np.delete(table, dynamic, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    generator = np.random.default_rng(0)
    wanted = {"appearance": (True, False), "motion": (False, True), "both": (True, True), "neither": (False, False)}
    pairs = {}
    for kind, (same_appearance, same_motion) in wanted.items():
        first = generator.integers(len(table), size=num_pairs)
        second = np.empty_like(first)
        for i, a in enumerate(first):
            fits = ((appearance == appearance[a]) == same_appearance) & ((motion == motion[a]) == same_motion)
            if not fits.any():
                raise ValueError(f"the test set has no clip that shares {kind} with clip {a}; use a larger test set")
            second[i] = generator.choice(np.flatnonzero(fits))
        pairs[kind] = (first, second)
    return pairs


def _cosine_scores(
    decodings: Decodings, dataset: Any, dynamic: Sequence[str], num_pairs: int = 1000
) -> dict[str, Score]:
    """AUC of every site for shared appearance and for shared motion, each against pairs that share neither.

    Pairs that share the other side do not count as different: among them a code of the other side alone would be
    below one half, which is chance.
    """
    pairs = _pairs(decodings.factors, _dynamic_columns(dataset, dynamic), num_pairs)
    same = np.arange(2 * num_pairs) < num_pairs
    scores = {}
    for site, code in decodings.codes.items():
        for shared in ("appearance", "motion"):
            first, second = map(np.concatenate, zip(pairs[shared], pairs["neither"], strict=True))
            scores[f"cosine_auc/{site}/{shared}"] = cosine_auc(code[first], code[second], same)
    return scores
