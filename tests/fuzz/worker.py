"""Trials in a process of their own, so that a kernel that crashes or hangs is a failure like any other.

In: layers. Out: their outcomes. Holds: the layer that a process died of is found by trying the layers of its unit one by one.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from concurrent.futures.process import BrokenProcessPool
from unittest.mock import patch

from layer_trial import Outcome, try_together
from layer_writer import RandomLayer

_SECONDS_A_LAYER = 60.0


class Worker:
    """A process that tries layers; another takes its place when it dies."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def attempt(self, layers: Sequence[RandomLayer], level: str = "-O1") -> list[Outcome]:
        """`level`: how much the C++ compiler optimises."""
        if self._pool is None:  # not a fork: the threads of kernels run before would be missing in it
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            # threads that wait by spinning take more than half of the time of kernels as small as these
            with patch.dict(os.environ, OMP_WAIT_POLICY="passive"):
                trial = self._pool.submit(try_together, list(layers), level)
            return trial.result(_SECONDS_A_LAYER * len(layers))
        except BrokenProcessPool:
            problem = "the process died in a kernel"
        except TookTooLong:
            problem = f"the trial took more than {_SECONDS_A_LAYER * len(layers):.0f} seconds"
        self.close()
        if len(layers) == 1:
            return [Outcome(layers[0], failure=problem)]
        return [outcome for layer in layers for outcome in self.attempt([layer], level)]

    def close(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
