"""make fuzz: random layers, as many as are asked for, compiled and compared with the interpreter.

In: how many, and the first seed. Out: progress and what was refused, on the screen; for every failure the layer, its lengths, its
seed and a smaller layer that fails alike. The exit code is 1 where there was a failure or a refusal.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle, islice

from layer_generator import random_layer
from layer_trial import Outcome
from shrink import likeness, shrunken
from worker import Worker

UNIT = 16  # layers built together: what a build costs is mostly the runtime they share
# How much the C++ compiler optimises, unit by unit: little takes less time, much finds more (whether products are fused, say).
LEVELS = ("-O0", "-O1", "-O0", "-O0", "-O0", "-O3", "-O0", "-O0")
_PROGRESS_SECONDS = 10.0
_MOST_OF_A_KIND = 2  # failures of one kind that are shown and made smaller


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--number", type=int, default=500, help="how many layers")
    parser.add_argument("-s", "--seed", type=int, default=None, help="the first seed; by default one from the clock")
    arguments = parser.parse_args()
    first = int(time.time()) if arguments.seed is None else arguments.seed
    print(f"{arguments.number} layers from seed {first}")
    began = shown = time.monotonic()
    refusals: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    seeds = iter(range(first, first + arguments.number))
    done = 0
    worker = Worker()
    levels = cycle(LEVELS)
    while unit := list(islice(seeds, UNIT)):
        level = next(levels)
        for outcome in worker.attempt([random_layer(seed) for seed in unit], level):
            done += 1
            if outcome.refusal:
                refusals[outcome.refusal] += 1
            if outcome.failure:
                kinds[likeness(outcome)] += 1
                if kinds[likeness(outcome)] <= _MOST_OF_A_KIND:
                    describe(outcome, worker, level)
                else:
                    print(f"seed {outcome.layer.seed}, {outcome.layer.dtype}, {level}: {outcome.failure.splitlines()[-1][:120]}")
        if time.monotonic() - shown > _PROGRESS_SECONDS or done == arguments.number:
            shown = time.monotonic()
            counts = f"{sum(kinds.values())} failed, {sum(refusals.values())} refused"
            print(f"{done} layers, {counts}, {done / (shown - began):.1f} a second", flush=True)
    for reason, count in refusals.most_common():
        print(f"refused {count:5}  {reason}")
    for kind, count in kinds.most_common():
        print(f"failed  {count:5}  {kind}")
    worker.close()
    return 1 if kinds or refusals else 0


def describe(outcome: Outcome, worker: Worker, level: str) -> None:
    small = shrunken(outcome, lambda layers: worker.attempt(layers, level))
    print(f"\n==== seed {outcome.layer.seed}, {outcome.layer.dtype}, {level}\n{outcome.layer.text}{outcome.failure}")
    print(f"---- smaller\n{small.layer.text}{small.failure}\n", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:  # what is built here is met once
        os.environ["LAMINA_CACHE"] = folder
        sys.exit(main())
