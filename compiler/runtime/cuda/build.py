"""From emitted CUDA C++ to a cubin in the cache.

In: one complete source text, an architecture. Out: the path of the cubin, or the compiler's log, which has every kernel's
resources. Holds: the same source on the same compiler is compiled once for each architecture; a source that is refused is kept with
its log.
"""

from __future__ import annotations

from pathlib import Path

from .. import cache
from .compilers import FLAGS, SOURCE_NAME, architecture_name, compiler

ARTEFACT_NAME = "kernel.cubin"


def flags_for(options: tuple[str, ...]) -> tuple[str, ...]:
    """The compiler's flags: what a program asks for (`--fmad=false`) replaces the default of the same name."""
    named = {option.partition("=")[0]: option for option in options}
    kept = [named.pop(flag.partition("=")[0], flag) for flag in FLAGS]
    return (*kept, *named.values())


def recipe(source: str, name: str, architecture: str, options: tuple[str, ...] = ()) -> cache.Recipe:
    """What decides the cubin of `source`."""
    settings = {
        "target": "cuda",
        "architecture": architecture_name(architecture),
        "flags": list(flags_for(options)),
        "toolchain": compiler().identity(),
    }
    return cache.Recipe(name, source, SOURCE_NAME, ARTEFACT_NAME, settings)


def build(source: str, *, name: str, architecture: str, options: tuple[str, ...] = ()) -> Path:
    """The cubin of `source`, from the cache or built now; `name` is for people. Errors: TargetError."""

    def build_in(folder: Path) -> str:
        cubin, log = compiler().compile((folder / SOURCE_NAME).read_text(encoding="utf-8"), architecture, flags_for(options))
        (folder / ARTEFACT_NAME).write_bytes(cubin)
        return log

    return cache.obtain(recipe(source, name, architecture, options), build_in)


def build_log(artefact: Path) -> str:
    """What the compiler said when it made an artefact."""
    return artefact.with_name("build.log").read_text(encoding="utf-8")
