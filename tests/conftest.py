"""Options that all tests share."""

from __future__ import annotations

import os

# Triton decides when it is imported whether kernels are interpreted; torch may import it in any test.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Threads that wait by spinning take most of the time of kernels as small as these; read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the expected texts of golden tests anew")
