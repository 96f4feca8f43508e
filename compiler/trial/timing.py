"""Times of functions that do the same work, taken in turn.

In: functions of no argument. Out: medians in seconds. Holds: the candidates alternate (A B A B ...), so that a slow spell of the
machine meets all of them; the first rounds are thrown away.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

Candidate = Callable[[], object]

_WARM_UP = 3
_FEWEST = 7
_MOST = 201


def interleaved(candidates: Mapping[str, Candidate], seconds: float) -> dict[str, float]:
    """The median seconds of one call of each candidate; about `seconds` are spent in all, seven rounds at least."""
    for _ in range(_WARM_UP):
        for candidate in candidates.values():
            candidate()
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    begin = time.perf_counter()
    collecting = gc.isenabled()
    gc.disable()
    try:
        rounds = 0
        while rounds < _FEWEST or (rounds < _MOST and time.perf_counter() - begin < seconds):
            for name, candidate in candidates.items():
                start = time.perf_counter()
                candidate()
                samples[name].append(time.perf_counter() - start)
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    return {name: statistics.median(values) for name, values in samples.items()}
