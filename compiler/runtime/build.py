"""From emitted C++ source to a shared object in the cache.

In: one complete source text, headers inlined. Out: the path of the artefact, or its assembly text. Holds: the same source on the
same toolchain is compiled once; a source that the compiler refuses is kept, with the compiler's log, and the error names both.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from ..errors import TargetError
from . import cache
from .openmp import openmp
from .toolchain import toolchain

SOURCE_NAME = "kernel.cpp"
ARTEFACT_NAME = "kernel.so"
_DECISIVE = re.compile(r"\berror:|undefined reference")


def recipe(source: str, name: str) -> cache.Recipe:
    """What decides the artefact of `source` here: the text, every flag, the toolchain, the OpenMP runtime linked."""
    tools = toolchain()
    runtime = openmp()
    settings = {
        "target": "cpp",
        "flags": list(tools.flags.compile + tools.flags.link),
        "toolchain": tools.identity(),
        "openmp": runtime.name if runtime is not None and tools.shares(runtime) else None,
    }
    return cache.Recipe(name, source, SOURCE_NAME, ARTEFACT_NAME, settings)


def build(source: str, *, name: str) -> Path:
    """The shared object of `source`, from the cache or built now; `name` is for people (listings, messages).

    Errors: TargetError if there is no compiler or it refuses the source.
    """
    return cache.obtain(recipe(source, name), _build_in)


def try_out(source: str, folder: Path) -> Path:
    """The shared object of `source`, built in `folder` and not in the cache. Errors: TargetError, with the compiler's words."""
    (folder / SOURCE_NAME).write_text(source, encoding="utf-8")
    try:
        _build_in(folder)
    except cache.BuildFailure as failure:
        raise TargetError(f"the compiler refuses the source: {failure.summary}\n{failure.log}") from failure
    return folder / ARTEFACT_NAME


def _build_in(folder: Path) -> str:
    return _run(toolchain().build_command(SOURCE_NAME, ARTEFACT_NAME, openmp()), folder)


def assembly(source: str) -> str:
    """The assembly text that the compiler makes of `source`, with the flags of `build`. Errors: TargetError."""
    with tempfile.TemporaryDirectory(prefix="lamina-") as folder:
        Path(folder, SOURCE_NAME).write_text(source, encoding="utf-8")
        try:
            _run(toolchain().assembly_command(SOURCE_NAME, "kernel.s"), Path(folder))
        except cache.BuildFailure as failure:
            raise TargetError(f"the compiler refuses the source: {failure.summary}\n{failure.log}") from failure
        return Path(folder, "kernel.s").read_text(encoding="utf-8")


def _run(command: tuple[str, ...], folder: Path) -> str:
    """Runs the compiler in `folder`; the log is the command and whatever the compiler said."""
    # LC_ALL: the first error is looked for below, in English. The names given are relative: no path enters the artefact.
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise TargetError(f"the C++ compiler {command[0]} cannot be run: {error.strerror}") from error
    output = result.stdout + result.stderr
    log = f"{shlex.join(command)}\n{output}"
    if result.returncode != 0:
        lines = [line for line in output.splitlines() if _DECISIVE.search(line)] or output.splitlines()
        reason = lines[0].strip() if lines else "the compiler says nothing"
        raise cache.BuildFailure(f"the compiler's exit code is {result.returncode}: {reason}", log)
    return log
