"""The kernels of an emitted CUDA program, ready to be launched on tensors.

In: a program's source. Out: `CudaKernels`, for `runtime.device_program`. Holds: on a GPU the cubin for its architecture is built,
or taken from the cache, at the first launch there; on the CPU kernels are emulated, where LAMINA_EMULATE=1 allows it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ...errors import TargetError
from ...schedule.program import Program
from . import driver
from .build import build
from .emulation import EmulatedKernels

_WARP = 32
VARIABLE = "LAMINA_EMULATE"


def emulating() -> bool:
    """Whether kernels may be emulated on the CPU."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def require_runnable(device: str) -> None:
    """Errors: TargetError where kernels cannot run on tensors of this device."""
    if device == "cuda" or (device == "cpu" and emulating()):
        return
    raise TargetError(
        f"target cuda: expected tensors on a GPU, found device {device}\n"
        f"  do: move them, e.g. x.cuda(); or set {VARIABLE}=1, to run the kernels on the CPU, thread by thread"
    )


def compiler_options(fused: bool) -> tuple[str, ...]:
    """What the compiler of a program is told besides what all are."""
    return () if fused else ("--fmad=false",)


def cubin(program: Program, label: str, architecture: str) -> Path:
    """The cubin of a program for an architecture. Errors: TargetError."""
    return build(program.source, name=label, architecture=architecture, options=compiler_options(program.fused))


class CudaKernels:
    """The kernels of one source. `names`: of all of them; `fused`: whether products and sums may be fused."""

    def __init__(self, source: str, names: Sequence[str], label: str, fused: bool = True) -> None:
        self.source, self.names, self.label, self.fused = source, tuple(names), label, fused
        self._loaded: dict[int, driver.Kernels] = {}
        self._emulated: EmulatedKernels | None = None

    def launcher(
        self, name: str, grid: tuple[int, ...], constants: Mapping[str, int], integers: Sequence[int], warps: int
    ) -> Callable[[Sequence[Tensor]], None]:
        threads = warps * _WARP
        fixed = struct.pack(f"{len(integers)}q", *integers)

        def words(tensors: Sequence[Tensor]) -> bytes:
            return struct.pack(f"{len(tensors)}q", *(tensor.data_ptr() for tensor in tensors)) + fixed

        def run(tensors: Sequence[Tensor]) -> None:
            device = tensors[0].device
            if device.type == "cuda":
                self.loaded(device.index).launch(name, grid, threads, 0, words(tensors))
            else:
                self.emulated().launch(name, grid, threads, words(tensors))

        return run

    def loaded(self, device: int) -> driver.Kernels:
        """The kernels on a GPU."""
        found = self._loaded.get(device)
        if found is None:
            architecture = driver.architecture_of(device)
            cubin = build(self.source, name=self.label, architecture=architecture, options=compiler_options(self.fused))
            found = self._loaded[device] = driver.Kernels(cubin, device)
        return found

    def emulated(self) -> EmulatedKernels:
        """The kernels on the CPU."""
        if self._emulated is None:
            self._emulated = EmulatedKernels(self.source, self.names, self.label, self.fused)
        return self._emulated
