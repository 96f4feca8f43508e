"""The C library that the tests of the scalar runtime call: its source, its build, and how to call and compare."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from lamina.codegen.cpp.accuracy import ACCURACY

ROOT = Path(__file__).resolve().parents[2]
HEADERS = ROOT / "templates" / "cpp"
FLAGS = [
    *(
        "-std=c++17",
        "-O3",
        "-fopenmp",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-ffp-contract=fast",
        "-fno-semantic-interposition",
    ),
    *("-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"),
]

BINARY = ("min", "max", "pow", "atan2", "hypot")
SPECIAL = ("lgamma", "digamma", "trigamma")
UNARY = tuple(name for name in ACCURACY if name not in (*BINARY, *SPECIAL, "clamp", "select", "powi", "polygamma", "bspline"))
POWERS = (-3, -1, 0, 1, 2, 3, 7)
DEGREES = (0, 1, 2, 3, 4, 5)
STORED = ("bf16", "f16")


# Compositions in which a compiler is tempted to make branches of the selections, and then does not vectorise.
COMPOSED = {
    "gelu": "a[i] * 0.5f * (1.0f + erf(a[i] * 0.70710678f))",
    "mish": "a[i] * tanh(softplus(a[i]))",
    "branches": "select(a[i] < 0.0f, select(b[i] < 0.0f, exp(a[i]), log(b[i])), min(a[i], b[i]))",
    "nested": "min(max(min(a[i], b[i]), -b[i]), max(a[i], 2.0f)) + clamp(b[i], 0.0f, 1.0f)",
    "log_sum": "max(a[i], b[i]) + log1p(exp(-abs(a[i] - b[i])))",
    "damped": "sin(3.0f * a[i]) * exp(-a[i] * a[i]) + pow(abs(a[i]), 1.5f)",
    "spline": "bspline<2>(a[i]) - bspline<2>(a[i] - 1.0f) + bspline<0>(b[i])",
    "roots": "sqrt(max(a[i], 0.0f)) * rsqrt(max(b[i], 1e-6f))",
}


def source(*suffixes: str) -> str:
    """One C function a runtime function and dtype ("f32", "f64"), each a plain loop as a kernel would write it."""
    lines = ['#include "math.hpp"', "using namespace lamina;"]

    def loop(name: str, target: str, operands: list[str], value: str, extra: str = "") -> None:
        parameters = "".join(f"const {dtype}* __restrict {operand}, " for operand, dtype in zip("abc", operands, strict=False))
        lines.append(f'extern "C" void {name}({parameters}{target}* __restrict out, int64_t n{extra}) {{')
        lines.append("#pragma omp simd")
        lines.append(f"    for (int64_t i = 0; i < n; ++i) out[i] = {value};  // {name}")
        lines.append("}")

    for suffix in suffixes:
        dtype = {"f32": "float", "f64": "double"}[suffix]
        for name in (*UNARY, *SPECIAL):
            loop(f"{name}_{suffix}", dtype, [dtype], f"lamina::{name}(a[i])")
        for name in BINARY:
            loop(f"{name}_{suffix}", dtype, [dtype] * 2, f"lamina::{name}(a[i], b[i])")
        loop(f"clamp_{suffix}", dtype, [dtype] * 3, "lamina::clamp(a[i], b[i], c[i])")
        loop(f"powi_{suffix}", dtype, [dtype], "lamina::powi(a[i], power)", ", int64_t power")
        loop(f"polygamma_{suffix}", dtype, [dtype], "lamina::polygamma(int(order), a[i])", ", int64_t order")
        for degree in DEGREES:
            loop(f"bspline{degree}_{suffix}", dtype, [dtype], f"lamina::bspline<{degree}>(a[i])")
        for power in POWERS:
            loop(f"constant_power{power}_{suffix}".replace("-", "m"), dtype, [dtype], f"lamina::powi<{power}>(a[i])")
    for name, value in COMPOSED.items():
        loop(f"{name}_f32", "float", ["float"] * (2 if "b[i]" in value else 1), value)
    for name in STORED:
        loop(f"load_{name}", "float", [name], "lamina::convert<float>(a[i])")
        loop(f"store_{name}", name, ["float"], f"lamina::convert<{name}>(a[i])")
    loop("to_bool", "bool", ["float"], "lamina::convert<bool>(a[i])")
    loop("to_int", "int64_t", ["float"], "lamina::convert<int64_t>(a[i])")
    loop("from_int", "bf16", ["int64_t"], "lamina::convert<bf16>(a[i])")
    loop("floor_divide", "int64_t", ["int64_t"] * 2, "lamina::floor_divide(a[i], b[i])")
    loop("integer_power", "int64_t", ["int64_t"], "lamina::powi(a[i], power)", ", int64_t power")
    for suffix, dtype in (("f32", "float"), ("f64", "double"), ("bf16", "bf16")):
        lines.append(f'extern "C" void stream_{suffix}(const {dtype}* a, {dtype}* out, int64_t n)')
        lines.append("{ stream_copy(out, a, n); stream_fence(); }")
    return "\n".join(lines) + "\n"


def build(folder: Path, suffixes: tuple[str, ...], *machine: str) -> tuple[ctypes.CDLL, str]:
    """The library, and what the compiler says of the loops it vectorised."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ on this machine")
    text = folder / "runtime.cpp"
    text.write_text(source(*suffixes))
    command = [compiler, *FLAGS, *machine, f"-I{HEADERS}", str(text), "-o", str(folder / "runtime.so")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "runtime.so")), done.stderr


def call(library: ctypes.CDLL, name: str, *operands: np.ndarray, result: type = np.float32, extra: int | None = None) -> np.ndarray:
    arrays = [np.ascontiguousarray(operand) for operand in operands]
    out = np.empty(arrays[0].shape, result)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, out)]
    numbers = [ctypes.c_int64(out.size)] + ([] if extra is None else [ctypes.c_int64(extra)])
    getattr(library, name)(*pointers, *numbers)
    return out


def ulp_errors(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """|found - reference| in units in the last place of the reference as rounded to found's dtype; inf where one is NaN alone, or
    infinite where the reference does not round to infinity."""
    kind = np.finfo(found.dtype)
    with np.errstate(all="ignore"):
        rounded = reference.astype(found.dtype)
        exponents = np.maximum(np.frexp(np.abs(reference))[1] - kind.nmant - 1, kind.minexp - kind.nmant)
        errors = np.abs(found.astype(reference.dtype) - reference) / np.ldexp(reference.dtype.type(1), exponents)
        settled = ~np.isfinite(rounded) | ~np.isfinite(found)
        same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    # one ulp below the largest number counts as one ulp, not as infinitely far from an infinite rounding
    edge = settled & ~same & (np.abs(found) == kind.max) & np.isinf(rounded)
    return np.where(settled & ~edge, np.where(same, 0.0, np.inf), errors).astype(float)
