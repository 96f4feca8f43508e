"""From text to syntax tree.

In: the text of a file, and its name. Out: `syntax.File`, or a `SpecError` that lists every syntax error of the text.
Holds: whatever the text, nothing but a `SpecError` is raised; the tree is nested at most `MAXIMUM_DEPTH` deep.

After a syntax error the statement that contains it is blanked out and the rest is parsed again, so that one slip does not hide
the next. The parser's tables are built at the first call, once a process.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from functools import lru_cache
from importlib import resources

from lark import Lark, UnexpectedInput, UnexpectedToken

from ..folders import cache_folder, private_folder
from ..spans import Span
from . import syntax
from .diagnostics import Reporter
from .tree import TreeBuilder

MAXIMUM_DEPTH = 120
MAXIMUM_FILE_SIZE = 2**20
MAXIMUM_SYNTAX_ERRORS = 20

_EXPRESSION_START = {"NUMBER", "NAME", "AXIS", "OPEN_PARENTHESIS", "SCAN", "TRANSFORM", "ITERATE", "MINUS", "NOT"}
_OPERATORS = {"PLUS", "MINUS", "STAR", "SLASH", "CARET", "COMPARISON", "AND", "OR"}
_STATEMENTS = {"IN", "PARAM", "BUFFER", "AXIS_WORD", "REQUIRE", "ACCURACY", "LET", "OUT"}
_ITEMS = {"USE", "CONST", "DEF", "LAYER"}
_TERMINAL_TEXT = {
    "NAME": "a lower-case name",
    "AXIS": "an upper-case axis name",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "ELLIPSIS": "`...`",
    "OPEN_BRACKET": "`[`",
    "CLOSE_BRACKET": "`]`",
    "OPEN_PARENTHESIS": "`(`",
    "CLOSE_PARENTHESIS": "`)`",
    "LBRACE": "`{`",
    "CLOSE_BRACE": "`}`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "FROM": "`from`",
    "IN": "`in`",
    "$END": "the end of the file",
}
# One step of the scan for places where parsing can resume: comments and strings are skipped whole.
_SYNC = re.compile(
    r'#[^\n]*|"[^"\n]*"|(?P<statement>\b(?:param|buffer|axis|require|accuracy|let|out)\b|\bin\b(?=\s+[a-z_]\w*\s*\[))'
    r"|(?P<item>\b(?:use|const|def|layer)\b)|(?P<close>\})"
)

_DEFINED = re.compile(r"\b(?:def|const|layer)\s+([a-z_]\w*)")


@lru_cache(maxsize=1)
def _parser() -> Lark:
    """The parser; its tables (0.15 s to make, 0.01 s to read) are kept in the cache folder, where lark tells whether they still
    fit."""
    grammar = resources.files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")
    folder = cache_folder()
    tables = str(folder / f"grammar-{sys.version_info[0]}{sys.version_info[1]}.tables") if private_folder(folder) else False
    return Lark(grammar, start="file", parser="lalr", lexer="contextual", maybe_placeholders=False, cache=tables)


def parse(text: str, file: str = "<text>") -> syntax.File:
    """The syntax tree of `text`. Raises `SpecError` with all syntax errors of the text; `file` names it in them."""
    reporter = Reporter()
    tree = parse_with(text, file, reporter)
    reporter.raise_if_any()
    return tree


def parse_with(text: str, file: str, reporter: Reporter) -> syntax.File:
    """As `parse`, but mistakes go to `reporter`, and what could be read in spite of them is returned."""
    reporter.add_source(file, text)
    if len(text.encode("utf-8", errors="replace")) > MAXIMUM_FILE_SIZE:
        reporter.error("LAM309", "file too large", Span(file, 1, 1, 1, 1), f"at most {MAXIMUM_FILE_SIZE} bytes")
        return syntax.File(file, (), text)
    remaining = text
    damage: list[Span] = []
    names: list[str] = []
    for _ in range(MAXIMUM_SYNTAX_ERRORS):
        try:
            tree = _parser().parse(remaining)
        except UnexpectedInput as error:
            _report(error, text, file, reporter)
            remaining, start, end = _repair(remaining, error)
            if end > start:
                damage.append(_span_at(text, start, 1, file))
            names += _DEFINED.findall(text[start:end])
            continue
        built: syntax.File = TreeBuilder(file, text, reporter).transform(tree)
        damaged = dataclasses.replace(built, damage=tuple(damage), damaged_names=tuple(names))
        return _sound(damaged, reporter)
    return syntax.File(file, (), text)


# ---------------------------------------------------------------------------------------------- recovery


def _repair(text: str, error: UnexpectedInput) -> tuple[str, int, int]:
    """`text` made parsable around the error: the statement or item that contains it, from start to end, is replaced by spaces.

    A missing brace before the next item is put in. The length of the text and its line ends stay, so that places stay true.
    """
    position = _position(error, text)
    marks = [match for match in _SYNC.finditer(text) if match.lastgroup is not None]
    at_mark = next((mark for mark in marks if mark.start() == position), None)
    if "CLOSE_BRACE" in _accepted(error) and (position >= len(text) or (at_mark is not None and at_mark.lastgroup == "item")):
        before = text[:position]
        return (before[:-1] if before[-1:].isspace() else before) + "}" + text[position:], position, position
    start, kind, end = 0, None, len(text)
    for mark in marks:
        if mark.start() > position or (mark is at_mark and len(text[start:position].split()) > 1):
            end = mark.start()
            break
        if mark is at_mark and text[start:position].strip():
            continue  # a keyword in place of a name: `let in = 3`
        start, kind = (mark.end(), None) if mark.lastgroup == "close" and mark is not at_mark else (mark.start(), mark.lastgroup)
    if kind == "item" and text.startswith("layer", start):
        end = next((mark.start() for mark in marks if mark.lastgroup == "item" and mark.start() > start), len(text))
    if not text[start:end].strip():
        start, end = position, position + 1
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:], start, end


def _position(error: UnexpectedInput, text: str) -> int:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return len(text)
    return error.pos_in_stream if error.pos_in_stream is not None else len(text)


def _accepted(error: UnexpectedInput) -> frozenset[str]:
    """The terminals with which the text could have gone on."""
    interactive = getattr(error, "interactive_parser", None)
    return frozenset(interactive.accepts()) if interactive is not None else frozenset()


# ---------------------------------------------------------------------------------------------- words for syntax errors


def _report(error: UnexpectedInput, text: str, file: str, reporter: Reporter) -> None:
    accepted = _accepted(error)
    position = _position(error, text)
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        found = str(error.token)
    else:
        found = _word_at(text, position)
    span = _span_at(text, position, max(1, len(found)), file)
    shown = found if len(found) <= 40 else found[:37] + "..."
    reporter.error(
        "LAM001",
        f"unexpected {f'`{shown}`' if found else 'end of the text'}",
        span,
        _expected(accepted),
        f"`{shown}`" if found else "the end of the text",
        _hint(found, text, position, accepted),
    )


def _span_at(text: str, position: int, length: int, file: str) -> Span:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return Span(file, line, column, line, column + length)


def _word_at(text: str, position: int) -> str:
    """The word, or else the run of one kind of sign, at a position."""
    match = re.compile(r"\w+|\*\*|&&|\|\||.", re.DOTALL).match(text, position)
    return match.group() if match else ""


def _expected(accepted: frozenset[str]) -> str:
    """Terminals in the reader's words; the many ways to begin or to carry on an expression are one word each."""
    words = []
    rest = set(accepted)
    if {"NUMBER", "OPEN_PARENTHESIS", "NAME"} <= rest:
        words.append("an expression")
        rest -= _EXPRESSION_START | {"NUMBER", "NAME", "AXIS"}
    elif rest & _OPERATORS:
        words.append("an operator")
        rest -= _OPERATORS | {"OPEN_BRACKET", "OPEN_PARENTHESIS"}
    if rest >= _STATEMENTS:
        words.append("a statement")
        rest -= _STATEMENTS
    if rest >= _ITEMS:
        words += ["`use`", "`const`", "`def`", "`layer`"]
        rest -= _ITEMS
    words += sorted(_TERMINAL_TEXT.get(terminal, f"`{terminal.lower()}`") for terminal in rest)
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _hint(found: str, text: str, position: int, accepted: frozenset[str]) -> str | None:
    signs = {
        "**": "a power is written `x^2`",
        "*": "a power is written `x^2`" if text[position - 1 : position] == "*" else None,
        "%": "there is no remainder; split the axis instead: `x[G*C]`",
        "&&": "write `and`",
        "&": "write `and`",
        "||": "write `or`",
        "|": "write `or`; an absolute value is `abs(x)`",
        "!": "write `not`",
        "=": "equality is written `==`" if "COMPARISON" in accepted else None,
        "@": "a matrix product is a sum over the axis that both have: `sum[K](a * b)`",
        ";": "statements need no separator",
        "'": "texts stand in double quotes",
    }
    if found in signs:
        return signs[found]
    if found[:1].isupper() and "NAME" in accepted and "AXIS" not in accepted:
        return f"tensors, functions and indices begin with a lower-case letter: `{found[:1].lower() + found[1:]}`"
    if found[:1].islower() and "AXIS" in accepted and "NAME" not in accepted and found not in _reserved():
        return f"axes and sizes begin with an upper-case letter: `{found[:1].upper() + found[1:]}`"
    if found in _reserved() and "NAME" in accepted and "NUMBER" not in accepted:
        return f"`{found}` is a word of the language; choose another name"
    if found in ("if", "else", "where"):
        return "a choice is written `select(condition, a, b)`"
    begins_line = not text[text.rfind("\n", 0, position) + 1 : position].strip()
    if found[:1].isalpha() and "LET" in accepted and begins_line:
        return "a statement begins with in, param, buffer, axis, require, accuracy, let or out"
    if found in ("==", "<", "<=", ">", ">=", "!="):
        return "comparisons do not chain: write `a < b and b < c`"
    return None


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    pattern = next(terminal.pattern.value for terminal in _parser().terminals if terminal.name == "NAME")
    return frozenset(re.findall(r"[a-z]+", pattern[: pattern.index(")")]))


