"""The scalar runtime of the C++ kernels: every function's error against the stated bound, special values, storage, streaming."""

from __future__ import annotations

import ctypes
import platform
import re
from collections.abc import Callable
from functools import cache

import mpmath
import numpy as np
import pytest
import scipy.special
import torch
from lamina.codegen.cpp.accuracy import ACCURACY
from runtime_library import BINARY, DEGREES, HEADERS, POWERS, ROOT, SPECIAL, STORED, UNARY, build, call, source, ulp_errors
from scipy.interpolate import BSpline

X86 = platform.machine() in ("x86_64", "AMD64")
EXTENDED = np.finfo(np.longdouble).nmant >= 63
ODD = ("expm1", "log1p", "sin", "tan", "tanh", "sinh", "asinh", "atanh", "atan", "asin", "erf", "sqrt", "floor", "round")
TORCH_DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16}
LIMITS = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, -2, 0.5, -0.5, 3, -3, 2.5, -2.5, 1e-40, -1e-40, 3e38, -3e38])


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("native"), ("f32", "f64"), "-march=native")[0]


@pytest.fixture(scope="session")
def portable(tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, str]:
    """Without fused multiply-add, on the oldest machine whose loops are meant to vectorise."""
    if not X86:
        pytest.skip("the build without fused multiply-add is made on x86-64 only")
    return build(tmp_path_factory.mktemp("portable"), ("f32",), "-march=x86-64-v2", "-fopt-info-vec-optimized")


