"""`lamina inspect FILE STAGE`: any stage of a layer's road from text to machine code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import JsonOption, print_json
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

if TYPE_CHECKING:
    from ..lang.checked import CheckedLayer

STAGES = ("tree", "checked", "graph", "plan", "source", "asm", "report")
LEVELS = ("layer", "math")


def register(app: typer.Typer) -> None:
    app.command("inspect", help=f"Show a stage of a layer: {', '.join(STAGES)}.")(inspect)


def inspect(
    file: FileArgument,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help=f"One of {', '.join(STAGES)}.")],
    layer: LayerOption = None,
    size: SizesOption = None,
    direction: Annotated[str, typer.Option(help="forward, backward, second, training_forward or training_backward.")] = "forward",
    level: Annotated[str, typer.Option(help="Of the graph: layer (as written) or math (structure recognised).")] = "math",
    dot: Annotated[bool, typer.Option("--dot", help="The graph in Graphviz's language.")] = False,
    dtype: Annotated[str, typer.Option(help="f32, f64, bf16 or f16: what the tensors declared float are stored as.")] = "f32",
    target: TargetOption = "cpp",
    as_json: JsonOption = False,
) -> None:
    _check_options(stage, direction, level, dtype, dot)
    (target,) = require_targets(target)[:1]
    if stage == "asm" and target != "cpp":
        raise typer.BadParameter("machine code is shown of the target cpp", param_hint="-t")
    sizes = parse_sizes(size)
    if stage == "tree":
        _show(_tree(file, layer), stage, as_json)
        return
    checked = load_checked(file, layer, sizes)
    if stage == "checked":
        from ..report.values import tree_text

        _show(tree_text(checked), stage, as_json)
    elif stage == "report":
        from .compile import assemble

        report, _ = assemble(file, layer, sizes, dtype, target)
        if as_json:
            print_json(report.to_json())
        else:
            typer.echo(str(report), nl=False)
    else:
        _show(_stage(checked, stage, direction, level, dtype, dot, target), stage, as_json)


def _check_options(stage: str, direction: str, level: str, dtype: str, dot: bool) -> None:
    from ..report.stages import DTYPES, EVERY_DIRECTION

    choices = (
        ("STAGE", stage, STAGES),
        ("--direction", direction, EVERY_DIRECTION),
        ("--level", level, LEVELS),
        ("--dtype", dtype, DTYPES),
    )
    for hint, found, known in choices:
        if found not in known:
            raise typer.BadParameter(f"expected one of {', '.join(known)}, found {found!r}", param_hint=hint)
    if level == "layer" and direction != "forward":
        raise typer.BadParameter("derivatives are taken at level math", param_hint="--level")
    if dot and stage != "graph":
        raise typer.BadParameter("only the graph is drawn", param_hint="--dot")


def _tree(file: str, layer: str | None) -> str:
    """The syntax tree of the file, or of one layer of it."""
    from ..lang.check import load
    from ..lang.diagnostics import Reporter
    from ..lang.library import Workspace
    from ..report.values import tree_text

    reporter = Reporter()
    module, named = Workspace(reporter).open(specification(file))
    reporter.raise_if_any()
    wanted = layer or named
    if wanted is None:
        return tree_text(module.file)
    for item in module.layers:
        if item.name.name == wanted:
            return tree_text(item)
    load(specification(file), wanted)  # says which layers there are
    raise AssertionError(f"{wanted} was found by the front end alone")


def _stage(checked: CheckedLayer, stage: str, direction: str, level: str, dtype: str, dot: bool, target: str) -> str:
    from ..report.stages import inputs_first, stages

    if stage == "graph":
        from ..ir.dot import to_dot
        from ..ir.text import to_text
        from ..pipeline import layer_graph

        graph = layer_graph(inputs_first(checked)) if level == "layer" else stages(checked, direction, dtype).graph
        return to_dot(graph) if dot else to_text(graph)
    if stage == "plan":
        from ..report.plan import plan_text

        return plan_text(stages(checked, direction, dtype, target).plan)
    source = stages(checked, direction, dtype, target).program.source
    if stage == "source":
        return source
    from ..runtime.build import assembly

    return assembly(source)


def _show(text: str, stage: str, as_json: bool) -> None:
    value: Any = {"stage": stage, "text": text}
    print_json(value) if as_json else typer.echo(text, nl=not text.endswith("\n"))
