"""A failing layer made smaller.

In: a layer that failed, and how to try another. Out: the smallest found. How: statements are left out, or the value of a `let`
given from outside, one at a time from the last, for as long as that succeeds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from lamina.errors import SpecError
from lamina.lang.check import load
from layer_trial import Outcome
from layer_writer import RandomLayer

_FIGURES = re.compile(r"[-\d.e+()\[\]{}',:*]+")
_MOST_TRIALS = 400


def likeness(outcome: Outcome) -> str:
    """What two failures of one cause have in common: the last line without its numbers; for wrong values, that they are wrong."""
    lines = outcome.failure.strip().splitlines()
    if not lines:
        return ""
    if lines[0].startswith("Traceback"):
        return _FIGURES.sub("", lines[-1])[:60]
    return "wrong" if "off by" in lines[0] or "differ" in lines[0] else _FIGURES.sub("", lines[0])[:40]


def shrunken(outcome: Outcome, attempt: Callable[[Sequence[RandomLayer]], list[Outcome]]) -> Outcome:
    """The smallest layer found that fails as this one does."""
    wanted = likeness(outcome)
    trials = 0
    while True:
        for smaller in _smaller(outcome.layer):
            if not _is_layer(smaller):
                continue
            trials += 1
            found = attempt([smaller])[0]
            if likeness(found) == wanted:
                outcome = found
                break
            if trials >= _MOST_TRIALS:
                return outcome
        else:
            return outcome


def _smaller(layer: RandomLayer) -> Iterator[RandomLayer]:
    for number in reversed(range(len(layer.statements))):
        yield layer.without(number)
    for number in reversed(range(len(layer.statements))):
        if layer.statements[number].instead:
            yield layer.with_input(number)


def _is_layer(layer: RandomLayer) -> bool:
    try:
        load(layer.text, "random")
    except SpecError:
        return False
    return True
