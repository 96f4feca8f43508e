"""The processor that kernels are built for.

In: the operating system's description of the processor. Out: `Processor`. Holds: two machines for which `-march=native` means
different instructions have different `digest`s; nothing is read before `processor()` is called, and it costs microseconds.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# The lines of /proc/cpuinfo that decide what -march=native resolves to, on x86 and on ARM. Left out on purpose: clock speed,
# microcode, mitigations and stepping, which change without changing the code that a compiler would emit.
_DECISIVE = (
    "vendor_id",
    "cpu family",
    "model",
    "cache size",
    "flags",
    "CPU implementer",
    "CPU architecture",
    "CPU variant",
    "CPU part",
    "Features",
)


@dataclass(frozen=True)
class Processor:
    """`architecture` as in `uname -m`; `features` are the kernel's flags, sorted; `vector_bits` is the widest vector's width."""

    architecture: str
    name: str
    features: tuple[str, ...]
    vector_bits: int
    digest: str

    @property
    def is_x86(self) -> bool:
        return self.architecture in ("x86_64", "AMD64", "i386", "i686")


@lru_cache(maxsize=1)
def processor() -> Processor:
    """This machine's processor."""
    return describe(platform.machine(), _first_processor_block())


def describe(architecture: str, description: str) -> Processor:
    """The processor that `description` (one block of /proc/cpuinfo, possibly empty) tells of."""
    lines: dict[str, str] = {}
    for line in description.splitlines():
        label, colon, value = line.partition(":")
        if colon:
            lines.setdefault(label.strip(), value.strip())
    features = tuple(sorted((lines.get("flags") or lines.get("Features") or "").split()))
    decisive = [architecture] + [f"{label}={lines[label]}" for label in _DECISIVE if label in lines]
    if not lines:  # Not Linux: the best that the standard library knows.
        decisive.append(platform.processor())
    digest = hashlib.sha256("\n".join(decisive).encode()).hexdigest()[:16]
    name = lines.get("model name") or platform.processor() or architecture
    return Processor(architecture, name, features, _vector_bits(architecture, features), digest)


def _first_processor_block() -> str:
    """The first processor's lines; the file is read up to there only, for it grows with the number of processors."""
    try:
        block: list[str] = []
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as cpuinfo:
            for line in cpuinfo:
                if not line.strip() and block:
                    break
                block.append(line)
        return "".join(block)
    except OSError:
        return ""


def _vector_bits(architecture: str, features: tuple[str, ...]) -> int:
    if "avx512f" in features:
        return 512
    if "avx" in features:
        return 256
    # SSE2 and NEON are part of the 64-bit base architectures.
    return 128 if architecture in ("x86_64", "AMD64", "aarch64", "arm64") else 64
