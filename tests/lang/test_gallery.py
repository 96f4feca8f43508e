"""A gallery of wrong specifications, each beside the exact text of its errors.

`gallery/NAME.lam` holds the specification and `gallery/NAME.txt` what the user sees. A first line `# layer: f` chooses a layer.
`pytest tests/lang --update-golden` writes the texts anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from lamina.errors import SpecError
from lamina.lang.check import load
from lamina.lang.diagnostics import CODES

GALLERY = Path(__file__).with_name("gallery")
NAMES = sorted(path.stem for path in GALLERY.glob("*.lam"))


def shown(name: str) -> str:
    """What the user sees of a specification of the gallery."""
    path = Path(f"{name}.lam")
    first = path.read_text(encoding="utf-8").split("\n")[0]
    layer = first.removeprefix("# layer: ") if first.startswith("# layer: ") else None
    with pytest.raises(SpecError) as caught:
        load(path, layer)
    return f"{caught.value}\n"


@pytest.mark.parametrize("name", NAMES)
def test_error_text(name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.chdir(GALLERY)
    golden = Path(f"{name}.txt")
    text = shown(name)
    if request.config.getoption("--update-golden"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_text_has_a_specification() -> None:
    assert sorted(path.stem for path in GALLERY.glob("*.txt")) == NAMES


def test_every_code_is_shown() -> None:
    """LAM005 (bytes that are not UTF-8) has a test of its own."""
    texts = "".join(path.read_text(encoding="utf-8") for path in GALLERY.glob("*.txt"))
    assert [code for code in CODES if code not in texts] == ["LAM005"]


def test_every_code_is_documented() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "errors.md").read_text(encoding="utf-8")
    rows = [line for line in page.split("\n") if line.startswith("| LAM")]
    assert rows == [f"| {code} | {meaning} |" for code, meaning in CODES.items()]
