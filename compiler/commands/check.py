"""`lamina check FILE`: compiled results against the reference, on random arguments of several shapes.

Exit code 1 where a value, a gradient or a second derivative is off by more than its limit.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .output import JsonOption, print_json, print_table
from .specification import (
    FileArgument,
    LayerOption,
    SizesOption,
    TargetOption,
    load_checked,
    parse_sizes,
    require_targets,
    specification,
)

_FAILED = 1


def register(app: typer.Typer) -> None:
    app.command("check", help="Compare value, gradients and second derivatives with the reference, on random arguments.")(check)


def check(
    file: FileArgument,
    layer: LayerOption = None,
    size: SizesOption = None,
    dtype: Annotated[list[str] | None, typer.Option(help="f32, f64, bf16 or f16; may be given several times.")] = None,
    order: Annotated[int, typer.Option(min=0, max=2, help="0: values; 1: gradients too; 2: second derivatives too.")] = 2,
    target: TargetOption = "cpp",
    as_json: JsonOption = False,
) -> None:
    from ..report.stages import DTYPES

    dtypes = tuple(dtype or ("f32", "f64"))
    for name in dtypes:
        if name not in DTYPES:
            raise typer.BadParameter(f"expected one of {', '.join(DTYPES)}, found {name!r}", param_hint="--dtype")
    sizes = parse_sizes(size)

    from ..binding.compile import compile as compile_layer
    from ..trial.compare import compare, worst

    checked = load_checked(file, layer, sizes)
    comparisons = []
    for name in require_targets(target):
        compiled = compile_layer(specification(file), layer, name, sizes)
        comparisons += compare(compiled, checked, dtypes, order)
    failed = [each for each in comparisons if not each.passed]
    if as_json:
        listed = [{**asdict(each), "passed": each.passed} for each in comparisons]
        print_json({"layer": compiled.name, "passed": not failed, "comparisons": listed})
    else:
        rows = []
        for each in worst(comparisons).values():
            error = "" if each.error is None else f"{each.error:.2g} {each.unit}"
            verdict = each.note or ("ok" if each.passed else "FAILED")
            rows.append((each.tensor, each.order, each.target, each.dtype, error, f"{each.limit:g}", each.problem, verdict))
        print_table(("result", "order", "target", "dtype", "largest error", "limit", "at", ""), rows)
        made = [each for each in comparisons if each.error is not None or not each.passed]
        verdict = f"{len(failed)} of {len(made)} comparisons FAILED" if failed else f"all {len(made)} comparisons hold"
        typer.echo(f"layer {compiled.name}: {verdict}, on {len({each.problem for each in comparisons})} sets of lengths")
        if len(made) < len(comparisons):
            typer.echo("what the target cannot compile was left out")
    if failed:
        raise typer.Exit(_FAILED)
