"""Emitted Triton sources as kernels that can be launched.

In: a program's source. Out: `TritonKernels`. Holds: the source lies in the artefact cache as a file, which Triton reads it from;
Triton itself is imported at the first use; on the CPU kernels are interpreted, where TRITON_INTERPRET=1 was set before that.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
from torch import Tensor

from ..errors import TargetError
from . import cache

SOURCE_NAME = "kernel.py"


@lru_cache(maxsize=1)
def triton_module() -> Any:
    """Triton. Errors: TargetError where it is not installed."""
    try:
        import triton
    except ImportError as missing:
        raise TargetError("target triton: the package triton is not installed\n  do: pip install 'lamina[triton]'") from missing
    return triton


def interpreting() -> bool:
    """Whether kernels are interpreted on the CPU."""
    return bool(triton_module().knobs.runtime.interpret)


def require_runnable(device: str) -> None:
    """Errors: TargetError where kernels cannot run on tensors of this device."""
    if interpreting() and device != "cpu":
        raise TargetError(f"target triton: expected tensors on the CPU while TRITON_INTERPRET is set, found device {device}")
    if not interpreting() and device != "cuda":
        raise TargetError(
            f"target triton: expected tensors on a GPU, found device {device}\n"
            "  do: move them, e.g. x.cuda(); or set TRITON_INTERPRET=1 before the process starts, to interpret kernels on the CPU"
        )


def _kept(folder: Path) -> str:
    return "nothing to build: Triton reads the source"


def source_file(source: str, name: str) -> Path:
    """The file that holds a source in the artefact cache."""
    return cache.obtain(cache.Recipe(name, source, SOURCE_NAME, SOURCE_NAME, {"target": "triton"}), _kept)


@lru_cache(maxsize=1024)
def load(source: str, name: str) -> ModuleType:
    """The module of a source."""
    triton_module()
    path = source_file(source, name)
    spec = importlib.util.spec_from_file_location(f"lamina_kernels_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TritonKernels:
    """The kernels of one source. `fused`: whether products and sums may be fused."""

    def __init__(self, source: str, name: str, fused: bool) -> None:
        self.module = load(source, name)
        self.fused = fused

    def launcher(
        self, name: str, grid: tuple[int, ...], constants: Mapping[str, int], integers: Sequence[int], warps: int
    ) -> Callable[[Sequence[Tensor]], None]:
        kernel = getattr(self.module, name)[grid]
        options = {**constants, "num_warps": warps, "enable_fp_fusion": self.fused}

        def run(tensors: Sequence[Tensor]) -> None:
            kernel(*tensors, *integers, **options)

        def interpreted(tensors: Sequence[Tensor]) -> None:
            with numpy.errstate(all="ignore"):  # infinities are as on a device
                kernel(*tensors, *integers, **options)

        return interpreted if interpreting() else run
