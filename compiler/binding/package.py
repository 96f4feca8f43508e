"""Layers saved ahead of time.

In: a layer (`save`), or a folder (`load`). Out: a folder, or a layer. Holds: a loaded layer runs without the compiler's passes
and without a toolchain: the folder has its interface, its initial values, and a program with its shared object for each
function and signature saved; it runs on machines with the same processor features, and says so on others.

The folder: `layer.json`, and for each program `NUMBER_DIRECTION_DIGEST.json` (the program, source included) and
`NUMBER_DIRECTION_DIGEST.so`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import ArgumentError, TargetError
from ..lang.entries import Entry
from ..runtime.execute import Bound, Call, Executable
from ..schedule.program import Program, Signature
from .arguments import default_signature
from .functions import Function, Functions, Made, Mask, digits
from .functions import mask as bits
from .interface import Interface

if TYPE_CHECKING:
    from ..ir.graph import Graph
    from .fit import Fit
    from .initial import Initialiser
    from .layer import Layer

FORMAT = 3


# ---------------------------------------------------------------------------------------------- saving


def save(layer: Layer, path: Path) -> None:
    """See `Layer.save`."""
    from ..ir.text import to_text
    from ..runtime.processor import processor
    from .source import CompiledSource

    source = layer._functions.source
    if not isinstance(source, CompiledSource) or source.target not in ("cpp", "auto"):
        raise TargetError(f"layer {layer.name}: only a layer compiled for the target cpp can be saved")
    functions = _default_functions(layer)
    for function in functions:
        source.program(function, default_signature(function.inputs))
    served = [made for made in source.made if all(entry.layout == "contiguous" for entry in made.signature.inputs)]
    path.mkdir(parents=True, exist_ok=True)
    _clear(path)
    programs = []
    for number, made in enumerate(served):
        artefact = source.artefact(made.program).read_bytes()
        # a library once loaded from a path is not loaded from it again: other contents, other name
        stem = f"{number}_{made.program.direction}_{hashlib.sha256(artefact).hexdigest()[:8]}"
        (path / f"{stem}.json").write_text(json.dumps(made.program.to_json(), indent=1), encoding="utf-8")
        (path / f"{stem}.so").write_bytes(artefact)
        programs.append({"path": made.path, "signature": made.signature.to_json(), "files": stem})
    root = layer._root
    known = [root, *functions, *root.known()]
    described = {
        "format": FORMAT,
        "operator": layer._operators.name,
        "text": layer.text,
        "sizes": layer.sizes,
        "processor": processor().digest,
        "graph": to_text(layer._interface.graph, provenance=False),
        "interface": layer._interface.to_json(),
        "initial": [_initialiser_json(each) for each in layer._initial],
        "used": {function.path: digits(function.used) for function in known if "#" not in function.path},
        "training": [[digits(wanted), *(function.to_json() for function in pair)] for wanted, pair in root.known_training()],
        "programs": programs,
    }
    # last: a folder without it is not a saved layer
    (path / "layer.json").write_text(json.dumps(described, indent=1), encoding="utf-8")


def _clear(path: Path) -> None:
    """Removes what an earlier save left in the folder."""
    if (path / "layer.json").exists():
        (path / "layer.json").unlink()
        for left in [*path.glob("[0-9]*_*.json"), *path.glob("[0-9]*_*.so")]:
            left.unlink()


def _default_functions(layer: Layer) -> list[Function]:
    """What a saved layer serves at least: forward, all gradients, and a training step."""
    root = layer._root
    functions = [root]
    wanted = tuple(spec.dtype not in ("i64", "i32", "bool") for spec in root.inputs)
    if any(wanted) and any(root.differentiable):
        try:
            derived = root.derivative(wanted, root.differentiable)
            _ = derived.used
        except TargetError:  # a layer without gradients is saved without
            return functions
        functions += [derived, *(root.training(wanted) or ())]
    return functions


def _initialiser_json(initialiser: Initialiser) -> dict[str, Any]:
    from ..ir.text import to_text

    fit = initialiser.fit
    return {
        "name": initialiser.name,
        "kind": initialiser.kind,
        "graphs": [to_text(graph, provenance=False) for graph in initialiser.graphs],
        "values": initialiser.values,
        "fit": None
        if fit is None
        else {
            "tensors": [[each.name, [list(entry.axes) for entry in each.entries], each.shape] for each in fit.tensors],
            "solution": fit.solution,
        },
    }


# ---------------------------------------------------------------------------------------------- loading


def load(path: str | os.PathLike[str]) -> Layer:
    """The layer saved in a folder. Errors: ArgumentError if it holds none, TargetError if it was saved for another processor."""
    from ..runtime.processor import processor
    from .layer import from_functions

    folder = Path(path).absolute()
    try:
        described = json.loads((folder / "layer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{folder}: expected a folder written by Layer.save, found no readable layer.json ({error})") from None
    if described.get("format") != FORMAT:
        raise ArgumentError(f"{folder}: expected format {FORMAT}, found {described.get('format')}; save the layer again")
    if described["processor"] != processor().digest:
        raise TargetError(f"{folder}: saved on a processor with other features than this one ({processor().name}); save it here")

    def graph() -> Graph:
        from ..ir.text import parse

        return parse(described["graph"])

    interface = Interface.from_json(described["interface"], graph)
    functions = Functions(interface, PackageSource(folder, described))
    recipe = (load, (str(folder),))
    name = f"{described['operator']}_saved_{_digest(folder)}"
    return from_functions(
        functions, name, lambda: _initialisers(described["initial"]), described["text"], recipe, described["sizes"]
    )


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "layer.json").read_bytes() + str(folder).encode()).hexdigest()[:8]


def _initialisers(values: Sequence[dict[str, Any]]) -> list[Initialiser]:
    fits: dict[str, Fit] = {}
    return [_initialiser(each, fits) for each in values]


def _initialiser(value: dict[str, Any], fits: dict[str, Fit]) -> Initialiser:
    from ..ir.text import parse
    from .fit import Coefficients, Fit
    from .initial import Initialiser

    fit = None
    if value["fit"] is not None:
        key = json.dumps(value["fit"], sort_keys=True)
        if key not in fits:
            tensors = tuple(
                Coefficients(name, tuple(Entry(tuple(axes)) for axes in entries), tuple(shape))
                for name, entries, shape in value["fit"]["tensors"]
            )
            fits[key] = Fit(key, tensors, None, value["fit"]["solution"])
        fit = fits[key]
    graphs = tuple(parse(text) for text in value["graphs"])
    return Initialiser(value["name"], value["kind"], graphs, tuple(value["values"]), fit)


class PackageSource:
    """Executables of a saved folder. Tensors that are not contiguous are copied: only contiguous ones were saved for."""

    copies = True

    def __init__(self, folder: Path, described: dict[str, Any]) -> None:
        self.folder = folder
        self.made: list[Made] = []
        self._files: dict[tuple[str, Signature], str] = {}
        for each in described["programs"]:
            signature = Signature.from_json(each["signature"])
            program = Program.from_json(json.loads((folder / f"{each['files']}.json").read_text(encoding="utf-8")))
            self.made.append(Made(each["path"], signature, program))
            self._files[(each["path"], signature)] = each["files"]
        self._used = {path: bits(text) for path, text in described["used"].items()}
        self._training = described["training"]

    def graph(self, function: Function) -> Graph:
        raise TargetError(f"{self.folder}: a saved layer has no graph at level math; compile it from its specification")

    def kind(self, device: str) -> str:
        if device != "cpu":
            raise TargetError(f"expected tensors on the CPU, found device {device}; move them, e.g. x.cpu()")
        return "cpp"

    def program(self, function: Function, signature: Signature, kind: str | None = None) -> Program:
        for made in self.made:
            if (made.path, made.signature) == (function.path, signature):
                return made.program
        raise self._missing(function, signature)

    def stages(self, function: Function, signature: Signature, kind: str) -> tuple[None, None]:
        return None, None

    def executable(self, function: Function, signature: Signature, kind: str) -> Executable:
        exact = self._exact(function.path, signature)
        if exact is not None:
            return exact
        # gradients of more tensors than wanted were saved: take those that are
        parent, _, step = function.path.rpartition("/")
        wanted, _, given = step.partition(":")
        for made in self.made:
            other_parent, _, other = made.path.rpartition("/")
            more, _, other_given = other.partition(":")
            if (other_parent, other_given, made.signature) == (parent, given, signature) and _covers(more, wanted):
                whole = self._exact(made.path, signature)
                assert whole is not None
                listed = [place for place, digit in enumerate(more) if digit == "1"]
                return _Part(whole, tuple(listed.index(place) for place, digit in enumerate(wanted) if digit == "1"))
        raise self._missing(function, signature)

    def _missing(self, function: Function, signature: Signature) -> TargetError:
        saved = sorted({f"{made.program.direction} ({_dtypes(made.signature)})" for made in self.made})
        return TargetError(
            f"{self.folder}: no program was saved for {function.path or 'forward'} of {_dtypes(signature)}\n"
            f"  found: {'; '.join(saved)}\n  do: call the layer so before saving it"
        )

    def _exact(self, path: str, signature: Signature) -> Executable | None:
        from ..runtime import native
        from ..runtime.program import NativeExecutable

        files = self._files.get((path, signature))
        if files is None:
            return None
        program = next(made.program for made in self.made if (made.path, made.signature) == (path, signature))
        return NativeExecutable(program, native.load(self.folder / f"{files}.so"))

    def used(self, function: Function) -> Mask:
        return self._used.get(function.path, (True,) * len(function.inputs))

    def training(self, function: Function, wanted: Mask) -> tuple[Function, Function] | None:
        for more, *pair in self._training:
            if _covers(more, digits(wanted)):
                first, second = (Function.from_json(function.family, each) for each in pair)
                return first, second
        return None


@dataclass(frozen=True)
class _Part:
    """An executable of which only some outputs are handed on."""

    whole: Executable
    places: tuple[int, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.whole.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.whole.outputs[place] for place in self.places)

    def prepare(self, tensors: Sequence[Tensor], bound: Bound) -> Call:
        call = self.whole.prepare(tensors, bound)

        def part(given: Sequence[Tensor]) -> list[Tensor]:
            results = call(given)
            return [results[place] for place in self.places]

        return part

    def launcher(self, tensors: Sequence[Tensor], bound: Bound) -> Any:
        run, outputs = self.whole.launcher(tensors, bound)
        return run, [outputs[place] for place in self.places]


def _covers(more: str, wanted: str) -> bool:
    return len(more) == len(wanted) and all(one == "1" or other == "0" for one, other in zip(more, wanted, strict=True))


def _dtypes(signature: Signature) -> str:
    return ", ".join(f"{entry.name} {entry.dtype}" for entry in signature.inputs)
