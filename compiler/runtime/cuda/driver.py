"""Launches through the CUDA driver.

In: cubins and packed arguments. Out: `Kernels`, launched on torch's current stream of a device. Holds: the driver library is opened
when first needed; modules are loaded into the primary context that torch uses, one for each device; nothing waits for the device.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ...errors import TargetError

_STATIC_SHARED = 48 * 1024  # bytes of shared memory that need no permission
_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_BUFFER_POINTER, _BUFFER_SIZE, _END = 1, 2, 0  # CU_LAUNCH_PARAM_*


@lru_cache(maxsize=1)
def driver() -> Any:
    """libcuda. Errors: TargetError where there is none."""
    for name in ("libcuda.so.1", "libcuda.so", "nvcuda.dll"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise TargetError("the CUDA driver (libcuda.so.1) was not found.\n  do: install NVIDIA's driver, or compile with target='cpp'")


def architecture_of(device: int) -> str:
    """The architecture of a device: sm_90."""
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"


class Kernels:
    """The kernels of one cubin on one device."""

    def __init__(self, cubin: Path, device: int) -> None:
        self.library = driver()
        self.device = device
        self._functions: dict[tuple[str, int], ctypes.c_void_p] = {}
        self._image = cubin.read_bytes()
        self._module = ctypes.c_void_p()
        with torch.cuda.device(device):
            torch.cuda.current_stream(device)  # makes the primary context current
            self._require(self.library.cuModuleLoadData(ctypes.byref(self._module), self._image), "loading a cubin")

    def function(self, name: str, shared: int) -> ctypes.c_void_p:
        """A kernel that may use `shared` bytes of dynamic shared memory."""
        found = self._functions.get((name, shared))
        if found is None:
            found = ctypes.c_void_p()
            self._require(self.library.cuModuleGetFunction(ctypes.byref(found), self._module, name.encode()), f"finding {name}")
            if shared > _STATIC_SHARED:
                self._require(
                    self.library.cuFuncSetAttribute(found, _MAX_DYNAMIC_SHARED, shared),
                    f"{shared} bytes of shared memory for {name}",
                )
            self._functions[name, shared] = found
        return found

    def launch(self, name: str, grid: Sequence[int], block: int, shared: int, words: bytes) -> None:
        """Queues a kernel on the current stream; `words`: its arguments, eight bytes each. The device is current."""
        size = ctypes.c_size_t(len(words))
        extra = (ctypes.c_void_p * 5)(
            _BUFFER_POINTER, ctypes.cast(ctypes.c_char_p(words), ctypes.c_void_p), _BUFFER_SIZE, ctypes.addressof(size), _END
        )
        stream = ctypes.c_void_p(torch.cuda.current_stream(self.device).cuda_stream)
        function = self.function(name, shared)
        status = self.library.cuLaunchKernel(function, *_three(grid), block, 1, 1, shared, stream, None, extra)
        if status:
            self._require(status, f"launching {name}")

    def _require(self, status: int, what: str) -> None:
        if status != 0:
            text = ctypes.c_char_p()
            self.library.cuGetErrorString(status, ctypes.byref(text))
            said = text.value.decode() if text.value else str(status)
            raise TargetError(f"the CUDA driver fails at {what} on cuda:{self.device}: {said}")


def _three(grid: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*grid, 1, 1, 1)[:3]
    return x, y, z
