"""The C++ compiler that turns emitted source into a shared object.

In: the environment (LAMINA_CXX, CXX, PATH). Out: `Toolchain` and, from it, command lines. Holds: nothing is looked for before
`toolchain()` is called; a compiler that has been asked for its version once is not asked again until its file changes; a
toolchain's identity has no path in it, so that the same compiler elsewhere means the same cache entries.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache

from ..errors import TargetError
from . import cache
from .openmp import OpenMP
from .processor import Processor, processor

_CANDIDATES = ("g++", "c++", "clang++")
_VARIABLES = ("LAMINA_CXX", "CXX")


@dataclass(frozen=True)
class Flags:
    """Compiler flags by purpose. No flag lets a whole file reorder floating-point operations (-ffast-math and its like).

    `numerics` names each rounding choice: errno and floating-point traps are not observed, a*b+c may be one fused operation.
    `parallel` switches OpenMP on; `link` produces a shared object that needs no C++ runtime library.
    """

    language: tuple[str, ...]
    optimise: tuple[str, ...]
    numerics: tuple[str, ...]
    visibility: tuple[str, ...]
    parallel: tuple[str, ...]
    link: tuple[str, ...]

    @property
    def compile(self) -> tuple[str, ...]:
        """Everything that decides the machine code of one source file."""
        return self.language + self.optimise + self.numerics + self.visibility + self.parallel


@dataclass(frozen=True)
class Toolchain:
    """A C++ compiler on this machine. `family` is "gcc" or "clang"; `version` is the compiler's own words, without its name."""

    command: tuple[str, ...]
    family: str
    version: str
    triple: str
    processor: Processor
    flags: Flags

    def identity(self) -> dict[str, object]:
        """What makes two toolchains interchangeable: no path. Arguments given with the command (CXX="g++ -m64") count."""
        return {
            "family": self.family,
            "version": self.version,
            "triple": self.triple,
            "arguments": list(self.command[1:]),
            "processor": self.processor.digest,
        }

    def shares(self, runtime: OpenMP | None) -> bool:
        """Whether this compiler's parallel regions can run on torch's own thread pool."""
        return runtime is not None and (runtime.serves_gcc if self.family == "gcc" else runtime.serves_clang)

    def libraries(self, runtime: OpenMP | None) -> tuple[str, ...]:
        """What to link with, last on the command line; torch's OpenMP runtime goes ahead of the one that -fopenmp appends."""
        shared = (runtime.path,) if runtime is not None and self.shares(runtime) else ()
        return shared + (("-lm", "-lgcc", "-lc") if "-nodefaultlibs" in self.flags.link else ())

    def build_command(self, source: str, artefact: str, runtime: OpenMP | None) -> tuple[str, ...]:
        """Compiles and links in one call of the compiler: half the fixed cost of two."""
        flags = self.flags.compile + self.flags.link
        return (*self.command, *flags, source, "-o", artefact, *self.libraries(runtime))

    def assembly_command(self, source: str, assembly: str) -> tuple[str, ...]:
        return (*self.command, *self.flags.compile, "-fno-asynchronous-unwind-tables", "-S", source, "-o", assembly)


def toolchain() -> Toolchain:
    """The compiler named by LAMINA_CXX, else by CXX, else the first of g++, c++ and clang++ on the PATH.

    Errors: TargetError, saying what to install, if there is none or the one named is not there.
    """
    return _toolchain(tuple(os.environ.get(name, "") for name in (*_VARIABLES, "PATH")))


@lru_cache(maxsize=16)
def _toolchain(environment: tuple[str, ...]) -> Toolchain:
    command = _command()
    family, version, triple = _identify(command)
    return Toolchain(command, family, version, triple, processor(), flags_for(family, processor()))


