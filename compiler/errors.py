"""Every exception that Lamina raises on purpose.

In: messages and places. Out: `Error` and its three kinds. Holds: no other exception leaves the public interface because of a
user's input; each message says what was expected, what was found and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from .spans import Span


class Error(Exception):
    """Base of all Lamina errors."""


@dataclass(frozen=True)
class Diagnostic:
    """One mistake in a specification: `code` (LAMnnn), what is wrong, where, what was expected and found, a likely mend."""

    code: str
    message: str
    span: Span
    source_line: str
    expected: str | None = None
    found: str | None = None
    hint: str | None = None

    def render(self) -> str:
        """The diagnostic as text: place, message, the line with its place underlined, expected/found, hint."""
        width = len(str(self.span.line))
        if self.span.end_line == self.span.line:
            length = max(1, self.span.end_column - self.span.column)
        else:
            length = max(1, len(self.source_line) - self.span.column + 1)
        lines = [
            f"{self.span}: error {self.code}: {self.message}",
            f" {self.span.line} | {self.source_line}",
            f" {' ' * width} | {' ' * (self.span.column - 1)}{'^' * length}",
        ]
        if self.expected is not None:
            lines.append(f" {' ' * width} = expected: {self.expected}")
        if self.found is not None:
            lines.append(f" {' ' * width} = found: {self.found}")
        if self.hint is not None:
            lines.append(f" {' ' * width} = hint: {self.hint}")
        return "\n".join(lines)


class SpecError(Error):
    """The specification is wrong. `diagnostics` lists every mistake found, in the order of the text."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n\n".join(diagnostic.render() for diagnostic in diagnostics))

    def __reduce__(self) -> tuple[type, tuple[tuple[Diagnostic, ...]]]:
        return (type(self), (self.diagnostics,))


class ArgumentError(Error):
    """A call's arguments do not fit the layer: a shape, a dtype, a device, a missing size."""


class TargetError(Error):
    """The target cannot be used: no compiler, a failed build, a device that is not there, a feature not lowered yet."""
