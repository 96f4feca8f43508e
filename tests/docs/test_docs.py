"""Every example of the documentation, run as a reader would run it.

In: README.md and the documents under docs. Holds, document by document, in an empty folder, blocks in the order of the text:
- a ```lam block passes the front end, and its graph is built and verified; with a first line `# error: CODE` it fails with that
  code and no other. A block whose first line is `# NAME.lam: ...` is also written to that file, for the blocks after it.
- a ```python block whose first line has `# runs` is run; the blocks of a document share their names.
- an ```output block right after one of those is what it printed, or the text of its error; `...` stands for anything.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from lamina.errors import SpecError, TargetError
from lamina.ir.build import build
from lamina.ir.verify import verify
from lamina.lang.check import check_file, load
from lamina.lang.parse import parse
from lamina.report.stages import DIRECTIONS, stages

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))
SPECIFICATIONS = sorted((ROOT / "examples" / "specs").glob("*.lam"))
NOT_COMPILED = "# Not compiled yet:"
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\w+\.lam)\b")
_ERROR = re.compile(r"# error: (LAM\d{3})\s*\Z")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int
    after: int  # where the block before it ends, and where it starts itself: an output belongs to the block right before it
    start: int
    end: int

    @property
    def first_line(self) -> str:
        return self.text.split("\n", 1)[0]


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        after = found[-1].end if found else 0
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match[1], match[2], line, after, match.start(), match.end()))
    return found


def specification(block: Block) -> str:
    """Checks a ```lam block; gives the text of its error, where it is meant to have one."""
    wanted = _ERROR.match(block.first_line)
    named = _FILE.match(block.first_line)
    name = named[1] if named else "example.lam"
    Path(name).write_text(block.text, encoding="utf-8")
    if wanted is None:
        file = parse(block.text, name)
        layers = check_file(file)
        assert len(layers) == len(re.findall(r"^ *layer\b", block.text, re.MULTILINE)), "a layer cannot be checked without sizes"
        for layer in layers:
            verify(build(layer))
        return ""
    with pytest.raises(SpecError) as caught:
        check_file(parse(block.text, name))
    assert {diagnostic.code for diagnostic in caught.value.diagnostics} == {wanted[1]}
    return str(caught.value)


def program(block: Block, names: dict[str, object], document: Path) -> str:
    """Runs a ```python block; gives what it printed."""
    # the line numbers of a traceback are those of the document
    code = compile("\n" * block.line + block.text, str(document), "exec", dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return printed.getvalue()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_examples(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    shown: str | None = None
    source = document.read_text(encoding="utf-8")
    for block in blocks(document):
        if block.language == "output":
            assert shown is not None and not source[block.after : block.start].strip(), f"line {block.line}: an output of nothing"
            wanted = block.text
            assert doctest.OutputChecker().check_output(wanted, shown, _LENIENT), f"line {block.line}: the output is\n{shown}"
            continue
        shown = None
        try:
            if block.language == "lam":
                shown = specification(block)
            elif block.language == "python" and "# runs" in block.first_line:
                shown = program(block, names, document)
        except Exception as problem:
            raise AssertionError(f"{document.name}, line {block.line}: {problem}") from problem


def test_the_documents_have_examples() -> None:
    languages = [block.language for document in DOCUMENTS for block in blocks(document)]
    assert languages.count("lam") > 70 and languages.count("python") > 25 and languages.count("output") > 25


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in _LINK.findall(_CODE.sub("", document.read_text(encoding="utf-8"))):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("path", SPECIFICATIONS, ids=lambda path: path.stem)
def test_example_specifications(path: Path) -> None:
    """Each file holds one layer of its own name, which is compiled in every direction, or says that it is not yet."""
    checked = load(path)
    assert checked.name == path.stem
    verify(build(checked))

    def compile_all() -> None:
        for direction in DIRECTIONS:
            assert stages(checked, direction).program.source

    if NOT_COMPILED in path.read_text(encoding="utf-8"):
        with pytest.raises(TargetError):
            compile_all()
    else:
        compile_all()
