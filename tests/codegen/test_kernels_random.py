"""Random layers: values, gradients and second gradients of generated kernels against the interpreter.

LAMINA_TEST_EXAMPLES=1000 draws that many layers, and with LAMINA_TEST_SEED=n others than the ordinary run's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from kernel_harness import Case, build_together, check, prepare
from layer_generator import case_of

EXAMPLES = int(os.environ.get("LAMINA_TEST_EXAMPLES", "40"))
SEED = int(os.environ.get("LAMINA_TEST_SEED", "5"))
CASES_A_UNIT = 10  # built together: what a build costs is mostly the runtime they share


def drawn() -> dict[int, Case]:
    """Layers by the number that `case_of` makes them of."""
    found: dict[int, Case] = {}

    @seed(SEED)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate])
    @given(st.integers(0, 2**48))
    def collect(number: int) -> None:
        found[number] = case_of(number)

    collect()
    return found


@pytest.fixture(autouse=True)
def own_cache(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    yield


def test_random_layers_as_interpreted() -> None:
    every = list(drawn().items())
    wrong = []
    for start in range(0, len(every), CASES_A_UNIT):
        unit = every[start : start + CASES_A_UNIT]
        prepared = [prepare(case) for _, case in unit]
        executables = iter(build_together([each.program for one in prepared for each in one], "random"))
        for (number, case), one in zip(unit, prepared, strict=True):
            try:
                check(case, one, [next(executables) for _ in one])
            except AssertionError as error:
                wrong.append(f"case_of({number})\n{case.text}\n{case.shapes} {case.strided}\n{error}")
    assert not wrong, "\n\n".join(wrong[:3])
