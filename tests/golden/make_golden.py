"""Golden values of the metrics: makes arrays with a seed, has published implementations score them, and stores both.

    python tests/golden/make_golden.py --disentanglement-lib DIR --icebeem DIR --msd-benchmark DIR

Each folder is a clone of the public repository of that name (google-research/disentanglement_lib, ilkhem/icebeem,
azencot-group/MSD-Benchmark). Their functions are called as they are; configuration, logging and data loading, which
they import beside, are replaced by stand-ins. Nothing of theirs is kept here but the numbers that they return, the
commit that they are from, and the versions of the libraries that they ran on.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ARRAYS, VALUES = HERE / "metrics.npz", HERE / "metrics.json"
NUM_BINS = 20  # of the histograms in the published study
SIZES = (3, 4, 2)  # classes of the factors of the exchange; the first is dynamic


def make_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Codes that hold three factors in part: one well, two mixed, one copied, one noise, one constant."""
    rng = np.random.default_rng(seed)
    classes = np.stack([rng.integers(size, size=400) for size in (4, 3, 5)], axis=1)
    numbers = rng.random((400, 3))
    arrays: dict[str, np.ndarray] = {"classes": classes, "numbers": numbers}
    for name, factors in (("of_classes", classes), ("of_numbers", numbers)):
        unit = (factors - factors.mean(0)) / factors.std(0)
        mixed = np.stack([unit[:, 0], unit[:, 1] + 0.5 * unit[:, 2], unit[:, 2] - unit[:, 1], unit[:, 0]], axis=1)
        codes = np.concatenate([mixed * [1, 3, 0.2, 0.5], rng.normal(size=(400, 1))], axis=1)
        arrays[f"codes_{name}"] = codes + 0.4 * rng.normal(size=codes.shape) * [1, 3, 0.2, 0.5, 1]
    arrays["halves"] = np.random.default_rng(seed).permutation(400)
    for part, num in (("train", 120), ("eval", 90)):
        held = rng.integers(3, size=num)
        anchors = rng.integers(400, size=(num, 6))
        arrays[f"held_{part}"] = held
        arrays[f"batch_{part}"] = np.stack(
            [fellows(classes[:, j], row[:1].repeat(6), rng) for j, row in zip(held, anchors)]
        )
        arrays[f"first_{part}"] = anchors
        arrays[f"second_{part}"] = np.stack([fellows(classes[:, j], row, rng) for j, row in zip(held, anchors)])
    importances = rng.random((5, 3)) ** 3
    arrays["importances"] = importances / importances.sum(0)
    arrays["importances_uneven"] = importances * [1, 0, 3]
    labels = np.stack([rng.integers(size, size=300) for size in SIZES], axis=1)
    donors = labels[rng.permutation(300)]
    mistakes = np.stack([rng.integers(size, size=300) for size in SIZES], axis=1)
    for name, swapped in (("static_changed", [0, 1, 1]), ("dynamic_changed", [1, 0, 0])):
        read = np.where(np.array(swapped, dtype=bool), donors, labels)
        arrays[name] = np.where(rng.random(read.shape) < [0.05, 0.2, 0.4], mistakes, read)
    return arrays | {"labels": labels}


