"""`lamina compile FILE`: forward and backward kernels for contiguous tensors, and what was decided for them.

With `-o`, the sources, shared objects and report go to a folder; with `--standalone` too, the folder is a Python package that runs
the layer with torch alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ArgumentError, TargetError
from .output import JsonOption, print_json
from .specification import (
    ArchitectureOption,
    FileArgument,
    LayerOption,
    SizesOption,
    TargetOption,
    load_checked,
    parse_sizes,
    require_targets,
)

if TYPE_CHECKING:
    from ..report import Report
    from ..report.stages import Stages


_ARTEFACTS = {"cpp": "so", "cuda": "cubin"}  # how the names of what is built end


def register(app: typer.Typer) -> None:
    app.command("compile", help="Compile a layer, forward and backward, and report what was decided.")(compile_layer)


def compile_layer(
    file: FileArgument,
    layer: LayerOption = None,
    size: SizesOption = None,
    target: TargetOption = "cpp",
    architecture: ArchitectureOption = "sm_90",
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write sources, objects and report here.")
    ] = None,
    standalone: Annotated[bool, typer.Option("--standalone", help="Write a package that runs with torch alone.")] = False,
    dtype: Annotated[str, typer.Option(help="f32, f64, bf16 or f16: what the tensors declared float are stored as.")] = "f32",
    as_json: JsonOption = False,
) -> None:
    targets = require_targets(target)
    sizes = parse_sizes(size)
    if standalone and folder is None:
        raise typer.BadParameter("expected -o DIR, the folder to write", param_hint="--standalone")
    report, compiled = assemble(file, layer, sizes, dtype, targets[0])
    for further in targets[1:]:
        compiled += assemble(file, layer, sizes, dtype, further)[1]
    artefacts = [artefact_of(stage, architecture) for stage in compiled]
    written: list[str] = []
    if folder is not None:
        written = _write(folder, report, compiled, artefacts)
    if standalone and folder is not None:
        from ..standalone.write import write_package

        written += write_package(folder, load_checked(file, layer, sizes), dtype, compiled)
    if as_json:
        print_json({**report.to_json(), "written": written})
    else:
        typer.echo(str(report), nl=False)
        if folder is not None:
            typer.echo(f"\nwritten to {folder}: {', '.join(written)}")


def assemble(
    file: str, layer: str | None, sizes: dict[str, int], dtype: str, target: str = "cpp"
) -> tuple[Report, tuple[Stages, ...]]:
    """The report of a layer, and the stages of the programs in it: forward, and backward or what a training step runs.

    Errors: SpecError, ArgumentError; TargetError where the forward pass cannot be compiled. A backward pass that cannot be is
    listed as missing in the report.
    """
    from ..binding.initial import initialisers
    from ..binding.reporting import fit_of
    from ..pipeline import layer_graph
    from ..report import CompiledProgram, build_report
    from ..report.stages import has_gradients, inputs_first, stages, training_stages

    checked = inputs_first(load_checked(file, layer, sizes))
    compiled = [stages(checked, "forward", dtype, target)]
    _ = compiled[0].program
    missing = []
    if has_gradients(compiled[0].graph):
        try:
            derived = training_stages(checked, dtype, target) or (stages(checked, "backward", dtype, target),)
            for stage in derived:
                _ = stage.program
            compiled += derived
        except TargetError as refusal:
            missing.append(str(refusal).splitlines()[0])
    report = build_report(
        layer_graph(checked),
        checked.text,
        [CompiledProgram(stage.program, stage.signature, stage.graph, stage.plan) for stage in compiled],
        sizes=dict(checked.sizes),
        requirements=[each.text for each in checked.requirements],
        licences=checked.accuracies,
        fit=fit_of(initialisers(checked)),
        missing=missing,
    )
    return report, tuple(compiled)


def artefact_of(stage: Stages, architecture: str) -> Path:
    """What a program is built to: a shared object, a cubin for an architecture, or, for Triton, its source. Errors: TargetError."""
    from ..schedule.shapes import label

    name = label(stage.program)
    if stage.target == "triton":
        from ..runtime.triton_kernels import source_file

        return source_file(stage.program.source, name)
    if stage.target == "cuda":
        from ..runtime.cuda.kernels import cubin

        return cubin(stage.program, name, architecture)
    from ..runtime.build import build

    return build(stage.program.source, name=name)


def _write(folder: Path, report: Report, compiled: tuple[Stages, ...], artefacts: list[Path]) -> list[str]:
    """Writes the folder; gives the names of the files. Errors: ArgumentError where it cannot be written."""
    from ..codegen import SOURCE_NAMES

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stage, artefact in zip(compiled, artefacts, strict=True):
            program = stage.program
            stem = f"{program.name}_{program.direction}"
            names = [
                f"{stem}.{SOURCE_NAMES[program.target]}",
                f"{stem}{'' if program.target == 'cpp' else f'_{program.target}'}.json",
            ]
            (folder / names[0]).write_text(program.source, encoding="utf-8")
            (folder / names[1]).write_text(json.dumps(program.to_json(), indent=1), encoding="utf-8")
            if program.target in _ARTEFACTS:
                names.append(f"{stem}.{_ARTEFACTS[program.target]}")
                shutil.copyfile(artefact, folder / names[-1])
            written += names
        (folder / "report.txt").write_text(str(report), encoding="utf-8")
        (folder / "report.json").write_text(json.dumps(report.to_json(), indent=1), encoding="utf-8")
    except OSError as problem:
        raise ArgumentError(f"-o {folder}: cannot write there: {problem.strerror or problem}") from problem
    return [*written, "report.txt", "report.json"]
