"""Peers in processes of their own that take turns.

In: a library entry, a case, peers' names. Out: seconds of one step for each peer. Holds: a peer's process has nothing else in
it, so that no peer's threads, allocator or memory mappings slow another down; all draw the same random arguments, new ones for
each row; only one works at any time, in batches (A B A B ...), so that a slow spell of the machine meets all of them, and of each
batch the fastest step counts; a peer's results are compared with a float64 reference before anything is timed, and again after the
last batch; in between every result is filled with NaN before it is freed, so that memory used again cannot hold the right values
by chance.
"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from lamina.ops.references import Case
from measure import Step, copier, verify
from peers import PEERS, Problem, problem
from torch import Tensor

COPY = "copy"
STEPS_IN_A_BATCH = 3


@dataclass(frozen=True)
class Turns:
    """`samples`: for each peer the fastest step of each batch, in seconds; `errors`: see `verify`; `absent`: not installed."""

    samples: Mapping[str, list[float]]
    errors: Mapping[str, float]
    absent: Sequence[str]
    byte_count: int


def in_turns(entry: str, case: Case, peers: Sequence[str], batches: int) -> Turns:
    """Steps of the peers, and of a copy of as many bytes as a step must move. Errors: RuntimeError where a peer fails."""
    seed = random.SystemRandom().getrandbits(62)
    with ExitStack() as stack:
        every = {peer: stack.enter_context(_Process(entry, case, peer, seed)) for peer in (*peers, COPY)}
        workers = {peer: worker for peer, worker in every.items() if not worker.first["absent"]}
        samples: dict[str, list[float]] = {peer: [] for peer in workers}
        for _ in range(batches):
            for peer, worker in workers.items():
                samples[peer].append(min(worker.ask("batch")))
        errors = {peer: max(worker.first["error"], worker.ask("verify")) for peer, worker in workers.items() if peer != COPY}
    absent = [peer for peer in every if peer not in workers]
    return Turns(samples, errors, absent, every[COPY].first["byte_count"])


class _Process:
    """A peer at work in a child process; `first` is what it says once its results have been checked."""

    def __init__(self, entry: str, case: Case, peer: str, seed: int) -> None:
        command = [
            sys.executable,
            str(Path(__file__).with_name("cpu.py")),
            "--turns",
            entry,
            json.dumps(asdict(case)),
            peer,
            str(seed),
        ]
        self.peer = peer
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first: Any = None

    def __enter__(self) -> _Process:
        self.first = self._answer()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.communicate()

    def ask(self, request: str) -> Any:
        assert self.process.stdin is not None
        print(request, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.peer}: its process ended, exit {self.process.wait()}")
        return json.loads(line)


def serve(entry: str, case: str, peer: str, seed: str) -> None:
    """What the child process does: answers requests, a line of JSON each, until there are no more."""
    replies, sys.stdout = sys.stdout, sys.stderr  # what a peer prints is no reply
    values = json.loads(case)
    given = problem(entry, Case(tuple(values["leading"]), values["lengths"], values["sizes"]), seed=int(seed))
    step: Step | None
    if peer == COPY:
        run = copier(given.byte_count)
        step, expected = (lambda: (run(), ())[1]), ()
    else:
        step, expected = PEERS[peer](given), given.expected
    first = {"absent": step is None, "byte_count": given.byte_count}
    if step is not None:
        first["error"] = verify(peer, step(), expected)
    print(json.dumps(first), file=replies, flush=True)
    if step is None:
        return
    for request in sys.stdin:
        answer = batch(step, given, peer) if request.strip() == "batch" else verify(peer, step(), expected)
        print(json.dumps(answer), file=replies, flush=True)


def batch(step: Step, given: Problem, peer: str) -> list[float]:
    """Seconds of some steps, one after another; one before them is thrown away."""
    samples = []
    gc.collect()
    gc.disable()
    for number in range(-1, STEPS_IN_A_BATCH):
        begin = time.perf_counter()
        results = step()
        seconds = time.perf_counter() - begin
        if peer != "jax":  # whose arrays may not be written to
            poison(results, given)
        begin = time.perf_counter()
        del results
        seconds += time.perf_counter() - begin
        if number >= 0:
            samples.append(seconds)
    gc.enable()
    return samples


def poison(results: Sequence[Tensor], given: Problem) -> None:
    """Fills the results with NaN, but for a gradient that is the cotangent itself."""
    with torch.no_grad():
        for result in results:
            if result.data_ptr() != given.cotangent.data_ptr():
                result.fill_(torch.nan)