def fellows(values: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A row with the same value as each of the rows."""
    return np.array([rng.choice(np.flatnonzero(values == values[row])) for row in rows])


def stand_in(name: str, **contents: Any) -> None:
    """Put a module of this name where an import finds it."""
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module


def passing(*args: Any, **options: Any) -> Any:
    """A decorator that changes nothing."""
    return lambda function: function


class Replay(np.random.RandomState):
    """A data set and a source of chance in one: it returns stored batches in their order."""

    def __init__(self, codes: np.ndarray, held: np.ndarray, *batches: np.ndarray) -> None:
        super().__init__(0)
        self.codes, self.num_factors = codes, int(held.max()) + 1
        self.held = iter(held.tolist())
        self.rows = iter(row for rows in zip(*batches) for row in rows)

    def randint(self, *args: Any, **options: Any) -> Any:
        return next(self.held)

    def sample_factors(self, num: int, random_state: Any) -> np.ndarray:
        return np.zeros((num, self.num_factors))

    def sample_observations(self, num: int, random_state: Any) -> np.ndarray:
        return self.codes

    def sample_observations_from_factors(self, factors: np.ndarray, random_state: Any) -> np.ndarray:
        return self.codes[next(self.rows)]


def replay(arrays: dict[str, np.ndarray], codes: np.ndarray, *names: str) -> Replay:
    parts = [np.concatenate([arrays[f"{name}_train"], arrays[f"{name}_eval"]]) for name in ("held", *names)]
    return Replay(codes, parts[0], *parts[1:])


def of_disentanglement_lib(root: Path, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """What disentanglement_lib gives, with the settings of its study."""
    stand_in("gin", configurable=passing, REQUIRED=None)
    stand_in("gin.tf")
    stand_in("absl", logging=SimpleNamespace(info=lambda *args: None))
    stand_in("six")
    stand_in("six.moves", range=range)
    sys.path.insert(0, str(root))
    names = ("utils", "mig", "sap_score", "modularity_explicitness", "dci", "beta_vae", "factor_vae")
    lib = {name: importlib.import_module(f"disentanglement_lib.evaluation.metrics.{name}") for name in names}
    utils: Any = lib["utils"]
    utils.make_discretizer = lambda target: utils._histogram_discretize(target, NUM_BINS)
    codes, classes = arrays["codes_of_classes"], arrays["classes"]
    train, test = arrays["halves"][:200], arrays["halves"][200:]
    halves = (codes[train].T, classes[train].T, codes[test].T, classes[test].T)
    information = utils.discrete_mutual_info(utils.make_discretizer(codes.T), classes.T)
    found = {
        "mig": lib["mig"]._compute_mig(codes.T, classes.T)["discrete_mig"],
        "modularity": lib["modularity_explicitness"].modularity(information),
        "sap_of_classes": lib["sap_score"]._compute_sap(*halves, False)["SAP_score"],
    }
    numbers = (arrays["codes_of_numbers"].T, arrays["numbers"].T)
    found["sap_of_numbers"] = lib["sap_score"]._compute_sap(*numbers, *numbers, True)["SAP_score"]
    for name in ("importances", "importances_uneven"):
        found[f"disentanglement_of_{name}"] = lib["dci"].disentanglement(arrays[name])
        found[f"completeness_of_{name}"] = lib["dci"].completeness(arrays[name])
    data = replay(arrays, codes, "batch")
    args = (data, lambda x: x, data, None, 6)
    found["factor_vae"] = lib["factor_vae"].compute_factor_vae(*args, 120, 90, 400)["eval_accuracy"]
    for name, scale in (("beta_vae", codes.std(0)), ("beta_vae_unscaled", 1.0)):
        data = replay(arrays, codes / scale, "first", "second")
        args = (data, lambda x: x, data, None, 6)
        found[name] = lib["beta_vae"].compute_beta_vae_sklearn(*args, 120, 90)["eval_accuracy"]
    return found


def of_icebeem(root: Path, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean correlation coefficients of icebeem, of five codes and of two."""
    module = load(root / "metrics" / "mcc.py")
    codes, numbers = arrays["codes_of_numbers"], arrays["numbers"]
    return {
        "mcc": module.mean_corr_coef_np(codes, numbers, "pearson"),
        "mcc_of_ranks": module.mean_corr_coef_np(codes, numbers, "spearman"),
        "mcc_of_two_codes": module.mean_corr_coef_np(codes[:, :2], numbers, "pearson"),
    }


def of_msd_benchmark(root: Path, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """The two-factor score of MSD-Benchmark, from the shares of hits."""
    import pandas as pd

    stand_in("msd.evaluations.abstract_evaluator", AbstractEvaluator=object)
    stand_in("msd.evaluations.latent_exploration.latent_manipulator", Manipulator=object)
    module = load(root / "msd" / "evaluations" / "metrics" / "intervention" / "intervention_evaluator.py")
    names = ["action", "skin", "hair"]
    table = pd.DataFrame(
        [(arrays[name] == arrays["labels"]).mean(0) for name in ("dynamic_changed", "static_changed")],
        columns=names,
        index=["static", "dynamic"],
    )
    evaluator = SimpleNamespace(
        _expected_map=lambda: {"dynamic": names[:1], "static": names[1:]},
        dataset=SimpleNamespace(class_dims=dict(zip(names, SIZES))),
    )
    return {"two_factor": module.InterventionEvaluator.calculate_score(evaluator, table, set())[0]}


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sources = {
        "google-research/disentanglement_lib": of_disentanglement_lib,
        "ilkhem/icebeem": of_icebeem,
        "azencot-group/MSD-Benchmark": of_msd_benchmark,
    }
    options = {name: name.split("/")[1].lower().replace("_", "-") for name in sources}
    for option in options.values():
        parser.add_argument(f"--{option}", type=Path, required=True, metavar="DIR")
    folders = vars(parser.parse_args())
    arrays = make_arrays()
    record: dict[str, Any] = {"versions": {}, "sources": {}}
    for name, score in sources.items():
        root = folders[options[name].replace("-", "_")]
        head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        values = {key: float(value) for key, value in score(root, arrays).items()}
        record["sources"][name] = {"commit": head.stdout.strip(), "values": values}
    for library in ("numpy", "scipy", "sklearn", "pandas"):
        record["versions"][library] = importlib.import_module(library).__version__
    np.savez_compressed(ARRAYS, **arrays)
    VALUES.write_text(json.dumps(record, indent=2) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
