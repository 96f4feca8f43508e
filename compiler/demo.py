"""`python -m lamina.demo`: what Lamina does, in two minutes, and then a training run.

Compiles the group-rational activation from the layer library, prints its specification and its report, checks it against the
reference, times it against eager PyTorch and a copy, and runs examples/train_kat.py where the examples are at hand. Exit code 1
where a check fails.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

from .binding.compile import compile
from .commands.bench import print_measurements
from .commands.compile import assemble
from .commands.specification import load_checked
from .errors import Error
from .trial.benchmark import measure, parse_shapes, problem_of
from .trial.compare import compare

ENTRY = "group_rational"
# The activations of one layer of a small vision transformer, as in the paper that the layer is from.
SHAPE = "x=16x197x768"
EXAMPLE = Path("examples") / "train_kat.py"
_SECONDS = 6.0


def main() -> int:
    """Runs the whole demonstration; gives the exit code."""
    try:
        good = show()
        train()
    except Error as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0 if good else 1


def show() -> bool:
    """The layer's specification, report, check and times; gives whether the check holds. Errors: lamina.Error."""
    checked = load_checked(ENTRY, None, {})
    _title("The specification: all that is written by hand")
    print(checked.text)

    _title("Compiled: forward and backward")
    begin = time.perf_counter()
    report, _ = assemble(ENTRY, None, {}, "f32")
    print(report, end="")
    print(f"\nplanned and reported in {time.perf_counter() - begin:.1f} s; a shared object is built at the first call, and kept")

    _title("Checked: value, gradients and second derivatives against the reference in float64")
    layer = compile(ENTRY, target="cpp")
    comparisons = compare(layer, checked)
    failed = [each for each in comparisons if not each.passed]
    for dtype in ("f32", "f64"):
        errors = [each.error for each in comparisons if each.dtype == dtype and each.unit == "eps" and each.error is not None]
        print(
            f"{dtype}: largest error {max(errors, default=0.0):.2g} eps at the scale of the result, {len(errors)} tensors compared"
        )
    for each in failed:
        print(f"FAILED: {each.tensor} ({each.order}, {each.dtype}, {each.problem}): {each.note or f'{each.error:.3g} {each.unit}'}")

    _title("Timed: eager PyTorch and a copy of as many bytes, all in turn")
    print_measurements(layer.name, measure(layer, checked, problem_of(layer, parse_shapes([SHAPE])), "f32", _SECONDS))
    return not failed


def train() -> None:
    """Runs the training example of the repository that this is the demonstration of."""
    _title("Trained: a small vision transformer with these layers")
    # an installed package has no examples beside it
    path = next((root / EXAMPLE for root in (Path(), Path(__file__).parent.parent) if (root / EXAMPLE).is_file()), None)
    if path is None:
        print(f"skipped: {EXAMPLE} is not here; it is in Lamina's repository")
        return
    specification = importlib.util.spec_from_file_location("train_kat", path)
    assert specification is not None and specification.loader is not None
    example = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(example)
    except ModuleNotFoundError as missing:
        print(f"skipped: it needs {missing.name}; do: pip install {'scikit-learn' if missing.name == 'sklearn' else missing.name}")
        return
    arguments, sys.argv = sys.argv, [str(path)]
    try:
        example.main()
    finally:
        sys.argv = arguments


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