def reference(name: str) -> Callable[..., np.ndarray]:
    """The function in numpy, in the dtype given (float64 for float32, extended for float64)."""
    one = {
        "rsqrt": lambda x: 1 / np.sqrt(x),
        "sign": lambda x: np.nan_to_num(np.sign(x), nan=0.0),
        "round": np.rint,
        "sigmoid": lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))),
        "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
        "erf": scipy.special.erf,
        "erfc": scipy.special.erfc,
        "min": np.minimum,
        "max": np.maximum,
        "pow": np.power,
        "atan2": np.arctan2,
    }
    renamed = {name: getattr(np, "arc" + name[1:]) for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")}
    return one.get(name) or renamed.get(name) or getattr(np, name)


@cache
def floats(count: int) -> np.ndarray:
    """Every bf16 value, random bit patterns of all floats, and values of common size."""
    random = np.random.default_rng(7)
    exact = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    patterns = random.integers(0, 1 << 32, count, dtype=np.uint32).view(np.float32)
    common = np.concatenate([random.uniform(-reach, reach, count // 8) for reach in (1, 2, 10, 100)]).astype(np.float32)
    return np.concatenate([exact, patterns, common, LIMITS.astype(np.float32)])


@cache
def float_reference(name: str, count: int) -> np.ndarray:
    with np.errstate(all="ignore"):
        return reference(name)(floats(count).astype(np.float64))


def worst(name: str, arguments: tuple[np.ndarray, ...], found: np.ndarray, wanted: np.ndarray, bound: float) -> None:
    errors = ulp_errors(found, wanted)
    at = int(np.argmax(errors))
    where = tuple(argument[at] for argument in arguments)
    assert errors[at] <= bound, f"{name}{where} is {found[at]!r}, not {wanted[at]!r}: {errors[at]:.3f} ulp, stated {bound}"


# ------------------------------------------------------------------------------------------------ accuracy


@pytest.mark.parametrize("name", UNARY)
def test_float32_error_keeps_the_stated_bound(native: ctypes.CDLL, name: str) -> None:
    x = floats(1_000_000)
    worst(name, (x,), call(native, f"{name}_f32", x), float_reference(name, 1_000_000), ACCURACY[name]["f32"])


@pytest.mark.parametrize("name", UNARY)
def test_float32_error_keeps_the_stated_bound_without_fused_multiply_add(portable: tuple[ctypes.CDLL, str], name: str) -> None:
    x = floats(100_000)
    worst(name, (x,), call(portable[0], f"{name}_f32", x), float_reference(name, 100_000), ACCURACY[name]["f32"])


@pytest.mark.parametrize("name", BINARY)
def test_float32_functions_of_two_arguments(native: ctypes.CDLL, name: str) -> None:
    random = np.random.default_rng(3)
    x = floats(200_000)
    first, second = np.meshgrid(LIMITS.astype(np.float32), LIMITS.astype(np.float32))
    small = random.uniform(-20, 20, x.size).astype(np.float32)
    a = np.concatenate([x, np.abs(x), small, small, first.ravel()])
    b = np.concatenate([random.permutation(x), small, random.permutation(small), np.round(small), second.ravel()])
    found = call(native, f"{name}_f32", a, b)
    with np.errstate(all="ignore"):
        wanted = reference(name)(a.astype(np.float64), b.astype(np.float64))
    worst(name, (a, b), found, wanted, ACCURACY[name]["f32"])
    if name in ("pow", "atan2"):
        assert np.array_equal(np.signbit(found)[~np.isnan(wanted)], np.signbit(wanted)[~np.isnan(wanted)])


@pytest.mark.parametrize("name", ODD)
def test_odd_functions_keep_the_sign_of_zero(native: ctypes.CDLL, name: str) -> None:
    for dtype, suffix in ((np.float32, "f32"), (np.float64, "f64")):
        zeros = np.array([0.0, -0.0], dtype)
        assert np.array_equal(np.signbit(call(native, f"{name}_{suffix}", zeros, result=dtype)), [False, True])


def test_sine_and_cosine_hold_over_all_floats(native: ctypes.CDLL) -> None:
    """Next to the largest multiples of pi/2, where a reduction in float64 has no digit left, against 60-digit arithmetic."""
    random = np.random.default_rng(5)
    x = np.ldexp(random.uniform(1, 2, 600), random.integers(20, 127, 600)).astype(np.float32)
    nearest = np.float32(16367173 * 2.0**72)  # among the floats closest to a multiple of pi/2
    x = np.concatenate([x, [nearest, -nearest, np.finfo(np.float32).max]]).astype(np.float32)
    with mpmath.workdps(60):
        for name in ("sin", "cos", "tan"):
            wanted = np.array([float(getattr(mpmath, name)(mpmath.mpf(float(value)))) for value in x])
            worst(name, (x,), call(native, f"{name}_f32", x), wanted, ACCURACY[name]["f32"])


def test_sine_never_leaves_one(native: ctypes.CDLL) -> None:
    x = floats(1_000_000)
    assert np.nanmax(np.abs(call(native, "sin_f32", x))) <= 1
    assert np.nanmax(np.abs(call(native, "cos_f32", x))) <= 1


DOMAINS = {
    **dict.fromkeys(("log", "log2", "sqrt", "rsqrt"), (0.0, 50.0)),
    **dict.fromkeys(("atanh", "asin", "acos"), (-1.0, 1.0)),
    "log1p": (-1.0, 20.0),
    "acosh": (1.0, 50.0),
    "erfc": (-5.0, 25.0),
}


@pytest.mark.parametrize("name", UNARY)
def test_float64_error_keeps_the_stated_bound(native: ctypes.CDLL, name: str) -> None:
    if not EXTENDED:
        pytest.skip("no extended precision to compare float64 with on this machine")
    error_function = name in ("erf", "erfc")
    x = np.random.default_rng(11).uniform(*DOMAINS.get(name, (-30.0, 30.0)), 1500 if error_function else 100_000)
    if error_function:
        with mpmath.workdps(40):
            wanted = np.array([np.longdouble(mpmath.nstr(getattr(mpmath, name)(mpmath.mpf(value)), 25)) for value in x])
    else:
        wanted = reference(name)(x.astype(np.longdouble))
    worst(name, (x,), call(native, f"{name}_f64", x, result=np.float64), wanted, ACCURACY[name]["f64"])


@pytest.mark.parametrize("name", BINARY)
def test_float64_functions_of_two_arguments(native: ctypes.CDLL, name: str) -> None:
    if not EXTENDED:
        pytest.skip("no extended precision to compare float64 with on this machine")
    random = np.random.default_rng(13)
    a, b = random.uniform(0 if name == "pow" else -30, 30, 100_000), random.uniform(-30, 30, 100_000)
    wanted = reference(name)(a.astype(np.longdouble), b.astype(np.longdouble))
    worst(name, (a, b), call(native, f"{name}_f64", a, b, result=np.float64), wanted, ACCURACY[name]["f64"])


# ------------------------------------------------------------------------------------------------ lgamma and its derivatives


def gamma_reference(name: str, x: np.ndarray) -> np.ndarray:
    functions = {
        "lgamma": lambda v: mpmath.log(abs(mpmath.gamma(v))),
        "digamma": mpmath.digamma,
        "trigamma": lambda v: mpmath.polygamma(1, v),
    }
    function = functions.get(name) or (lambda v: mpmath.polygamma(int(name.removeprefix("polygamma")), v))
    with mpmath.workdps(40):
        return np.array([float(function(mpmath.mpf(float(value)))) for value in x])


@pytest.mark.parametrize("name", [*SPECIAL, "polygamma2", "polygamma5"])
def test_lgamma_and_its_derivatives(native: ctypes.CDLL, name: str) -> None:
    random = np.random.default_rng(17)
    positive = np.concatenate([random.uniform(0, 3, 150), random.uniform(0, 20, 100), 10 ** random.uniform(-8, 8, 50), [1.4616321]])
    negative = -random.uniform(0, 12, 150)
    function = re.sub(r"\d", "", name)
    order = {"extra": int(name[-1])} if function == "polygamma" else {}
    for x in (positive, negative):
        single = x.astype(np.float32)
        wanted = gamma_reference(name, single)
        worst(name, (single,), call(native, f"{function}_f32", single, **order), wanted, ACCURACY[function]["f32"])
        wanted = gamma_reference(name, x)
        found = call(native, f"{function}_f64", x, result=np.float64, **order)
        if x is positive:
            worst(name, (x,), found, wanted, ACCURACY[function]["f64"])
        else:  # relative to the larger of the two sums the value is the difference of
            scale = np.abs(wanted) + (gamma_reference("polygamma3", x) if order else 2.0) * (1 if name != "polygamma5" else 100)
            assert np.all(np.abs(found - wanted) <= 16 * np.spacing(scale))


def test_poles_of_lgamma_and_its_derivatives(native: ctypes.CDLL) -> None:
    x = np.array([0.0, -0.0, -1.0, -2.0, np.inf, np.nan])
    assert np.array_equal(
        call(native, "digamma_f64", x, result=np.float64), [-np.inf, np.inf, np.nan, np.nan, np.inf, np.nan], equal_nan=True
    )
    assert np.array_equal(call(native, "trigamma_f64", x, result=np.float64), [np.inf] * 4 + [0, np.nan], equal_nan=True)
    assert np.array_equal(call(native, "lgamma_f64", x, result=np.float64), [np.inf] * 5 + [np.nan], equal_nan=True)


# ------------------------------------------------------------------------------------------------ powers and B-splines


@pytest.mark.parametrize("power", POWERS)
def test_constant_integer_powers_are_products(native: ctypes.CDLL, power: int) -> None:
    x = np.concatenate([np.random.default_rng(19).uniform(-3, 3, 1000), LIMITS]).astype(np.float32)
    found = call(native, f"constant_power{power}_f32".replace("-", "m"), x)
    with np.errstate(all="ignore"):
        if power == 0:
            assert np.all(found == 1)  # NaN^0 included
            return
        exact = {-1: lambda: np.float32(1) / x, 1: lambda: x, 2: lambda: x * x, 3: lambda: x * x * x}
        if power in exact:
            assert np.array_equal(found, exact[power](), equal_nan=True)
        errors = ulp_errors(found, x.astype(np.float64) ** power)
    assert np.all(errors[np.abs(x) > 1e-9] <= abs(power))


@pytest.mark.parametrize("power", [0, 1, 2, 3, -1, -2, 11, 100, (1 << 24) + 1, -(1 << 40) - 1])
def test_powers_of_an_integer_known_at_run_time(native: ctypes.CDLL, power: int) -> None:
    x = np.concatenate([np.random.default_rng(23).uniform(-3, 3, 2000), LIMITS, [1 + 2.0**-23, -1 - 2.0**-23]]).astype(np.float32)
    with np.errstate(all="ignore"):
        wanted = x.astype(np.float64) ** power
    worst(f"powi {power}", (x,), call(native, "powi_f32", x, extra=power), wanted, ACCURACY["powi"]["f32"])
    doubles = x.astype(np.float64)
    with np.errstate(all="ignore"):
        wide = doubles.astype(np.longdouble) ** power
    if abs(power) <= 100 and EXTENDED:
        found = call(native, "powi_f64", doubles, result=np.float64, extra=power)
        worst(f"powi {power}", (doubles,), found, wide, ACCURACY["powi"]["f64"])
    small = np.array([9.0, -3, 0.5, 7], np.float32)
    if 0 <= power <= 3:
        assert np.array_equal(call(native, "powi_f32", small, extra=power), small**power)


@pytest.mark.parametrize("degree", DEGREES)
def test_cardinal_b_spline(native: ctypes.CDLL, degree: int) -> None:
    random = np.random.default_rng(29)
    edges = np.arange(-1, degree + 3)
    spline = BSpline.basis_element(np.arange(degree + 2.0), extrapolate=False)
    for dtype, suffix, unit in ((np.float32, "f32", 2.0**-24), (np.float64, "f64", 2.0**-53)):
        x = np.concatenate([random.uniform(-1, degree + 2, 20_000), edges, np.nextafter(dtype(degree + 1), dtype(0))[None]]).astype(
            dtype
        )
        found = call(native, f"bspline{degree}_{suffix}", x, result=dtype)
        inside = (x >= 0) & (x < degree + 1)
        wanted = np.where(inside, np.nan_to_num(spline(x.astype(np.float64))), 0)
        assert np.all(np.abs(found - wanted) <= 8 * unit)
        assert np.all(found[~inside] == 0)
        assert np.all(found >= 0)
        if dtype is np.float32:  # far below the largest value too: nothing cancels
            clear = wanted > 1e-12
            worst(f"bspline {degree}", (x[clear],), found[clear], wanted[clear], ACCURACY["bspline"]["f32"])
        limits = call(native, f"bspline{degree}_{suffix}", np.array([np.inf, -np.inf, np.nan], dtype), result=dtype)
        assert np.array_equal(limits, [0, 0, np.nan], equal_nan=True)


# ------------------------------------------------------------------------------------------------ small functions


@pytest.mark.parametrize(("dtype", "suffix"), [(np.float32, "f32"), (np.float64, "f64")])
def test_minimum_maximum_clamp_sign_and_round_follow_torch(native: ctypes.CDLL, dtype: type, suffix: str) -> None:
    a, b = (grid.ravel().astype(dtype) for grid in np.meshgrid(LIMITS, LIMITS))
    c = np.roll(b, 5)
    ta, tb, tc = (torch.from_numpy(array) for array in (a, b, c))

    def same(name: str, wanted: torch.Tensor, *operands: np.ndarray) -> None:
        found = call(native, f"{name}_{suffix}", *operands, result=dtype)
        assert np.array_equal(found, wanted.numpy(), equal_nan=True), name

    same("min", torch.minimum(ta, tb), a, b)
    same("max", torch.maximum(ta, tb), a, b)
    same("clamp", torch.clamp(ta, tb, tc), a, b, c)
    same("sign", torch.sign(ta), a)
    same("round", torch.round(ta), a)
    same("abs", torch.abs(ta), a)


def test_integers(native: ctypes.CDLL) -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(-9, 10), np.array([-4, -3, -1, 1, 2, 5])))
    assert np.array_equal(call(native, "floor_divide", a, b, result=np.int64), a // b)
    assert np.array_equal(call(native, "integer_power", a, result=np.int64, extra=7), a**7)


# ------------------------------------------------------------------------------------------------ storage


@pytest.mark.parametrize("name", STORED)
def test_halves_load_and_store_as_in_torch(native: ctypes.CDLL, name: str) -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    wanted = torch.from_numpy(codes.view(np.int16)).view(TORCH_DTYPES[name]).float().numpy()
    loaded = call(native, f"load_{name}", codes)
    assert np.array_equal(loaded, wanted, equal_nan=True)
    assert np.array_equal(np.signbit(loaded), codes >> 15)
    stored = call(native, f"store_{name}", loaded, result=np.uint16)
    number = ~np.isnan(wanted)
    assert np.array_equal(stored[number], codes[number])
    assert np.all(np.isnan(call(native, f"load_{name}", stored)) == ~number)

    with np.errstate(invalid="ignore"):
        middle = (loaded[:-1].astype(np.float64) + loaded[1:]) / 2  # ties
    reach = np.random.default_rng(31).uniform(-1, 1, 200_000) * 10.0 ** np.random.default_rng(37).uniform(-9, 5, 200_000)
    with np.errstate(all="ignore"):
        x = np.concatenate([middle.astype(np.float32), reach.astype(np.float32), floats(1_000_000)])
    wanted = torch.from_numpy(x).to(TORCH_DTYPES[name]).view(torch.int16).numpy().view(np.uint16)
    stored = call(native, f"store_{name}", x, result=np.uint16)
    number = ~np.isnan(x)
    assert np.array_equal(stored[number], wanted[number])
    assert np.all(np.isnan(call(native, f"load_{name}", stored[~number])))


def test_conversions(native: ctypes.CDLL) -> None:
    x = np.array([0.0, -0.0, 0.25, -2.75, 3.99, np.nan, np.inf], np.float32)
    assert np.array_equal(call(native, "to_bool", x, result=np.bool_), [False, False, True, True, True, True, True])
    assert np.array_equal(call(native, "to_int", x[:5], result=np.int64), [0, 0, 0, -2, 3])
    whole = np.array([0, 1, -3, 257, 1 << 40])
    wanted = torch.from_numpy(whole).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    assert np.array_equal(call(native, "from_int", whole, result=np.uint16), wanted)


@pytest.mark.parametrize(("suffix", "dtype"), [("f32", np.float32), ("f64", np.float64), ("bf16", np.uint16)])
def test_streaming_copy_writes_its_range_and_nothing_else(native: ctypes.CDLL, suffix: str, dtype: type) -> None:
    data = np.random.default_rng(41).integers(0, 60_000, 400).astype(dtype)
    for count in (0, 1, 15, 16, 17, 63, 64, 65, 300):
        for offset in (0, 1, 7, 16, 33):
            out = np.zeros(400, dtype)
            source_address, out_address = data[3:].ctypes.data, out[offset:].ctypes.data
            getattr(native, f"stream_{suffix}")(
                ctypes.c_void_p(source_address), ctypes.c_void_p(out_address), ctypes.c_int64(count)
            )
            wanted = np.zeros(400, dtype)
            wanted[offset : offset + count] = data[3 : 3 + count]
            assert np.array_equal(out, wanted), (count, offset)


# ------------------------------------------------------------------------------------------------ the code itself


def test_every_float32_function_vectorises(portable: tuple[ctypes.CDLL, str]) -> None:
    """One loop, one report of the compiler; what calls the C library, fills or copies is left out."""
    lines = source("f32").splitlines()
    vectorised = {int(line) for line in re.findall(r"runtime\.cpp:(\d+):\d+: optimized: loop vectorized", portable[1])}
    names = [match and match[1] for match in (re.search(r"// (\w+)$", line) for line in lines)]
    left = {f"{name}_f32" for name in (*SPECIAL, "polygamma", "constant_power0", "constant_power1")}
    wanted = {n for n in names if n and n not in left and (n.endswith("_f32") or n.startswith(("load_", "store_")))}
    got = {names[line - 1] for line in vectorised}
    assert wanted - got == set()


def test_headers_include_nothing_heavy() -> None:
    """<cmath> takes as long to read as a small kernel takes to compile."""
    for header in HEADERS.glob("*.hpp"):
        for included in re.findall(r"#include [<\"](.*)[>\"]", header.read_text()):
            assert included == "stdint.h" or (HEADERS / included).exists(), (header.name, included)


def test_documented_bounds_are_the_stated_ones() -> None:
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \|.*\| ([\d.]+) \|$", (ROOT / "docs" / "accuracy.md").read_text(), re.MULTILINE)
    assert {name: {"f32": float(single), "f64": float(double)} for name, single, double in rows} == {
        name: dict(bounds) for name, bounds in ACCURACY.items()
    }
