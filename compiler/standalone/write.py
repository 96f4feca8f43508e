"""Writing a standalone package.

In: a layer, the programs to serve and their shared objects. Out: a folder that is a Python package: `layer.json`, the sources and
shared objects, and the few modules that run them. Holds: the package imports torch and the standard library alone; it runs on
machines with the same processor features, for contiguous tensors of one dtype, gradients of the first order included.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from ..binding.interface import Interface
from ..binding.solving import conditions, interface_of
from ..errors import ArgumentError, TargetError
from ..ir.graph import TensorSpec
from ..lang.checked import CheckedLayer
from ..pipeline import layer_graph
from ..report.stages import Stages, inputs_first
from ..runtime.toolchain import toolchain

FORMAT = 2
# The modules of this package and of the runtime that the folder takes along, by their names there.
_MODULES = (("standalone", "loader.py"), ("runtime", "openmp.py"), ("ir", "outside.py"))
_PACKAGE = '''"""The layer {name}, compiled by Lamina. Needs torch alone.

    from {folder} import layer
    {outs} = layer({arguments})

Tensors of dtype {dtype}, contiguous or copied to be so. The specification:

{text}

To rebuild for another processor, in this folder, with torch's own OpenMP library or the system's, for each source:
    {command}
"""

from .loader import load

layer = load()
'''


def write_package(folder: Path, checked: CheckedLayer, dtype: str, stages: tuple[Stages, ...]) -> list[str]:
    """Writes the package over the sources and shared objects `NAME_DIRECTION.cpp`, `.so` that lie in `folder` already; gives the
    names of the files written. Errors: TargetError where the lengths of a call cannot be solved one by one."""
    checked = inputs_first(checked)
    interface = interface_of(layer_graph(checked), conditions(checked))
    if not interface.complete:
        raise TargetError(
            f"layer {checked.name}: a length is found only by trying values, which a standalone package does not do\n"
            f"  do: give the lengths as sizes with -D, or use Layer.save and lamina.load"
        )
    described = {
        "format": FORMAT,
        "name": checked.name,
        "inputs": [_tensor(interface, spec) for spec in interface.inputs],
        "outputs": [_tensor(interface, spec) for spec in interface.outputs],
        "steps": [[step.tensor, step.dimension, step.symbol, step.solution] for step in interface.steps],
        "axes": [list(axis) for axis in interface.axes],
        "conditions": [[each.test, each.text, each.message] for each in interface.conditions],
        "programs": {stage.direction: _program(stage) for stage in stages},
    }
    tools = toolchain()
    flags = [flag for flag in tools.flags.compile + tools.flags.link if flag != "-nodefaultlibs"]
    package = _PACKAGE.format(
        name=checked.name,
        folder=folder.resolve().name,
        outs=", ".join(spec.name for spec in interface.outputs),
        arguments=", ".join(interface.names),
        dtype=dtype,
        text=checked.text.replace("\\", "\\\\").replace('"""', "'''"),
        command=f"{Path(tools.command[0]).name} {' '.join(flags)} NAME.cpp -o NAME.so -lm",
    )
    files = {"__init__.py": package, "layer.json": json.dumps(described, indent=1)}
    for stage, name in _MODULES:
        text = resources.files(f"{(__package__ or '').rpartition('.')[0]}.{stage}").joinpath(name).read_text(encoding="utf-8")
        files[name] = text.replace("from ..runtime.", "from .").replace("from ..ir.", "from .")
    try:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as problem:
        raise ArgumentError(f"-o {folder}: cannot write there: {problem.strerror or problem}") from problem
    return list(files)


def _tensor(interface: Interface, spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dimensions": list(interface.dimensions[spec.name])}


def _program(stage: Stages) -> dict[str, Any]:
    program = stage.program.to_json()
    return {key: program[key] for key in ("symbol", "arguments", "integers", "checks")} | {
        "library": f"{stage.program.name}_{stage.program.direction}.so"
    }
