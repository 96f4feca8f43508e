"""Generated kernels against the interpreter: values, gradients and second gradients of layers that use every lowered feature."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from kernel_cases import CASES, GROUPS
from kernel_harness import Prepared, build_together, check, prepare
from lamina.runtime.program import NativeExecutable

CASES_A_UNIT = 8  # built together


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def _units() -> dict[str, tuple[str, ...]]:
    """The cases that are built together with each."""
    units: dict[str, tuple[str, ...]] = {}
    for group, cases in GROUPS.items():
        names = [f"{group}: {name}" for name in cases]
        for start in range(0, len(names), CASES_A_UNIT):
            unit = tuple(names[start : start + CASES_A_UNIT])
            units.update(dict.fromkeys(unit, unit))
    return units


UNITS = _units()


# The same kernels in another precision: in the ordinary run only where precision is what is tried.
IN_BOTH = ("shapes", "extrema")


@cache
def built(unit: tuple[str, ...], dtypes: tuple[str, ...]) -> dict[str, tuple[list[Prepared], list[NativeExecutable]]]:
    prepared = {name: prepare(CASES[name], [d for d in CASES[name].dtypes if d in dtypes]) for name in unit}
    executables = iter(build_together([each.program for name in unit for each in prepared[name]], "cases"))
    return {name: (prepared[name], [next(executables) for _ in prepared[name]]) for name in unit}


@pytest.mark.parametrize("name", CASES)
def test_as_interpreted(name: str) -> None:
    both = name.split(":")[0] in IN_BOTH
    prepared, executables = built(UNITS[name], ("f64", "f32", "bf16", "f16") if both else ("f64", "bf16", "f16"))[name]
    check(CASES[name], prepared, executables)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if "f32" in case.dtypes and name.split(":")[0] not in IN_BOTH]
)
def test_as_interpreted_in_single_precision(name: str) -> None:
    prepared, executables = built(UNITS[name], ("f32",))[name]
    check(CASES[name], prepared, executables)
