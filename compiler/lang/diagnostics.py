"""How the front end records mistakes: the table of codes, and the reporter that collects diagnostics.

In: the places and words of single mistakes. Out: `Diagnostic`s, in the order of the text, and finally one `SpecError`.
Holds: a mistake inside an inlined definition or called layer is placed where the user's own text calls it; the same
mistake at the same place is recorded once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..errors import Diagnostic, SpecError
from ..spans import Span

CODES = {
    # syntax
    "LAM001": "unexpected text",
    "LAM002": "malformed construct",
    "LAM003": "number out of range",
    "LAM004": "nested too deeply",
    "LAM005": "unreadable file",
    # names
    "LAM101": "unknown name",
    "LAM102": "declared twice",
    "LAM103": "used before its declaration",
    "LAM104": "hides another name",
    "LAM105": "defined in terms of itself",
    "LAM106": "name of a built-in",
    "LAM107": "unknown function",
    "LAM108": "unknown entry of a library or file",
    "LAM109": "unknown dtype",
    "LAM110": "not a value",
    # axes
    "LAM201": "unknown axis",
    "LAM202": "axis missing from the list",
    "LAM203": "axis of unknown length",
    "LAM204": "anonymous axis not indexed",
    "LAM205": "wrong number of indices",
    "LAM206": "axis repeated",
    "LAM207": "misplaced ...",
    "LAM208": "axis absent from the expression",
    "LAM209": "length that no tensor determines",
    "LAM210": "axis without a name",
    # lengths and indices
    "LAM301": "index leaves its axis",
    "LAM302": "index that is not affine",
    "LAM303": "not an integer",
    "LAM304": "negative length",
    "LAM305": "lengths that differ",
    "LAM306": "impossible arithmetic",
    "LAM307": "value needed at compile time",
    "LAM308": "requirement not met",
    "LAM309": "beyond a limit of the compiler",
    # kinds
    "LAM401": "wrong kind of value",
    "LAM402": "order of a polynomial",
    # calls
    "LAM501": "wrong number of arguments",
    "LAM502": "wrong number of axes",
    "LAM503": "misplaced layer call",
    "LAM504": "size argument",
    "LAM505": "layer that cannot be called",
    # layers and initial values
    "LAM601": "initial value missing",
    "LAM602": "initial value not allowed",
    "LAM603": "initial value that does not fit",
    "LAM604": "function that cannot be fitted",
    "LAM605": "layer without an out",
    "LAM606": "choice of a layer",
    "LAM701": "accuracy statement",
}


class Failed(Exception):
    """A mistake was recorded; what contains it cannot be checked. Caught where checking can go on, never leaves the front end."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the known name most like `name`, or None where none is near."""
    candidates = sorted(set(known))
    exact = [candidate for candidate in candidates if candidate.lower() == name.lower()]
    close = exact or difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else None


class Reporter:
    """Collects the diagnostics of one run of the front end."""

    def __init__(self) -> None:
        self._diagnostics: list[Diagnostic] = []
        self._lines: dict[str, list[str]] = {}
        self._expansions: list[tuple[str, Span]] = []

    def add_source(self, file: str, text: str) -> None:
        """Make the lines of a file known, to be shown in diagnostics; files are sorted in the order they are added."""
        if file not in self._lines:
            self._lines[file] = text.split("\n")

    @contextmanager
    def inside(self, what: str, span: Span) -> Iterator[None]:
        """Mistakes recorded within belong to the call of `what` at `span`."""
        self._expansions.append((what, span))
        try:
            yield
        finally:
            self._expansions.pop()

    def place(self, span: Span) -> Span:
        """Where `span` is in the user's own text: the outermost call whose expansion contains it, or itself."""
        return self._expansions[0][1] if self._expansions else span

    def excerpt(self, span: Span) -> str:
        """The text of a span on one line, without comments."""
        lines = self._lines[span.file][span.line - 1 : span.end_line]
        lines[-1] = lines[-1][: span.end_column - 1]
        lines[0] = lines[0][span.column - 1 :]
        return " ".join(" ".join(line.split("#")[0] for line in lines).split())

    def error(
        self, code: str, message: str, span: Span, expected: str | None = None, found: str | None = None, hint: str | None = None
    ) -> Failed:
        """Record a mistake. Returns the exception that a caller who cannot go on raises."""
        assert code in CODES
        if self._expansions:
            message = f"in `{self._expansions[0][0]}`, called here: {message}"
        place = self.place(span)
        lines = self._lines.get(place.file, [])
        line = lines[place.line - 1] if place.line <= len(lines) else ""
        source_line = "".join(character if character.isprintable() else " " for character in line)
        diagnostic = Diagnostic(code, message, place, source_line, expected, found, hint)
        if diagnostic not in self._diagnostics:
            self._diagnostics.append(diagnostic)
        return Failed()

    def mark(self) -> tuple[Diagnostic, ...]:
        """What is recorded so far, to come back to by `rewind`."""
        return tuple(self._diagnostics)

    def rewind(self, mark: tuple[Diagnostic, ...]) -> None:
        self._diagnostics = list(mark)

    def branch(self) -> Reporter:
        """A reporter with the same sources and nothing recorded."""
        other = Reporter()
        other._lines = self._lines
        return other

    def merge(self, other: Reporter, without: str) -> bool:
        """Take over what `other` recorded, but for one code. Returns whether it had recorded nothing at all."""
        self._diagnostics += [d for d in other._diagnostics if d.code != without and d not in self._diagnostics]
        return not other._diagnostics

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        order = {file: position for position, file in enumerate(self._lines)}
        return tuple(
            sorted(
                self._diagnostics,
                key=lambda d: (order.get(d.span.file, len(order)), d.span.line, d.span.column, d.span.end_line, d.span.end_column),
            )
        )

    def raise_if_any(self) -> None:
        """Raise one `SpecError` with everything recorded, if anything was."""
        if self._diagnostics:
            raise SpecError(self.diagnostics)
