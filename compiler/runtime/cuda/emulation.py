"""Emitted CUDA programs on a processor, without a device.

In: a program's text and the names of its kernels. Out: `EmulatedKernels`, which run a kernel's blocks and threads one after another
on memory of the host. Holds: the same text is compiled as for a device, behind `templates/cuda/emulation.hpp`; a barrier that some
threads of a block never reach ends the launch with an error. For tests and for looking at results where there is no device: slow.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from importlib import resources

from ...errors import TargetError
from .. import native

_BARRIERS = re.compile(r"\b__sync|\b__shfl_")
_NOT_FUSED = """#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif
"""
_FAILURES = {1: "threads of a block wait for others that never come", 2: "there is no memory for the threads' stacks"}


class EmulatedKernels:
    """The kernels of one program."""

    def __init__(self, source: str, names: Sequence[str], label: str, fused: bool = True) -> None:
        self.library = native.library(emulated_source(source, names, fused), f"{label} emulated")
        self._functions = {name: getattr(self.library, f"emulated_{name}") for name in dict.fromkeys(names)}
        for function in self._functions.values():
            function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p)
            function.restype = ctypes.c_int

    def launch(self, name: str, grid: Sequence[int], block: int, words: bytes) -> None:
        """Runs a kernel to its end; `words`: its arguments, eight bytes each. Errors: TargetError where threads wait in vain."""
        sizes = (ctypes.c_int64 * 3)(*(*grid, 1, 1, 1)[:3])
        status = self._functions[name](ctypes.addressof(sizes), block, words)
        if status:
            raise TargetError(f"the emulation of kernel {name} fails: {_FAILURES[status]}")


def emulated_source(source: str, names: Sequence[str], fused: bool = True) -> str:
    """The program behind the emulation's header, and an entry point for each kernel. `fused`: see `Program`."""
    header = resources.files("lamina.templates.cuda").joinpath("emulation.hpp").read_text(encoding="utf-8")
    entries = []
    for name in dict.fromkeys(names):
        barriers = "true" if _BARRIERS.search(_kernel_text(source, name)) else "false"
        entries.append(
            f'extern "C" __attribute__((visibility("default"))) int emulated_{name}(\n'
            "    const int64_t* grid, int64_t threads, const int64_t* words) {\n"
            f"    return lamina::emulate(lamina::unpacked<{name}>::run, grid, threads, words, {barriers});\n}}\n"
        )
    return "\n".join([*([] if fused else [_NOT_FUSED]), header.replace("#pragma once\n", ""), source, *entries])


def _kernel_text(source: str, name: str) -> str:
    """A kernel's own text. Functions of the runtime that have barriers say so by their names (`block_`, `warp_`, `group_`)."""
    start = re.search(rf"\bvoid\b[^;{{]*?\b{name}\(", source)
    if start is None:
        raise TargetError(f"the program has no kernel {name}")
    end = source.find("\n}\n", start.start())
    return re.sub(r"\b(?:block|warp|group)_\w+[<(]", "__sync ", source[start.start() : end])
