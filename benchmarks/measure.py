"""How the benchmarks measure: candidates in turn within one run, medians, checked results, and alarms for the impossible.

In: candidates, functions of no argument that do the same work. Out: `Row`, what was measured, with goals and alarms. Holds:
no candidate is timed before its results agree with a float64 reference; candidates alternate (A B A B ...), so that a slow
spell of the machine meets all of them; times are medians of single calls, in seconds.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Candidate = Callable[[], object]
Step = Callable[[], Sequence[Tensor]]

# A result is taken as right if no element is off by more than this share of the largest element.
JUMPS = 100_000
RELATIVE_ERROR = 2e-3
# Faster than this multiple of the copy bandwidth measured in the same run is not speed but a mistake in the measurement.
LIMIT = 1.1


@dataclass(frozen=True)
class Goal:
    """`value` was measured, `target` is wanted, at least or at most."""

    what: str
    value: float
    target: float
    at_least: bool = True

    @property
    def reached(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def __str__(self) -> str:
        return f"{self.what} {self.value:.3g} (goal {'>=' if self.at_least else '<='} {self.target:g})"


@dataclass(frozen=True)
class Row:
    """One line of the table. `seconds`: median for each candidate; `spread`: first and third quartile; `errors`: see `verify`."""

    name: str
    problem: str
    seconds: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    absent: Sequence[str] = ()
    goals: Sequence[Goal] = ()
    alarms: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "goals": [{**asdict(goal), "reached": goal.reached} for goal in self.goals]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Row:
        goals = tuple(Goal(goal["what"], goal["value"], goal["target"], goal["at_least"]) for goal in data["goals"])
        return Row(**{**data, "goals": goals})


def interleaved(
    candidates: Mapping[str, Candidate], repeats: int, inner: int = 1, poison: Callable[[], None] | None = None
) -> dict[str, list[float]]:
    """Seconds of one call, `repeats` samples for each candidate, taken in turn; a sample is the mean of `inner` calls.

    Two rounds before the first sample are thrown away. `poison` runs before every call that is timed, outside the time.
    """
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    gc.collect()
    gc.disable()
    try:
        for round_number in range(-2, repeats):
            for name, candidate in candidates.items():
                if poison is not None:
                    poison()
                begin = time.perf_counter()
                for _ in range(inner):
                    candidate()
                seconds = (time.perf_counter() - begin) / inner
                if round_number >= 0:
                    samples[name].append(seconds)
    finally:
        gc.enable()
    return samples


def summary(samples: Mapping[str, list[float]]) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Medians and quartiles."""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    spread = {}
    for name, values in samples.items():
        first, _, third = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
        spread[name] = (first, third)
    return medians, spread


def verify(name: str, found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest |found - expected| over the largest |expected|, over all results; RuntimeError where it is too large or NaN.

    Where a formula has a jump (the gradient of an absolute value at 0), rounding may put a point on its other side: up to one
    element in JUMPS may be off, and is left out of the figure.
    """
    worst = 0.0
    for index, (result, wanted) in enumerate(zip(found, expected, strict=True)):
        if result.shape != wanted.shape:
            raise RuntimeError(f"{name}: result {index} has shape {tuple(result.shape)}, expected {tuple(wanted.shape)}")
        if not wanted.numel():
            continue
        errors = (result.double() - wanted).abs().flatten() / wanted.abs().max().clamp(min=1e-30)
        if bool(errors.isnan().any()):
            raise RuntimeError(f"{name}: result {index} has NaN; not timed")
        jumps = wanted.numel() // JUMPS
        error = float(errors.topk(jumps + 1).values[-1])
        if not error <= RELATIVE_ERROR:
            raise RuntimeError(f"{name}: result {index} is off by {error:.2g} of the largest element; not timed")
        worst = max(worst, error)
    return worst


def copier(byte_count: int) -> Candidate:
    """A copy between two tensors that reads and writes `byte_count` bytes in all."""
    source = torch.randn(max(1, byte_count // 8))
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def bandwidth_alarms(seconds: Mapping[str, float], byte_count: int) -> tuple[str, ...]:
    """Every candidate that moved `byte_count` bytes faster than the copy of as many bytes in the same run could."""
    limit = LIMIT * byte_count / seconds["copy"]
    return tuple(
        f"{name}: {byte_count / value / 1e9:.1f} GB/s, over {LIMIT} times the copy's {byte_count / seconds['copy'] / 1e9:.1f} GB/s"
        for name, value in seconds.items()
        if name != "copy" and byte_count / value > limit
    )


def peak_memory(work: Candidate) -> int:
    """Bytes by which the resident set at its peak during `work` exceeds that at its beginning (Linux)."""
    gc.collect()
    # 5 resets the process's own high-water mark, VmHWM.
    Path("/proc/self/clear_refs").write_text("5")
    before = status_bytes("VmRSS")
    work()
    return status_bytes("VmHWM") - before


def status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in /proc/self/status")


def environment() -> dict[str, Any]:
    """What the numbers depend on: processor, cores, threads, versions."""
    model = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.split(":", 1)[1].strip() for line in information.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }
