"""Every test here has a cache folder of its own; a test that means to share one with a subprocess passes the environment on."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LAMINA_CACHE", str(folder))
    return folder
