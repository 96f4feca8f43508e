"""The arguments that name a layer, and the layer they name.

In: FILE, `-l LAYER`, `-D SIZE=VALUE`. Out: what `lamina.compile` and the front end take. Holds: FILE is a path, or the name of an
entry of the layer library; a malformed `-D` is wrong usage, an unknown size the user's error. Not a command: it has no `register`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..lang.checked import CheckedLayer

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A specification's path, or the name of an entry of the layer library.")
]
LayerOption = Annotated[str | None, typer.Option("-l", "--layer", metavar="LAYER", help="Which layer, where FILE has several.")]
SizesOption = Annotated[
    list[str] | None, typer.Option("-D", "--size", metavar="SIZE=VALUE", help="A compile-time size; may be given several times.")
]
TargetOption = Annotated[str, typer.Option("-t", "--target", metavar="TARGET", help="What is compiled for: cpp, triton or cuda.")]
ArchitectureOption = Annotated[
    str, typer.Option("--arch", metavar="SM", help="The GPU that target cuda builds for, such as sm_80, sm_90 or sm_100.")
]
_NAME = re.compile(r"[a-z_][A-Za-z0-9_]*\Z")
_SIZE = re.compile(r"([A-Z][A-Za-z0-9_]*)=(\d+)\Z")


def parse_sizes(given: list[str] | None) -> dict[str, int]:
    """The sizes by name. Errors: BadParameter (wrong usage)."""
    sizes: dict[str, int] = {}
    for text in given or ():
        found = _SIZE.match(text.replace(" ", ""))
        if found is None:
            raise typer.BadParameter(f"expected SIZE=VALUE, such as G=8, found {text!r}", param_hint="-D")
        sizes[found[1]] = int(found[2])
    return sizes


def specification(file: str) -> str | Path:
    """FILE as the front end takes it: a name of the library as text, everything else as a path."""
    return file if _NAME.match(file) and not Path(file).exists() else Path(file)


def require_targets(text: str) -> tuple[str, ...]:
    """The targets listed in `-t`, separated by commas. Errors: BadParameter (wrong usage)."""
    from ..codegen import TARGETS

    for name in text.split(","):
        if name not in TARGETS:
            raise typer.BadParameter(f"expected {' or '.join(TARGETS)}, found {name!r}", param_hint="-t")
    return tuple(text.split(","))


def load_checked(file: str, layer: str | None, sizes: dict[str, int]) -> CheckedLayer:
    """The checked layer. Errors: SpecError, ArgumentError."""
    from ..lang.check import load

    return load(specification(file), layer, sizes)