def flags_for(family: str, target: Processor) -> Flags:
    native = "-march=native" if target.is_x86 else "-mcpu=native"
    # Where there are 512-bit vectors, compilers still default to 256-bit ones for many processors.
    width = ("-mprefer-vector-width=512",) if target.is_x86 and target.vector_bits == 512 else ()
    # -z defs: a source that needs what is not linked fails at the build, with the name of what is missing, not when it is
    # loaded. An artefact may not need the C++ runtime library; leaving it out makes a build faster. Clang would leave out its
    # OpenMP runtime too, so there it stays.
    linux = ("-Wl,--as-needed", "-Wl,-z,defs") if platform.system() == "Linux" else ()
    bare = ("-nodefaultlibs",) if linux and family == "gcc" else ()
    return Flags(
        language=("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-pipe"),
        optimise=("-O3", native, *width),
        numerics=("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
        visibility=("-fPIC", "-fvisibility=hidden", "-fno-semantic-interposition"),
        parallel=("-fopenmp",),
        link=("-shared", *bare, *linux),
    )


def _command() -> tuple[str, ...]:
    for variable in _VARIABLES:
        named = shlex.split(os.environ.get(variable, ""))
        if named:
            path = shutil.which(named[0])
            if path is None:
                raise TargetError(
                    f"the C++ compiler that the environment variable {variable} names is not there.\n"
                    f"  expected: a program, by its path or by its name on the PATH\n  found: {variable}={named[0]}\n"
                    f"  do: correct or unset {variable}"
                )
            return (path, *named[1:])
    for name in _CANDIDATES:
        path = shutil.which(name)
        if path is not None:
            return (path,)
    raise TargetError(
        f"no C++ compiler was found.\n  expected: one of {', '.join(_CANDIDATES)} on the PATH\n  found: none\n"
        f"  do: {install_hint()}, or set the environment variable LAMINA_CXX to a compiler"
    )


def install_hint() -> str:
    """The command that installs a C++ compiler on this kind of machine."""
    if platform.system() == "Darwin":
        return "brew install gcc"
    for manager, command in (("apt-get", "apt-get install g++"), ("dnf", "dnf install gcc-c++"), ("brew", "brew install gcc")):
        if os.path.exists(f"/usr/bin/{manager}") or shutil.which(manager):
            return command
    return "apt-get install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora) or brew install gcc (macOS)"


def _identify(command: tuple[str, ...]) -> tuple[str, str, str]:
    """(family, version, triple), from the cache if this very file has been asked before."""
    facts = os.stat(command[0])
    question = [*command, os.path.realpath(command[0]), facts.st_size, facts.st_mtime_ns]
    known = cache.get_json("toolchains", repr(question))
    if isinstance(known, list) and len(known) == 3 and all(isinstance(part, str) for part in known):
        return known[0], known[1], known[2]
    answer = _ask(command)
    # Remembering only saves a few milliseconds; a cache that cannot be written to is reported by the build.
    with contextlib.suppress(TargetError):
        cache.put_json("toolchains", repr(question), list(answer))
    return answer


def _ask(command: tuple[str, ...]) -> tuple[str, str, str]:
    try:
        result = subprocess.run(
            [*command, "-v"], capture_output=True, text=True, errors="replace", check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except OSError as error:
        raise TargetError(f"the C++ compiler {command[0]} cannot be run: {error.strerror}.\n  do: {install_hint()}") from error
    text = result.stderr + result.stdout
    version = re.search(r"^(?P<name>.*(?:gcc|clang)) version (?P<version>.*)$", text, re.MULTILINE)
    triple = re.search(r"^Target: (\S+)$", text, re.MULTILINE)
    if result.returncode != 0 or version is None or triple is None:
        raise TargetError(
            f"{command[0]} is not a C++ compiler that Lamina knows.\n  expected: g++ or clang++, answering to -v\n"
            f"  found: exit code {result.returncode}, {text.strip().splitlines()[-1:] or 'no output'}\n"
            f"  do: {install_hint()}, or set the environment variable LAMINA_CXX to one"
        )
    family = "clang" if "clang" in version["name"] else "gcc"
    return family, f"{version['name']} {version['version'].strip()}", triple[1]
