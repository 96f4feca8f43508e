"""`lamina doctor`: what Lamina finds on this machine, and what to install where something is missing.

Exit code 3 if the `cpp` target cannot be used (no working C++ compiler, no torch, or no cache folder to build in), else 0.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from ..errors import TargetError
from .output import JsonOption, print_json, print_table, readable_size

_TOOLCHAIN_EXIT_CODE = 3
_TRIAL_SOURCE = """
extern "C" int omp_get_num_threads(void);
extern "C" __attribute__((visibility("default"))) int threads(void) {
  int count = 0;
#pragma omp parallel
#pragma omp single
  count = omp_get_num_threads();
  return count;
}
"""


@dataclass(frozen=True)
class Fact:
    """One line of the report. `problem` is what is wrong and what to do, where the `cpp` target cannot be used because of it."""

    name: str
    value: str
    problem: str | None = None


def register(app: typer.Typer) -> None:
    app.command("doctor", help="Report the compiler, OpenMP runtime, processor, cache and devices that Lamina finds.")(doctor)


def doctor(as_json: JsonOption = False) -> None:
    facts = gather()
    problems = [fact for fact in facts if fact.problem is not None]
    if as_json:
        print_json({"good": not problems, "facts": [asdict(fact) for fact in facts]})
    else:
        print_table(("", ""), [(fact.name, fact.value) for fact in facts])
        for fact in problems:
            typer.echo(f"\n{fact.name}: {fact.problem}")
        if not problems:
            typer.echo("\nready: layers can be compiled and run on this machine's processor")
    if problems:
        raise typer.Exit(_TOOLCHAIN_EXIT_CODE)


def gather() -> tuple[Fact, ...]:
    """Every fact, in the order of the report."""
    from ..runtime.processor import processor

    target = processor()
    facts = [
        Fact("lamina", _version("lamina") or "not installed as a package"),
        Fact("python", f"{platform.python_version()} ({platform.system()} {target.architecture})"),
        Fact("processor", f"{target.name}, {target.vector_bits}-bit vectors, {os.cpu_count()} logical processors"),
    ]
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its libraries is missing or broken
        hint = "do: install PyTorch 2.6 or newer, as pytorch.org/get-started says for this machine"
        return (*facts, Fact("torch", "cannot be imported", f"{error}\n  {hint}"), _cache())
    facts += [Fact("torch", torch.__version__), Fact("threads", str(torch.get_num_threads()))]
    return (*facts, *_compiler(), _cache(), *_devices())


def _compiler() -> tuple[Fact, ...]:
    from ..runtime.openmp import openmp
    from ..runtime.toolchain import toolchain

    runtime = openmp()
    try:
        tools = toolchain()
    except TargetError as error:
        return (Fact("compiler", "none", str(error)), Fact("openmp", runtime.path if runtime else "none in torch"))
    if runtime is None:
        shared = "the compiler's own (torch has none)"
    elif tools.shares(runtime):
        shared = f"{runtime.path} (torch's own: one thread pool)"
    else:
        shared = f"the compiler's own beside torch's {runtime.path}: two thread pools; g++ can share torch's"
    found = f"{' '.join(tools.command)} ({tools.version}, {tools.triple})"
    return (Fact("compiler", found), Fact("openmp", shared), _trial())


def _trial() -> Fact:
    """Whether a kernel can be built, loaded and run: a compiler without assembler, linker or C library is found out here."""
    from ..runtime.build import try_out
    from ..runtime.native import load

    with tempfile.TemporaryDirectory(prefix="lamina-") as folder:
        start = time.perf_counter()
        try:
            kernel = load(try_out(_TRIAL_SOURCE, Path(folder)))
        except TargetError as error:
            return Fact("trial kernel", "fails", str(error))
        duration = time.perf_counter() - start
        return Fact("trial kernel", f"built and loaded in {duration * 1000:.0f} ms, runs on {kernel.threads()} threads")


def _cache() -> Fact:
    from ..runtime import cache

    text = f"{cache.root()} ({readable_size(cache.size())})"
    try:
        cache.check_writable()
    except TargetError as error:
        return Fact("cache", text, str(error))
    return Fact("cache", text)


def _devices() -> tuple[Fact, ...]:
    import torch

    triton = _version("triton")
    if torch.cuda.is_available():
        cuda = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    elif torch.version.cuda is None:
        cuda = "none (this torch is built without CUDA)"
    else:
        cuda = "none (torch is built with CUDA and finds no device)"
    return (Fact("triton", triton or "not installed"), Fact("cuda devices", cuda))


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
