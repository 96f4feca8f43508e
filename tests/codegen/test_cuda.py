"""CUDA kernels, emulated thread by thread on the CPU, against the interpreter: layers that use every kind of step and kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from cuda_harness import build_together, run
from kernel_cases import CASES
from kernel_harness import Prepared, check, prepare
from lamina.codegen.cuda.program import generate
from lamina.runtime.device_program import DeviceExecutable

# One or several of each kind of kernel; the other cases differ in values, which all targets write alike.
CHOSEN = (
    "functions: functions 0",
    "functions: functions of two",
    "reductions: each reduction over the last axis",
    "reductions: each reduction over the first axis",
    "reductions: reductions over axes apart",
    "reductions: any and all",
    "normalisations: batch norm",
    "normalisations: layer norm",
    "normalisations: rows and columns at once",
    "normalisations: softmax over axes apart",
    "split: rational",
    "contractions: linear",
    "contractions: batched, batch in the middle",
    "contractions: attention",
    "contractions: splines",
    "contractions: empty product",
    "reads: broadcast outs",
    "reads beyond the ends: reflect, strided backwards",
    "gathers: in two dimensions",
    "gathers: beyond the ends",
    "windows: padded, strided, dilated",
    "windows of each channel: padded",
    "scans: gated",
    "scans: normalised",
    "scans: within a scan",
    "transforms: spectral convolution",
    "shapes: empty batch",
    "shapes: empty norm",
    "shapes: rows longer than a chunk",
    "shapes: long columns",
    "shapes: rows of 33",
    "layouts: sliced",
    "layouts: one number",
    "complex: matrix product",
    "extrema: ties of a computed value in windows",
    "low precision: bf16 layer norm",
    "low precision: f16 rational",
)
CASES_A_UNIT = 8


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@cache
def built(unit: tuple[str, ...], dtypes: tuple[str, ...]) -> dict[str, tuple[list[Prepared], list[DeviceExecutable]]]:
    prepared = {name: prepare(CASES[name], [d for d in CASES[name].dtypes if d in dtypes], generate) for name in unit}
    executables = iter(build_together([each.program for name in unit for each in prepared[name]], "cases"))
    return {name: (prepared[name], [next(executables) for _ in prepared[name]]) for name in unit}


@pytest.mark.parametrize("name", CHOSEN)
def test_as_interpreted(name: str) -> None:
    start = CHOSEN.index(name) // CASES_A_UNIT * CASES_A_UNIT
    prepared, executables = built(CHOSEN[start : start + CASES_A_UNIT], ("f64", "bf16", "f16"))[name]
    check(CASES[name], prepared, executables, run=run, threads_tried=(1,))
