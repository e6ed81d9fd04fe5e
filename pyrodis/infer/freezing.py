"""Components of programs, and which of them a training leaves as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import nn

from pyrodis.infer.penalties import innermost

__all__ = ["component_modules", "count_components", "frozen_components", "frozen_modules"]


def component_modules(program: nn.Module, component: int) -> list[nn.Module]:
    """Return the modules of one component: its entry in each list of modules (`torch.nn.ModuleList`) of a program.

    Args:
        program: A model or a guide, such as `ParallelVAE` or `ParallelGuide`, wrapped or not.
        component: Number of the component, from 0.

    Returns:
        The modules, in the order of the lists.

    Raises:
        ValueError: The program has no lists of modules, lists of different lengths, or no such component.

    Example:
        >>> class Program(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.decoders = nn.ModuleList([nn.Linear(1, 2), nn.Linear(1, 3)])
        >>> component_modules(Program(), 1)
        [Linear(in_features=1, out_features=3, bias=True)]
    """
    lists = [child for child in innermost(program).children() if isinstance(child, nn.ModuleList)]
    name = type(innermost(program)).__name__
    sizes = {len(modules) for modules in lists}
    if not sizes or sizes == {0}:
        raise ValueError(
            f"{name} has no components: no list of modules (torch.nn.ModuleList) with one entry a component; "
            "use programs such as ParallelVAE and ParallelGuide"
        )
    if len(sizes) > 1:
        raise ValueError(
            f"{name} must have one entry a component in each list of modules, got lists of {sorted(sizes)} entries"
        )
    if not 0 <= component < len(lists[0]):
        raise ValueError(f"component must be 0 to {len(lists[0]) - 1}, as {name} has them, got {component}")
    return [modules[component] for modules in lists]


def count_components(model: nn.Module, guide: nn.Module) -> int:
    """Return how many components a model and its guide have.

    Args:
        model: The model.
        guide: The guide.

    Returns:
        K.

    Raises:
        ValueError: One of them has no components, or they have different numbers of them.

    Example:
        >>> program = nn.Module()
        >>> program.decoders = nn.ModuleList([nn.Linear(1, 2), nn.Linear(1, 3)])
        >>> count_components(program, program)
        2
    """
    counts = []
    for program in (model, guide):
        component_modules(program, 0)
        counts.append(next(len(m) for m in innermost(program).children() if isinstance(m, nn.ModuleList)))
    if counts[0] != counts[1]:
        raise ValueError(
            f"model and guide must have the same number of components, got {counts[0]} and {counts[1]}; "
            "build both with as many"
        )
    return counts[0]


def frozen_modules(program: nn.Module) -> list[nn.Module]:
    """Return the outermost frozen modules of a program, which training leaves in eval mode.

    A module is frozen if it has parameters, none of them requires a gradient, and it is in eval mode with all that it
    holds. Without eval mode a batch normalization would go on to average, and a dropout to drop.

    Args:
        program: A model or a guide, wrapped or not.

    Returns:
        The modules.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        >>> frozen_modules(network)
        []
        >>> _ = network[1].eval().requires_grad_(False)
        >>> frozen_modules(network) == [network[1]]
        True
    """

    def search(module: nn.Module) -> Iterator[nn.Module]:
        trained = [parameter.requires_grad for parameter in module.parameters()]
        if trained and not any(trained) and not any(part.training for part in module.modules()):
            yield module
        elif trained:
            for child in module.children():
                yield from search(child)

    return list(search(innermost(program)))


@contextmanager
def frozen_components(model: nn.Module, guide: nn.Module, active: Collection[int]) -> Iterator[None]:
    """Freeze all components but the active ones; inside, nothing of theirs is trained, buffers included.

    What belongs to no component, and what was frozen before, stays as it was. After it, parameters require gradients
    as they did before; modes are left to what ran inside.

    Args:
        model: The model.
        guide: The guide.
        active: Components to train.

    Raises:
        ValueError: A program has no such component, or an active one shares parameters with a frozen one.

    Example:
        >>> program = nn.Module()
        >>> program.decoders = nn.ModuleList([nn.Linear(1, 2), nn.Linear(1, 2)])
        >>> with frozen_components(program, program, active=[1]):
        ...     [layer.weight.requires_grad for layer in program.decoders]
        [False, True]
    """
    modules = {
        k: [m for p in (model, guide) for m in component_modules(p, k)] for k in range(count_components(model, guide))
    }
    for k in active:
        component_modules(model, k)
    trained = {p for k in active for module in modules[k] for p in module.parameters()}
    frozen = [module for k in modules if k not in active for module in modules[k]]
    if any(p in trained for module in frozen for p in module.parameters()):
        raise ValueError(
            f"the components {sorted(active)} share parameters with frozen ones; give each component modules of its own"
        )
    earlier = [module for program in (model, guide) for module in frozen_modules(program)]
    required = {p: p.requires_grad for program in (model, guide) for p in program.parameters()}
    try:
        for program in (model, guide):
            program.train()
        for module in frozen:
            module.requires_grad_(False)
        for module in [*frozen, *earlier]:
            module.eval()
        yield
    finally:
        for parameter, flag in required.items():
            parameter.requires_grad_(flag)