# ---------------------------------------------------------------------------------------------- depth


def _sound(file: syntax.File, reporter: Reporter) -> syntax.File:
    """The file without its malformed statements, and without those nested so deep that a recursive function over them would exhaust
    Python's stack. What is left out is damage."""
    marks = [(d.span.line, d.span.column) for d in reporter.diagnostics if d.span.file == file.name and d.code != "LAM001"]
    items: list[syntax.Item] = []
    damage, names = list(file.damage), list(file.damaged_names)
    for item in file.items:
        if isinstance(item, syntax.Layer):
            statements = tuple(s for s in item.statements if not _holds(s.span, marks) and _shallow(s, reporter))
            damage += [s.span for s in item.statements if not any(s is kept for kept in statements)]
            items.append(dataclasses.replace(item, statements=statements))
        elif not _holds(item.span, marks) and _shallow(item, reporter):
            items.append(item)
        elif not isinstance(item, syntax.Use):
            names.append(item.name.name)
    return dataclasses.replace(file, items=tuple(items), damage=tuple(damage), damaged_names=tuple(names))


def _holds(span: Span, marks: list[tuple[int, int]]) -> bool:
    return any((span.line, span.column) <= mark < (span.end_line, span.end_column) for mark in marks)


def _shallow(statement: syntax.Node, reporter: Reporter) -> bool:
    level: list[syntax.Node] = [statement]
    for _ in range(MAXIMUM_DEPTH):
        level = [child for node in level for child in syntax.children(node)]
        if not level:
            return True
    reporter.error(
        "LAM004",
        "expression nested too deeply",
        level[0].span,
        f"at most {MAXIMUM_DEPTH} levels; each operator of a chain such as a + b + c is one",
        hint="give parts of it names with `let`",
    )
    return False
