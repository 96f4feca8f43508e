"""`lamina bench FILE`: times against eager PyTorch and against copying memory, all taken in turn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .output import JsonOption, print_json, print_table, readable_size
from .specification import FileArgument, LayerOption, SizesOption, load_checked, parse_sizes, specification

if TYPE_CHECKING:
    from ..trial.benchmark import Measurement


def register(app: typer.Typer) -> None:
    app.command("bench", help="Time forward and backward against eager PyTorch and the copy of as many bytes.")(bench)


def bench(
    file: FileArgument,
    layer: LayerOption = None,
    size: SizesOption = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SHAPE", help="A tensor's shape, such as x=64x197x768; may be given several times."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="f32, f64, bf16 or f16.")] = "f32",
    seconds: Annotated[float, typer.Option(min=0.0, help="To spend on each pass.")] = 3.0,
    torch_compile: Annotated[bool, typer.Option("--torch-compile", help="Time torch.compile of the eager form too.")] = False,
    as_json: JsonOption = False,
) -> None:
    from ..report.stages import DTYPES

    if dtype not in DTYPES:
        raise typer.BadParameter(f"expected one of {', '.join(DTYPES)}, found {dtype!r}", param_hint="--dtype")
    sizes = parse_sizes(size)

    from ..binding.compile import compile as compile_layer
    from ..trial.benchmark import measure, parse_shapes, problem_of

    try:
        shapes = parse_shapes(shape or [])
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--shape") from problem
    compiled = compile_layer(specification(file), layer, "cpp", sizes)
    measured = measure(compiled, load_checked(file, layer, sizes), problem_of(compiled, shapes), dtype, seconds, torch_compile)
    if as_json:
        listed = [{**asdict(each), "bandwidth_share": each.bandwidth_share} for each in measured]
        print_json({"layer": compiled.name, "measurements": listed})
    else:
        print_measurements(compiled.name, measured)


def print_measurements(name: str, measured: list[Measurement]) -> None:
    """A table of medians, and the layer's share of the copy's bandwidth."""
    from ..trial.benchmark import COPY, LAYER

    first = measured[0]
    typer.echo(f"layer {name}, {first.dtype}, {first.problem}; medians, all taken in turn")
    rows = []
    for each in measured:
        own = each.seconds[LAYER]
        for candidate, seconds in each.seconds.items():
            ratio = "" if candidate in (LAYER, COPY) else f"{seconds / own:.2f} x the time of lamina"
            rows.append((each.name, candidate, f"{seconds * 1e3:.3f} ms", f"{each.moved / seconds / 1e9:.1f} GB/s", ratio))
    print_table(("pass", "what", "median", "bandwidth", ""), rows)
    if len(measured) == 1:
        typer.echo("no backward pass: the layer has no gradients, or the target cannot compile them")
    for each in measured:
        share = f"{each.bandwidth_share:.0%} of the bandwidth of a copy"
        typer.echo(f"{each.name}: {readable_size(each.moved)} read and written at {share} of as many bytes")
