"""The rows of the CPU benchmark: one function each.

In: `quick`, smaller problems and fewer repeats. Out: a `Row`. Holds: each row runs in a process of its own, which cpu.py starts
with the row's environment; training steps are measured in further processes, one for each peer, that take turns (`turns.py`).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import lamina
import torch
from lamina.ops.references import REFERENCES, Case
from measure import Candidate, Goal, Row, bandwidth_alarms, copier, interleaved, peak_memory, summary, verify
from peers import PEERS, Problem, problem, step_of
from recurrences import lti_training
from torch import Tensor
from torch.nn import functional
from turns import in_turns
from wavelets import haar_kernels

# Large results of torch otherwise come from small pages mapped anew at every call, and page faults hide what is compared.
HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
GR_KAN = "group_rational_b"


@dataclass(frozen=True)
class Benchmark:
    run: Callable[[bool], Row]
    environment: Mapping[str, str]


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(**environment: str) -> Callable[[Callable[[bool], Row]], Callable[[bool], Row]]:
    """Registers a row under its function's name, to be run with these environment variables."""

    def register(function: Callable[[bool], Row]) -> Callable[[bool], Row]:
        BENCHMARKS[function.__name__] = Benchmark(function, environment)
        return function

    return register


def smaller(case: Case, quick: bool) -> Case:
    """The case itself, or one with an eighth of the batch."""
    if not quick:
        return case
    if case.leading:
        return replace(case, leading=(max(1, case.leading[0] // 8), *case.leading[1:]))
    return replace(case, lengths={**case.lengths, "B": max(1, case.lengths["B"] // 8)})


def training(name: str, entry: str, case: Case, peers: Sequence[str], quick: bool, goals: Mapping[str, float]) -> Row:
    """Forward and backward of a library entry by several peers; `goals`: how many times faster than each Lamina should be."""
    turns = in_turns(entry, case, peers, batches=3 if quick else 11)
    seconds, spread = summary(turns.samples)
    reached = tuple(
        Goal(f"times {peer}", seconds[peer] / seconds["lamina"], target) for peer, target in goals.items() if peer in seconds
    )
    return Row(
        name,
        f"{entry} {case} f32, forward and backward",
        seconds,
        spread,
        turns.errors,
        absent=[f"{peer}: not installed" for peer in turns.absent],
        goals=reached,
        alarms=bandwidth_alarms(seconds, turns.byte_count),
    )


@dataclass(frozen=True)
class Launch:
    """A kernel ready to run on tensors allocated beforehand: `outputs` are written by `run` and by nothing else."""

    run: Candidate
    outputs: tuple[Tensor, ...]
    byte_count: int


def kernel_launches(given: Problem) -> dict[str, Launch]:
    """The forward and the backward kernels of a layer alone, without autograd and without allocation.

    Outputs: the value (forward); the gradients of the arguments (backward). Bytes: what a perfect kernel reads and writes.
    """
    layer = lamina.compile(given.name, sizes=dict(given.case.sizes) or None)
    inputs = sum(argument.nbytes for argument in given.arguments)
    forward, values = layer.launcher("forward", given.arguments)
    backward, gradients = layer.launcher("backward", given.arguments, [given.cotangent])
    return {
        "forward": Launch(forward, values, inputs + given.cotangent.nbytes),
        "backward": Launch(backward, gradients, 2 * inputs + given.cotangent.nbytes),
    }


def kernels(direction: str, quick: bool) -> Row:
    """One direction of GR-KAN, (64, 197, 768) f32 in 8 groups, beside a copy of as many bytes."""
    case = smaller(Case((64, 197), {"C": 96}, {"G": 8}), quick)
    given = problem(GR_KAN, case)
    launch = kernel_launches(given)[direction]
    expected = given.expected[:1] if direction == "forward" else given.expected[1:]

    def poison() -> None:
        for output in launch.outputs:
            output.fill_(torch.nan)

    poison()
    launch.run()
    error = verify("lamina", launch.outputs, expected)
    candidates = {"lamina": launch.run, "copy": copier(launch.byte_count)}
    seconds, spread = summary(interleaved(candidates, repeats=5 if quick else 30, poison=poison))
    return Row(
        f"gr_kan_{direction}_kernel",
        f"{GR_KAN} {case} f32, {direction} kernel alone",
        seconds,
        spread,
        {"lamina": error},
        goals=(Goal("of copy bandwidth", seconds["copy"] / seconds["lamina"], 0.8),),
        alarms=bandwidth_alarms(seconds, launch.byte_count),
    )


@benchmark()
def gr_kan_forward_kernel(quick: bool) -> Row:
    return kernels("forward", quick)


@benchmark()
def gr_kan_backward_kernel(quick: bool) -> Row:
    return kernels("backward", quick)


@benchmark(**HUGE_PAGES)
def gr_kan_training(quick: bool) -> Row:
    case = smaller(Case((64, 197), {"C": 96}, {"G": 8}), quick)
    goals = {"torch.compile": 3.0, "eager": 15.0, "jax": 8.0}
    return training("gr_kan_training", GR_KAN, case, ("lamina", "torch.compile", "eager", "jax"), quick, goals)


@benchmark(**HUGE_PAGES)
def poly_norm_training(quick: bool) -> Row:
    case = smaller(Case((4096,), {"C": 4096}), quick)
    return training("poly_norm_training", "poly_norm", case, ("lamina", "torch.compile", "eager"), quick, {"torch.compile": 1.5})


@benchmark(**HUGE_PAGES)
def evonorm_s0_training(quick: bool) -> Row:
    case = smaller(Case((), {"B": 32, "C": 8, "H": 56, "W": 56}, {"G": 8}), quick)
    return training("evonorm_s0_training", "evonorm_s0", case, ("lamina", "torch.compile", "eager"), quick, {"torch.compile": 1.5})


benchmark(**HUGE_PAGES)(lti_training)
benchmark()(haar_kernels)


def kan_training(entry: str, quick: bool) -> Row:
    """A basis expansion and a matrix product, batch 4096, 256 to 256: time, and peak memory in fresh processes."""
    case = smaller(REFERENCES[entry].benchmark, quick)
    goals = {"eager": 3.0, "torch.compile": 1.5}
    row = training(f"{entry}_training", entry, case, ("lamina", "torch.compile", "eager"), quick, goals)
    peaks = {peer: int(in_child("peak", entry, peer, str(int(quick)))) for peer in ("lamina", "eager")}
    memory = Goal("of eager's peak memory", peaks["lamina"] / peaks["eager"], 0.25, at_least=False)
    return replace(row, peak_bytes=peaks, goals=(*row.goals, memory))


@benchmark(**HUGE_PAGES)
def spline_kan_training(quick: bool) -> Row:
    return kan_training("spline_kan", quick)


@benchmark(**HUGE_PAGES)
def cheby_kan_training(quick: bool) -> Row:
    return kan_training("cheby_kan", quick)


def attention_training(causal: int, quick: bool) -> Row:
    """Attention of 16 heads, 1024 positions, width 64, beside PyTorch's fused operator: time and peak memory."""
    sizes = {"CAUSAL": causal}
    case = smaller(replace(REFERENCES["attention"].benchmark, sizes=sizes), quick)
    name = f"{'causal' if causal else 'full'}_attention_training"
    row = training(name, "attention", case, ("lamina", "eager"), quick, {"eager": 1 / 1.3})
    peaks = {peer: int(in_child("peak", "attention", peer, str(int(quick)), json.dumps(sizes))) for peer in ("lamina", "eager")}
    memory = Goal("of eager's peak memory", peaks["lamina"] / peaks["eager"], 1.1, at_least=False)
    return replace(row, peak_bytes=peaks, goals=(*row.goals, memory))


@benchmark(**HUGE_PAGES)
def full_attention_training(quick: bool) -> Row:
    return attention_training(0, quick)


@benchmark(**HUGE_PAGES)
def causal_attention_training(quick: bool) -> Row:
    return attention_training(1, quick)


def convolution_training(name: str, entry: str, quick: bool, goals: Mapping[str, float], **sizes: int) -> Row:
    case = REFERENCES[entry].benchmark
    if sizes:
        case = replace(case, sizes={**case.sizes, **sizes})
    return training(name, entry, smaller(case, quick), ("lamina", "torch.compile", "eager"), quick, goals)


@benchmark(**HUGE_PAGES)
def depthwise_7x7_training(quick: bool) -> Row:
    return convolution_training("depthwise_7x7_training", "depthwise_conv2d", quick, {"eager": 2.0})


@benchmark(**HUGE_PAGES)
def depthwise_31x31_training(quick: bool) -> Row:
    return convolution_training("depthwise_31x31_training", "depthwise_conv2d", quick, {"eager": 2.0}, I=31, J=31)


@benchmark(**HUGE_PAGES)
def dense_3x3_training(quick: bool) -> Row:
    return convolution_training("dense_3x3_training", "conv2d", quick, {"eager": 1 / 1.5})


def alternating_children(commands: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]], repeats: int) -> dict[str, list[float]]:
    """Seconds reported by child processes, each command in turn; {fresh} in its environment is an empty folder each round."""
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as fresh:
            for name, (arguments, environment) in commands.items():
                filled = {key: value.format(fresh=fresh) for key, value in environment.items()}
                samples[name].append(in_child(*arguments, **filled))
    return samples


@benchmark()
def cold_compile(quick: bool) -> Row:
    """From a specification's text to the first forward and backward, with an empty cache and with a filled one.

    The clock starts once the modules of each side are imported: Lamina's, the compiler's included, and torch._inductor for
    torch.compile. The candidates "with imports" are the same with these imports in the time; torch is imported before in any case.
    """
    commands = {
        f"{name}{', with imports' if imports else ''}": ((child, str(int(imports))), {variable: f"{{fresh}}/{int(imports)}"})
        for imports in (False, True)
        for name, child, variable in (
            ("lamina", "first_lamina", "LAMINA_CACHE"),
            ("lamina, cached", "first_lamina", "LAMINA_CACHE"),
            ("torch.compile", "first_torch_compile", "TORCHINDUCTOR_CACHE_DIR"),
        )
    }
    seconds, spread = summary(alternating_children(commands, repeats=1 if quick else 3))
    goals = (
        Goal("s cold", seconds["lamina"], 1.0, at_least=False),
        Goal("s from the cache", seconds["lamina, cached"], 0.05, at_least=False),
    )
    problem_text = f"{GR_KAN}, text to first forward and backward; modules imported before the clock starts, unless said otherwise"
    return Row("cold_compile", problem_text, seconds, spread, goals=goals)


@benchmark()
def call_overhead(quick: bool) -> Row:
    """A call that does next to nothing: 16 elements, no gradient."""
    layer = lamina.compile("silu")
    x = torch.randn(16)
    with torch.no_grad():
        error = verify("lamina", [layer(x)], [functional.silu(x.double())])
        candidates: dict[str, Candidate] = {"lamina": lambda: layer(x), "eager": lambda: functional.silu(x)}
        seconds, spread = summary(interleaved(candidates, repeats=5 if quick else 30, inner=1000))
    goal = Goal("microseconds a call", seconds["lamina"] * 1e6, 10.0, at_least=False)
    return Row("call_overhead", "silu of 16 elements, no gradient", seconds, spread, {"lamina": error}, goals=(goal,))


def library_row(entry: str) -> Callable[[bool], Row]:
    """Forward and backward of one library entry at its benchmark size beside eager PyTorch."""
    return lambda quick: training(
        entry, entry, smaller(REFERENCES[entry].benchmark, quick), ("lamina", "eager"), quick, {"eager": 1.0}
    )


# ---------------------------------------------------------------------------------------------- child processes


def in_child(*arguments: str, **environment: str) -> float:
    """The number that a child process prints for `python cpu.py --child ARGUMENTS`."""
    command = [sys.executable, str(Path(__file__).with_name("cpu.py")), "--child", *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"child {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def child_peak(entry: str, peer: str, quick: str, sizes: str = "{}") -> float:
    """Peak memory in bytes of one forward and backward; built and warmed beforehand on a small problem."""
    case = smaller(
        replace(REFERENCES[entry].benchmark, sizes=json.loads(sizes) or REFERENCES[entry].benchmark.sizes), bool(int(quick))
    )
    reference = REFERENCES[entry]
    layer = (
        lamina.compile(entry, sizes=dict(case.sizes)) if peer == "lamina" else lambda *tensors: reference.fastest(case, *tensors)
    )
    lengths = {name: min(length, 64) for name, length in case.lengths.items()}
    small = problem(entry, replace(case, leading=tuple(min(length, 8) for length in case.leading[:1]), lengths=lengths))
    verify(peer, step_of(layer, small.arguments, small.cotangent)(), small.expected)
    # Nothing of full size has been computed yet: memory that the allocator keeps would not count as the step's.
    arguments = reference.draw(case, torch.float32, torch.Generator())
    shape = reference.evaluate(case, *(argument.to("meta") for argument in arguments)).shape
    return peak_memory(step_of(layer, arguments, torch.randn(shape)))


def first_result(modules: Sequence[str], imports: bool, prepare: Callable[[], Callable[..., Tensor]]) -> float:
    """Seconds from the specification to the first checked forward and backward; torch.autograd is warm already.

    `modules`: what the work imports, or may have to. They are imported before the clock starts, or, with `imports`, while it runs
    and as far as the work does need them.
    """
    given = problem(GR_KAN, Case((4, 8), {"C": 4}, {"G": 8}))
    PEERS["eager"](given)  # nothing of it is timed
    if not imports:
        for module in modules:
            importlib.import_module(module)
    begin = time.perf_counter()
    results = step_of(prepare(), given.arguments, given.cotangent)()
    seconds = time.perf_counter() - begin
    verify("first result", results, given.expected)
    return seconds


def child_first_lamina(imports: str) -> float:
    text = (files("lamina.ops") / f"{GR_KAN}.lam").read_text(encoding="utf-8")
    modules = ("lamina.binding.compile", "lamina.binding.reading", "lamina.codegen", "lamina.runtime.native")
    return first_result(modules, bool(int(imports)), lambda: lamina.compile(text))


def child_first_torch_compile(imports: str) -> float:
    modules = ("torch._dynamo", "torch._inductor.compile_fx")
    return first_result(modules, bool(int(imports)), lambda: torch.compile(REFERENCES[GR_KAN].function, dynamic=False))


CHILDREN: Mapping[str, Callable[..., float]] = {
    "peak": child_peak,
    "first_lamina": child_first_lamina,
    "first_torch_compile": child_first_torch_compile,
}
