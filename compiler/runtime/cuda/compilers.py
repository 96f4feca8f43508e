"""The compilers of CUDA C++ on this machine.

In: the environment (LAMINA_NVRTC, LAMINA_NVCC, PATH, installed packages). Out: `Compiler`: NVRTC, a library that compiles one text
in this process, else nvcc. Holds: nothing is looked for before `compiler()` is called; a compiler's identity has no path in it, so
that the same one elsewhere means the same cache entries; rounding is as IEEE 754 has it unless a program's own flags say otherwise.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from ...errors import TargetError
from ..cache import BuildFailure

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")  # what cubins are tried for; any other that the compiler knows can be asked for
SOURCE_NAME = "kernel.cu"
_VARIABLES = ("LAMINA_NVRTC", "LAMINA_NVCC", "PATH")
# --fmad may be turned off by a program; the rest is what the accuracy of the scalar runtime stands on
FLAGS = ("--std=c++17", "--fmad=true", "--prec-div=true", "--prec-sqrt=true", "--ftz=false", "--ptxas-options=-v")
HINT = "pip install 'lamina[cuda]' (nvidia-cuda-nvrtc-cu12), or install the CUDA toolkit and put nvcc on the PATH"


class Compiler(Protocol):
    @property
    def description(self) -> str:
        """Its name and version, and where it is."""
        ...

    def identity(self) -> dict[str, object]:
        """What makes two compilers interchangeable: no path."""
        ...

    def compile(self, source: str, architecture: str, flags: tuple[str, ...]) -> tuple[bytes, str]:
        """The cubin of a text, and the compiler's log, with the resources of each kernel. Errors: BuildFailure, TargetError."""
        ...


def compiler() -> Compiler:
    """NVRTC, by LAMINA_NVRTC, from the installed packages or the loader's path; else nvcc, by LAMINA_NVCC or on the PATH.

    Errors: TargetError, saying what to install, if there is neither.
    """
    return _compiler(tuple(os.environ.get(name, "") for name in _VARIABLES))


def architecture_name(text: str) -> str:
    """An architecture as the compilers name it: sm_90. Errors: TargetError for what is none."""
    if re.fullmatch(r"sm_\d{2,3}[af]?", text):
        return text
    raise TargetError(f"architecture {text}: expected sm_ and a number, such as {', '.join(ARCHITECTURES)}")


@lru_cache(maxsize=16)
def _compiler(environment: tuple[str, ...]) -> Compiler:
    named, other = environment[0], environment[1]
    for path in (named,) if named else _nvrtc_candidates():
        library = _opened(path)
        if library is not None:
            return Nvrtc(library, path)
    if named:
        raise TargetError(f"NVRTC cannot be loaded.\n  found: LAMINA_NVRTC={named}\n  do: correct or unset LAMINA_NVRTC")
    command = shutil.which(other or "nvcc")
    if command is None:
        raise TargetError(
            "no compiler of CUDA C++ was found.\n  expected: NVRTC (libnvrtc.so), or nvcc on the PATH\n  found: neither\n"
            f"  do: {HINT}"
        )
    return Nvcc(command)


def _nvrtc_candidates() -> list[str]:
    """Where NVRTC may be: the packages that bring it, newest first, then wherever the loader looks."""
    found: list[Path] = []
    package = importlib.util.find_spec("nvidia")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        found += [path for path in Path(folder).glob("*/lib/libnvrtc.so.*") if re.fullmatch(r"libnvrtc\.so\.\d+", path.name)]
    found.sort(key=lambda path: (-int(path.suffix[1:]), str(path)))
    system = ctypes.util.find_library("nvrtc")
    return [*map(str, found), *([system] if system else ())]


def _opened(path: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(path)
    except OSError:
        return None


@dataclass(frozen=True)
class Nvrtc:
    """NVIDIA's run-time compiler, a library."""

    library: Any
    path: str = field(compare=False)

    @property
    def version(self) -> str:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._require(self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        return f"{major.value}.{minor.value}"

    @property
    def description(self) -> str:
        return f"NVRTC {self.version} ({self.path})"

    def identity(self) -> dict[str, object]:
        return {"compiler": "nvrtc", "version": self.version}

    def compile(self, source: str, architecture: str, flags: tuple[str, ...]) -> tuple[bytes, str]:
        library = self.library
        handle = ctypes.c_void_p()
        self._require(library.nvrtcCreateProgram(ctypes.byref(handle), source.encode(), SOURCE_NAME.encode(), 0, None, None))
        try:
            options = [option.encode() for option in (f"--gpu-architecture={architecture}", *flags)]
            status = library.nvrtcCompileProgram(handle, len(options), (ctypes.c_char_p * len(options))(*options))
            log = self._text(handle, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            if status != 0:
                raise BuildFailure(_reason(log, f"NVRTC's status is {status}"), log)
            return self._text(handle, "CUBIN"), log
        finally:
            library.nvrtcDestroyProgram(ctypes.byref(handle))

    def _text(self, handle: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._require(getattr(self.library, f"nvrtcGet{what}Size")(handle, ctypes.byref(size)))
        text = ctypes.create_string_buffer(size.value)
        self._require(getattr(self.library, f"nvrtcGet{what}")(handle, text))
        return text.raw

    def _require(self, status: int) -> None:
        if status != 0:
            self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise TargetError(f"NVRTC ({self.path}) fails: {self.library.nvrtcGetErrorString(status).decode()}\n  do: {HINT}")


@dataclass(frozen=True)
class Nvcc:
    """The toolkit's compiler, a program; it needs a C++ compiler beside it."""

    command: str

    @property
    def version(self) -> str:
        text = subprocess.run([self.command, "--version"], capture_output=True, text=True, errors="replace", check=False).stdout
        found = re.search(r"release [\d.]+, V([\d.]+)", text)
        if found is None:
            raise TargetError(f"{self.command} is not an nvcc that Lamina knows.\n  do: {HINT}")
        return found[1]

    @property
    def description(self) -> str:
        return f"nvcc {self.version} ({self.command})"

    def identity(self) -> dict[str, object]:
        return {"compiler": "nvcc", "version": self.version}

    def compile(self, source: str, architecture: str, flags: tuple[str, ...]) -> tuple[bytes, str]:
        with tempfile.TemporaryDirectory(prefix="lamina-") as folder:
            Path(folder, SOURCE_NAME).write_text(source, encoding="utf-8")
            command = [self.command, "--cubin", f"--gpu-architecture={architecture}", *flags, SOURCE_NAME, "-o", "kernel.cubin"]
            try:
                result = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
            except OSError as error:
                raise TargetError(f"{self.command} cannot be run: {error.strerror}\n  do: {HINT}") from error
            log = result.stdout + result.stderr
            if result.returncode != 0:
                raise BuildFailure(_reason(log, f"nvcc's exit code is {result.returncode}"), log)
            return Path(folder, "kernel.cubin").read_bytes(), log


def _reason(log: str, otherwise: str) -> str:
    """The first error of a log."""
    return next((line.strip() for line in log.splitlines() if "error" in line), otherwise)
