"""Programs that run a tile at a time, forced to do so on small tensors, against the interpreter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kernel_cases import CONTRACTIONS
from kernel_cases_tiles import TILES
from kernel_harness import Prepared, build_together, check, prepare
from lamina.schedule import tiles

CASES = {**TILES, **{f"product: {name}": case for name, case in CONTRACTIONS.items()}}
# beside these, every case has a loop over tiles in some program
WHOLE = ("linear attention",)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    monkeypatch.setattr(tiles, "WORTH_TILING", 0)
    monkeypatch.setattr(tiles, "LEAST_ROWS", 2)
    monkeypatch.setattr(tiles, "TILE_ELEMENTS", 64)
    monkeypatch.setattr(tiles, "TILE_UNIT", 4)
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield


def tiled(prepared: Prepared) -> bool:
    return "lamina::tiles_of" in prepared.program.source


@pytest.mark.parametrize("name", CASES)
def test_as_interpreted(name: str) -> None:
    case = CASES[name]
    prepared = prepare(case, [dtype for dtype in case.dtypes if dtype != "f32"])
    if name in TILES and name not in WHOLE:
        assert any(tiled(each) for each in prepared)
    check(case, prepared, build_together([each.program for each in prepared], "tiles"))


@pytest.mark.parametrize(
    ("name", "threads", "count"), [("a basis", "threads", 1), ("a basis of groups", "1", 1), ("attention", "1", 2)]
)
def test_operands_that_tiles_share_are_packed_once(name: str, threads: str, count: int) -> None:
    forward = prepare(TILES[name], ["f64"])[0].program
    assert forward.source.count(f"lamina::pack_right<Real>({threads}, ") == count
    assert sum(argument.name.startswith("packed_") for argument in forward.arguments) == count


@pytest.mark.slow
@pytest.mark.parametrize("name", TILES)
def test_as_interpreted_in_single_precision(name: str) -> None:
    prepared = prepare(TILES[name], ["f32"] if "f32" in TILES[name].dtypes else [])
    check(TILES[name], prepared, build_together([each.program for each in prepared], "tiles"))
