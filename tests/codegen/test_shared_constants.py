"""The constants that the code generator and the runtime headers must agree on."""

from __future__ import annotations

import re
from importlib import resources

from lamina.codegen.cpp import program
from lamina.schedule import tiles


def constants(header: str) -> dict[str, int]:
    text = resources.files("lamina.templates.cpp").joinpath(header).read_text(encoding="utf-8")
    return {name: int(value) for name, value in re.findall(r"\b(\w+) = (\d+)[;,]", text)}


def test_workspace_of_products() -> None:
    found = constants("product.hpp")
    assert found["block_depth"] * (found["block_columns"] + found["block_rows"]) == program.WORKSPACE


def test_rows_of_tiles() -> None:
    assert constants("tiles.hpp")["tile_unit"] == tiles.TILE_UNIT


def test_workspace_of_transforms() -> None:
    found = constants("fft.hpp")
    names = ("block_points", "least_lines", "most_lines", "longest_shared")
    assert [found[name] for name in names] == [getattr(program, name.upper()) for name in names]


def test_shares_of_the_rows() -> None:
    found = constants("loops.hpp")
    assert (found["shares_per_thread"], found["most_shared_words"]) == (program.SHARES, program.SHARED_WORDS)
