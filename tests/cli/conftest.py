"""Command line tests: a runner, and a cache of their own for the whole run, so that equal kernels are built once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lamina.cli import main


@pytest.fixture(scope="session", autouse=True)
def cache_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


class Lamina:
    """Runs commands in this process: exit code, standard output, standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = self.capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    def json(self, *arguments: str | Path) -> Any:
        code, out, err = self(*arguments, "--json")
        assert (code, err) == (0, ""), err
        return json.loads(out)


@pytest.fixture
def unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A specification that nothing has been derived from yet: neither this process, which keeps every layer's functions under a
    name made of its text, nor the cache, which is the test's own."""
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "unseen.lam"
    path.write_text(
        f"layer unseen {{ # {tmp_path.name}\n  in x[..., C]\n  let e = exp(x - max[C](x))\n  out y[..., C] = e / sum[C](e)\n}}"
    )
    return path


@pytest.fixture
def lamina_cli(capsys: pytest.CaptureFixture[str]) -> Lamina:
    return Lamina(capsys)
