"""Options that all tests share."""

from __future__ import annotations

import os

# Triton decides when it is imported whether kernels are interpreted; torch may import it in any test.
os.environ.setdefault("TRITON_INTERPRET", "1")

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the expected texts of golden tests anew")
