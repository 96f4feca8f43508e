"""The CPU benchmark: prints a table and writes results/cpu.json beside this file.

Run: python benchmarks/cpu.py [--only NAME ...] [--quick] [--library]. Every row is measured in a process of its own. Exit 0: all
rows measured, no alarm; 1 otherwise. A goal missed is printed, and is no failure. Quick results are not written.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lamina.ops.references import REFERENCES
from measure import Row, environment
from rich.console import Console
from rich.table import Table
from rows import BENCHMARKS, CHILDREN, library_row
from turns import serve

RESULTS = Path(__file__).with_name("results") / "cpu.json"


def measured(name: str, quick: bool) -> Row | str:
    """The row, measured in a fresh process; the error's text where that failed."""
    extra = BENCHMARKS[name].environment if name in BENCHMARKS else {}
    command = [sys.executable, __file__, "--row", name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, env={**os.environ, **extra}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip() or f"exit {done.returncode}"
    return Row.from_json(json.loads(done.stdout.splitlines()[-1]))


def readable(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table_of(rows: Sequence[Row]) -> Table:
    table = Table(title="Lamina on the CPU: medians, the candidates of a row in turn", show_lines=True)
    for heading in ("row", "problem", "times", "goals"):
        table.add_column(heading, no_wrap=heading == "row")
    for row in rows:
        times = [f"{name}: {readable(value)}" for name, value in row.seconds.items()]
        times += [f"{name}: peak {value / 2**20:.1f} MiB" for name, value in row.peak_bytes.items()]
        goals = [f"[{'green' if goal.reached else 'yellow'}]{goal}[/]" for goal in row.goals]
        goals += [f"[bold red]ALARM {alarm}[/]" for alarm in row.alarms]
        table.add_row(row.name, row.problem, "\n".join([*times, *row.absent]), "\n".join(goals))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=[*BENCHMARKS, *REFERENCES], metavar="NAME", help="a row or library entry"
    )
    parser.add_argument("--quick", action="store_true", help="small problems and few repeats, to see that it runs")
    parser.add_argument("--library", action="store_true", help="one row for each entry of the layer library instead")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--turns", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child[0]](*options.child[1:])))
        return 0
    if options.turns:
        serve(*options.turns)
        return 0
    if options.row:
        run = BENCHMARKS[options.row].run if options.row in BENCHMARKS else library_row(options.row)
        print(json.dumps(run(options.quick).as_json()))
        return 0

    console = Console()
    names = options.only or list(REFERENCES if options.library else BENCHMARKS)
    rows, failures = [], {}
    for name in names:
        result = measured(name, options.quick)
        if isinstance(result, Row):
            rows.append(result)
        else:
            failures[name] = result
    console.print(table_of(rows))
    for name, text in failures.items():
        console.print(f"[bold red]{name} was not measured[/]\n{text}", highlight=False)
    if not options.quick:
        write(rows)
    return 1 if failures or any(row.alarms for row in rows) else 0


def write(rows: Sequence[Row]) -> None:
    """Put the rows into the results file; rows of the same machine that were not run this time stay."""
    here = environment()
    kept = {}
    if RESULTS.exists():
        stored = json.loads(RESULTS.read_text(encoding="utf-8"))
        kept = {row["name"]: row for row in stored["rows"]} if stored["environment"] == here else {}
    kept.update({row.name: row.as_json() for row in rows})
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"environment": here, "rows": list(kept.values())}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
