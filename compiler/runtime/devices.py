"""From a program for a device to what runs it.

In: a `Program` of target triton or cuda. Out: `DeviceExecutable`. Holds: what cannot run on a kind of device is refused before
anything is built; the package of a target is imported when it is first needed.
"""

from __future__ import annotations

from ..schedule.program import Program
from ..schedule.shapes import label
from .device_program import DeviceExecutable


def require_runnable(target: str, device: str) -> None:
    """Errors: TargetError where a target's kernels cannot run on tensors of a kind of device."""
    if target == "triton":
        from .triton_kernels import require_runnable as require
    else:
        from .cuda.kernels import require_runnable as require
    require(device)


def device_executable(program: Program) -> DeviceExecutable:
    """The executable of a program."""
    if program.target == "triton":
        from .triton_kernels import TritonKernels

        return DeviceExecutable(program, TritonKernels(program.source, label(program), program.fused))
    from .cuda.kernels import CudaKernels

    names = [launch.name for launch in program.launches if launch.kind == "kernel"]
    return DeviceExecutable(program, CudaKernels(program.source, names, label(program), program.fused))
