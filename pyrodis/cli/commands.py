"""The commands and their options; each imports what it needs when it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from pyrodis import __version__
from pyrodis.cli.reporting import one_sentence, say

app = typer.Typer(
    name="pyrodis",
    help="Learn to tell what stays from what moves in your videos, and exchange the two.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Run = Annotated[Path, typer.Argument(help="Directory of a run.", show_default=False)]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="FOLDER", help="Other videos than the held-out ones of the run.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all that is drawn.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after `pyrodis`; None for those of the process.

    Returns:
        The exit code: 0; 1 after an error; 2 after a wrong option; 130 after Ctrl-C.

    Example:
        >>> main(["--version"])
        pyrodis ...
        0
    """
    os.environ.setdefault("MPLBACKEND", "Agg")  # figures are files, also where there is a display
    try:
        app(args=None if arguments is None else list(arguments), prog_name="pyrodis")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _version(asked: bool) -> None:
    if asked:
        say(f"pyrodis {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    pass


@app.command("fit")
def _fit(
    folder: Annotated[Path | None, typer.Argument(help="Folder of videos.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option(help="Directory of the run.", show_default="runs/ and the folder's name")
    ] = None,
    preset: Annotated[
        Literal["default", "best", "paper"],
        typer.Option(help="default: minutes on two cores; best: two hours; paper: the published sizes, for a GPU."),
    ] = "default",
    content: Annotated[
        Literal["scenes", "figures"] | None,
        typer.Option(
            help="scenes: what moves before a ground that rests; figures: how the look of a figure moves.",
            show_default="scenes",
        ),
    ] = None,
    num_frames: Annotated[int, typer.Option(min=1, help="Frames of a window.")] = 8,
    size: Annotated[int, typer.Option(min=16, help="Side of a frame: 16, 32, 64, 128...")] = 64,
    gray: Annotated[bool, typer.Option("--gray", help="Gray frames.")] = False,
    step: Annotated[int, typer.Option(min=1, help="Take every so many-th frame of a video.")] = 1,
    minutes: Annotated[float | None, typer.Option(help="How long to train.", show_default="4, or the preset's")] = None,
    num_steps: Annotated[int | None, typer.Option(min=1, help="How many steps to train, instead of a time.")] = None,
    seed: Seed = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output directory.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove the run that is there, start again.")] = False,
    smoke_test: Annotated[bool, typer.Option("--smoke-test", help="Seconds, no videos; writes every file.")] = False,
    debug: Debug = False,
) -> None:
    """Train on a folder of videos; write weights, scores and figures of exchanged clips."""
    with one_sentence("pyrodis fit", debug):
        if resume and overwrite:
            raise typer.BadParameter("--resume and --overwrite exclude each other")
        if folder is None and not smoke_test:
            raise typer.BadParameter("give a folder of videos, as in: pyrodis fit my_videos")
        if size & (size - 1):
            raise typer.BadParameter(f"--size must be a power of two such as 32, 64 or 128, got {size}")
        if minutes is not None and not 0 < minutes < 1e6:
            raise typer.BadParameter(f"--minutes must be above 0, got {minutes:g}")
        from pyrodis.cli.clips import Cut
        from pyrodis.cli.fitting import FitOptions, fit_folder, write_smoke_clips

        name = "smoke_test" if folder is None else folder.absolute().name
        run = Path("runs") / name if output is None else output
        videos = write_smoke_clips(run / "clips") if folder is None else folder
        cut = Cut(num_frames, min(size, 16) if smoke_test else size, not gray, step)
        chosen = "smoke" if smoke_test else preset
        go_on = "resume" if resume else "overwrite" if overwrite else ""
        fit_folder(FitOptions(videos, run, chosen, cut, content, minutes, num_steps, seed, device, go_on))


@app.command("swap")
def _swap(
    run: Run,
    a: Annotated[str, typer.Argument(help="A video, or the number of a held-out window.", show_default=False)],
    b: Annotated[str, typer.Argument(help="Another.", show_default=False)],
    output: Annotated[Path | None, typer.Option(help="Where to write, without suffix.")] = None,
    data: Data = None,
    debug: Debug = False,
) -> None:
    """Exchange what moves of two clips: a sheet and a GIF."""
    with one_sentence("pyrodis swap", debug):
        from pyrodis.cli.clips import find_clip
        from pyrodis.cli.figures import draw_exchange
        from pyrodis.infer.loading import load
        from pyrodis.infer.run_directory import read_config

        config = read_config(run)
        (name_a, x_a), (name_b, x_b) = find_clip(a, config, data), find_clip(b, config, data)
        path = run / "figures" / f"swap-{name_a}-{name_b}" if output is None else output
        path.parent.mkdir(parents=True, exist_ok=True)
        _say_files(draw_exchange(path, *load(run), x_a, x_b))


@app.command("sample")
def _sample(
    run: Run,
    num: Annotated[int, typer.Option("--num", min=1, max=1000, help="How many clips.")] = 8,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option(help="Where to write, without suffix.")] = None,
    debug: Debug = False,
) -> None:
    """Draw clips out of nothing: a sheet and a GIF."""
    with one_sentence("pyrodis sample", debug):
        import torch

        from pyrodis.cli.figures import draw_samples
        from pyrodis.infer.loading import load

        model, _ = load(run)
        torch.manual_seed(seed)
        path = run / "figures" / "samples" if output is None else output
        path.parent.mkdir(parents=True, exist_ok=True)
        _say_files(draw_samples(path, model, num))


@app.command("evaluate")
def _evaluate(
    run: Run,
    data: Data = None,
    num_clips: Annotated[int, typer.Option(min=2, help="How many windows to score.")] = 32,
    debug: Debug = False,
) -> None:
    """Score a run without labels; if the clips are its own, keep the scores."""
    with one_sentence("pyrodis evaluate", debug):
        from pyrodis.cli.clips import open_run
        from pyrodis.cli.scoring import label_free_scores, write_scores
        from pyrodis.infer.card import write_card
        from pyrodis.infer.loading import load
        from pyrodis.infer.run_directory import read_config
        from pyrodis.plotting import score_table

        model, guide = load(run)
        clips = open_run(read_config(run), data)
        scores = label_free_scores(model, guide, clips, num_clips)
        if data is None:
            write_scores(run, scores)
            write_card(run)
        say(score_table(scores))


@app.command("export")
def _export(
    run: Run,
    arviz: Annotated[Path | None, typer.Option(metavar="FILE.nc", help="Posterior draws, for ArviZ.")] = None,
    safetensors: Annotated[Path | None, typer.Option(metavar="FILE", help="The weights alone.")] = None,
    data: Data = None,
    num_clips: Annotated[int, typer.Option(min=1, help="Of how many windows.")] = 8,
    num_samples: Annotated[int, typer.Option(min=1, help="How many draws.")] = 500,
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Write posterior draws for ArviZ, or the weights, to a file."""
    with one_sentence("pyrodis export", debug):
        if arviz is None and safetensors is None:
            raise typer.BadParameter("say what to export: --arviz draws.nc, --safetensors weights.safetensors, or both")
        import shutil

        import torch

        from pyrodis.cli.clips import open_run, pick
        from pyrodis.infer.loading import load
        from pyrodis.infer.run_directory import read_config

        model, guide = load(run)
        if arviz is not None:
            from pyrodis.export import to_arviz

            torch.manual_seed(seed)
            x = pick(open_run(read_config(run), data), num_clips)
            to_arviz(model, guide, x, num_samples, min(20, num_samples)).to_netcdf(str(arviz))
            say(f"wrote {arviz}")
        if safetensors is not None:
            shutil.copyfile(run / "weights.safetensors", safetensors)
            say(f"wrote {safetensors}")


@app.command("info")
def _info(run: Run, debug: Debug = False) -> None:
    """Say what a run is: model, guide, data, settings and scores."""
    with one_sentence("pyrodis info", debug):
        from pyrodis.cli.info import describe_run

        for line in describe_run(run):
            say(line)


def _say_files(files: Sequence[Path]) -> None:
    for file in files:
        say(f"wrote {file}")
