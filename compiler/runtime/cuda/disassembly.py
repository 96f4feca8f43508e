"""What a cubin needs of a device and what it does there: registers, shared memory, spills, instructions by pipe.

In: the path of a cubin, from whichever compiler. Out: `Resources`, one record a kernel, counted in the disassembly (cuobjdump,
which NVIDIA's packages and Triton's bring, and the CUDA toolkit). Holds: counts are of instructions in the text, not of how often
they run.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...errors import TargetError

_PACKAGES = (("nvidia", "*/bin"), ("triton", "backends/nvidia/bin"))
_HINT = "pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm, or put the CUDA toolkit's cuobjdump on the PATH"
# The pipe of an instruction, by how its name begins; the first that fits counts.
_PIPES = (
    ("tensor", ("HMMA", "IMMA", "DMMA", "HGMMA", "QGMMA", "BGMMA", "UTCHMMA", "UTCQMMA")),
    ("mufu", ("MUFU",)),
    ("f64", ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX")),
    ("fma", ("FADD", "FMUL", "FFMA", "FMNMX", "FSETP", "FSEL", "FSET", "FCHK", "FSWZADD", "FADD2", "FMUL2", "FFMA2")),
    ("half", ("HADD2", "HMUL2", "HFMA2", "HMNMX2", "HSETP2")),
    ("conversion", ("F2F", "F2I", "I2F", "F2FP", "FRND", "I2FP")),
    ("local", ("LDL", "STL")),
    ("global", ("LDG", "STG", "LD.", "ST.", "LDGSTS", "RED", "ATOM")),
    ("shared", ("LDS", "STS", "LDSM", "ATOMS")),
    ("constant", ("LDC", "ULDC", "LDCU")),
    ("barrier", ("BAR", "WARPSYNC", "SHFL", "MEMBAR")),
    ("branch", ("BRA", "BSSY", "BSYNC", "EXIT", "CALL", "RET", "BREAK", "YIELD")),
    ("integer", ("I", "U", "L", "S", "P", "V", "R", "M")),
)
_BYTES = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}


@dataclass(frozen=True)
class Resources:
    """Of one kernel. `registers` a thread; `shared` bytes a block, fixed when compiled; `stack`: bytes of local memory a thread,
    `local` the instructions that move them (spills, and arrays indexed at run time); `loads`, `stores`: bytes an instruction of
    global memory -> how many such; `pipes`: instructions by the pipe that runs them.
    """

    kernel: str
    registers: int
    shared: int
    stack: int
    local: int
    loads: Mapping[int, int]
    stores: Mapping[int, int]
    pipes: Mapping[str, int]


@lru_cache(maxsize=1)
def cuobjdump() -> str:
    """The path of cuobjdump. Errors: TargetError, saying what to install."""
    for package, place in _PACKAGES:
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or ()) if found is not None else ():
            for path in sorted(Path(folder).glob(f"{place}/cuobjdump")):
                return str(path)
    named = shutil.which("cuobjdump")
    if named is None:
        raise TargetError(f"cuobjdump was not found, which reads cubins.\n  do: {_HINT}")
    return named


def disassembly(cubin: Path) -> str:
    """The instructions of a cubin. Errors: TargetError."""
    return _run("--dump-sass", cubin)


def resources(cubin: Path) -> tuple[Resources, ...]:
    """The resources of every kernel of a cubin, in the order of their names. Errors: TargetError."""
    return read_resources(_run("--dump-resource-usage", cubin), disassembly(cubin))


def read_resources(usage: str, text: str) -> tuple[Resources, ...]:
    """The records, from what cuobjdump prints."""
    instructions: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        begun = re.match(r"\s*Function : (\S+)", line)
        if begun:
            current = instructions.setdefault(begun[1], [])
        found = re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", line)
        if found:
            current.append(found[1])
    usages = re.findall(r"Function (\S+):\s*\n?\s*REG:(\d+) STACK:(\d+) SHARED:(\d+)", usage)
    return tuple(
        _counted(name, int(registers), int(shared), int(stack), instructions.get(name, []))
        for name, registers, stack, shared in sorted(usages)
    )


def spilled(log: str) -> dict[str, int]:
    """Bytes that each kernel spills, stores and loads together, from the log of ptxas."""
    found: dict[str, int] = {}
    for name, stores, loads in re.findall(
        r"Function properties for (\w+)\n.*?(\d+) bytes spill stores, (\d+) bytes spill loads", log
    ):
        found[name] = int(stores) + int(loads)
    return found


def _counted(name: str, registers: int, shared: int, stack: int, instructions: list[str]) -> Resources:
    pipes: dict[str, int] = {}
    loads: dict[int, int] = {}
    stores: dict[int, int] = {}
    for instruction in instructions:
        if instruction.startswith("NOP"):
            continue
        pipe = next((pipe for pipe, starts in _PIPES if instruction.startswith(starts)), "other")
        pipes[pipe] = pipes.get(pipe, 0) + 1
        if pipe == "global":
            counts = loads if instruction.startswith("LD") else stores
            size = next((_BYTES[part] for part in instruction.split(".") if part in _BYTES), 4)
            counts[size] = counts.get(size, 0) + 1
    return Resources(
        name, registers, shared, stack, pipes.get("local", 0), dict(sorted(loads.items())), dict(sorted(stores.items())), pipes
    )


def _run(option: str, cubin: Path) -> str:
    tool = cuobjdump()
    # it runs nvdisasm, which lies beside it
    environment = {**os.environ, "PATH": os.pathsep.join((os.path.dirname(tool), os.environ.get("PATH", "")))}
    try:
        result = subprocess.run([tool, option, str(cubin)], capture_output=True, text=True, check=False, env=environment)
    except OSError as error:
        raise TargetError(f"{tool} cannot be run: {error.strerror}\n  do: {_HINT}") from error
    if result.returncode != 0:
        raise TargetError(f"{tool} refuses {cubin}: {(result.stderr or result.stdout).strip()}\n  do: {_HINT}")
    return result.stdout
