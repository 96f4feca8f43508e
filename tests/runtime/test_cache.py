"""The artefact cache, with build functions that need no compiler."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from lamina.errors import ArgumentError, TargetError
from lamina.runtime import cache


def recipe(source: str = "text", **settings: str) -> cache.Recipe:
    return cache.Recipe("example", source, "kernel.txt", "kernel.bin", settings)


class Builder:
    """Upper-cases the source, and counts how often it is asked to."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, folder: Path) -> str:
        self.count += 1
        (folder / "kernel.bin").write_text((folder / "kernel.txt").read_text().upper())
        return "log text"


def test_second_request_is_a_hit() -> None:
    builder = Builder()
    first, second = cache.obtain(recipe(), builder), cache.obtain(recipe(), builder)
    assert first == second and first.read_text() == "TEXT"
    assert builder.count == 1


@pytest.mark.parametrize("other", [recipe("text "), recipe(flag="-O3"), recipe(flag="-O2")])
def test_source_and_settings_are_in_the_key(other: cache.Recipe) -> None:
    assert other.key != recipe().key
    assert recipe(flag="-O3").key != recipe(flag="-O2").key


def test_name_and_order_of_settings_are_not_in_the_key() -> None:
    first = cache.Recipe("one", "s", "a", "b", {"x": "1", "y": "2"})
    second = cache.Recipe("two", "s", "a", "b", {"y": "2", "x": "1"})
    assert first.key == second.key


def test_entry_holds_source_artefact_key_and_log() -> None:
    folder = cache.obtain(recipe(flag="-O3"), Builder()).parent
    assert sorted(path.name for path in folder.iterdir()) == ["build.log", "kernel.bin", "kernel.txt", "key.json"]
    assert (folder / "kernel.txt").read_text() == "text"
    assert (folder / "build.log").read_text() == "log text"
    clear = json.loads((folder / "key.json").read_text())
    assert clear["key"] == folder.name == recipe(flag="-O3").key
    assert clear["settings"] == {"flag": "-O3"}
    assert clear["artefact"]["size"] == 4


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered", "no record", "record not JSON"])
def test_damaged_entry_is_set_aside_and_built_again(damage: str) -> None:
    builder = Builder()
    artefact = cache.obtain(recipe(), builder)
    record = artefact.parent / "key.json"
    {
        "missing": lambda: artefact.unlink(),
        "truncated": lambda: artefact.write_text("TEX"),
        "altered": lambda: artefact.write_text("TEXY"),
        "no record": lambda: record.unlink(),
        "record not JSON": lambda: record.write_text("{"),
    }[damage]()
    assert cache.obtain(recipe(), builder).read_text() == "TEXT"
    assert builder.count == 2
    assert [entry.state for entry in cache.entries()] == ["good", "bad"]
    assert (artefact.parent.parent / f"{recipe().key}.bad").is_dir()


def test_leftovers_of_a_killed_build_are_removed() -> None:
    folder = cache.obtain(recipe(), Builder()).parent
    leftover = folder.with_name(f"{folder.name}.tmp-dead")
    folder.rename(leftover)
    cache.obtain(recipe(), Builder())
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_failed_build_keeps_source_and_log_and_names_them() -> None:
    def refuse(folder: Path) -> str:
        raise cache.BuildFailure("line 1 is wrong", "a long log")

    with pytest.raises(TargetError) as caught:
        cache.obtain(recipe(), refuse)
    message = str(caught.value)
    assert "building 'example' failed: line 1 is wrong" in message
    kept = {label: Path(path) for label, path in re.findall(r"(source|log): (.*)", message)}
    assert kept["source"].read_text() == "text" and kept["log"].read_text() == "a long log"
    assert [entry.state for entry in cache.entries()] == ["failed"]
    # The failure is not remembered: the next request tries again.
    assert cache.obtain(recipe(), Builder()).read_text() == "TEXT"


def test_failure_of_another_kind_leaves_no_entry() -> None:
    def interrupt(folder: Path) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.obtain(recipe(), interrupt)
    assert cache.entries() == ()
    assert list((cache.root() / "v1" / "artefacts").iterdir()) == []


def test_processes_that_want_the_same_artefact_build_it_once(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            from pathlib import Path
            from lamina.runtime import cache

            def build(folder):
                with open(sys.argv[1], "a") as builds:
                    builds.write(f"{os.getpid()}\\n")
                time.sleep(0.5)  # long enough that every process asks while one builds
                (folder / "kernel.bin").write_text("ARTEFACT")
                return ""

            Path(f"{sys.argv[1]}.{os.getpid()}.ready").touch()
            while not Path(f"{sys.argv[1]}.go").exists():
                time.sleep(0.001)
            print(cache.obtain(cache.Recipe("example", "text", "kernel.txt", "kernel.bin", {}), build).read_text())
            """
        )
    )
    builds = tmp_path / "builds"
    count = 5
    workers = [subprocess.Popen([sys.executable, script, builds], stdout=subprocess.PIPE, text=True) for _ in range(count)]
    while len(list(tmp_path.glob("builds.*.ready"))) < count and all(worker.poll() is None for worker in workers):
        pass
    (tmp_path / "builds.go").touch()
    outputs = [worker.communicate(timeout=60)[0].strip() for worker in workers]
    assert outputs == ["ARTEFACT"] * count
    assert len(builds.read_text().split()) == 1


def test_everything_is_private(cache_folder: Path) -> None:
    cache.obtain(recipe(), Builder())
    cache.put_json("plans", "key", 1)
    folders = [cache_folder, *(path for path in cache_folder.rglob("*") if path.is_dir())]
    assert len(folders) >= 5
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def test_folder_that_others_can_write_to_is_refused(cache_folder: Path) -> None:
    (cache_folder / "v1").mkdir(parents=True)
    os.chmod(cache_folder / "v1", 0o777)
    with pytest.raises(TargetError, match=r"mode 0700\n  found: owner \d+, mode 0777\n  do: chmod 0700"):
        cache.obtain(recipe(), Builder())


def test_what_others_could_have_planted_is_not_used(cache_folder: Path) -> None:
    cache.put_json("facts", "key", 1)
    cache.obtain(recipe(), Builder())
    os.chmod(cache_folder / "v1", 0o722)
    assert cache.get_json("facts", "key") is None
    with pytest.raises(TargetError, match="could place code there"):
        cache.obtain(recipe(), Builder())


def test_existing_folder_keeps_its_mode(cache_folder: Path) -> None:
    cache_folder.mkdir()
    os.chmod(cache_folder, 0o755)
    cache.obtain(recipe(), Builder())
    assert cache_folder.stat().st_mode & 0o777 == 0o755
    assert (cache_folder / "v1").stat().st_mode & 0o777 == 0o700


def test_folder_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(TargetError, match=r"file/below/v1 cannot be made: .*\n  do: set the environment variable LAMINA_CACHE"):
        cache.obtain(recipe(), Builder())


def test_without_the_variable_the_platforms_folder_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LAMINA_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.root().name == "lamina" and tmp_path in cache.root().parents
    assert not cache.root().exists()


def test_explain_takes_a_beginning_of_one_key() -> None:
    cache.obtain(recipe("first"), Builder())
    cache.obtain(recipe("second", flag="-O3"), Builder())
    key = recipe("second", flag="-O3").key
    [(entry, clear)] = cache.explain(key[:20])
    assert entry.key == key and clear["settings"] == {"flag": "-O3"}
    with pytest.raises(ArgumentError, match="2 keys begin with ''"):
        cache.explain("")
    with pytest.raises(ArgumentError, match="no entry's key begins with 'xyz'"):
        cache.explain("xyz")


def test_clear_removes_every_byte_of_content() -> None:
    folder = cache.obtain(recipe(), Builder()).parent
    folder.with_name(f"{folder.name}.tmp-dead").mkdir()
    cache.put_json("plans", "key", [1, 2])
    before = cache.size()
    assert before > 0
    assert cache.clear() == before
    assert cache.size() == 0 and cache.entries() == ()
    assert cache.get_json("plans", "key") is None
    assert cache.obtain(recipe(), Builder()).read_text() == "TEXT"


def test_listing_an_absent_cache_makes_nothing(cache_folder: Path) -> None:
    assert cache.entries() == () and cache.size() == 0 and cache.clear() == 0
    assert cache.get_json("plans", "key") is None
    assert not cache_folder.exists()


def test_json_values_are_kept_by_namespace_and_key() -> None:
    cache.put_json("plans", "any text\n/..", {"a": [1, None, "β"]})
    cache.put_json("plans", "any text\n/..", {"a": [2]})
    cache.put_json("others", "any text\n/..", 3)
    assert cache.get_json("plans", "any text\n/..") == {"a": [2]}
    assert cache.get_json("others", "any text\n/..") == 3
    assert cache.get_json("plans", "else") is None


def test_damaged_json_value_reads_as_absent(cache_folder: Path) -> None:
    cache.put_json("plans", "key", [1, 2, 3])
    [path] = (cache_folder / "v1" / "plans").iterdir()
    path.write_text(path.read_text()[:-3])
    assert cache.get_json("plans", "key") is None


@pytest.mark.parametrize("namespace", ["artefacts", "locks", "../x", "", "A"])
def test_namespace_must_be_a_plain_word_of_its_own(namespace: str) -> None:
    with pytest.raises(ValueError, match="not a namespace"):
        cache.put_json(namespace, "key", 1)


def test_value_that_is_not_json_leaves_the_old_one(cache_folder: Path) -> None:
    cache.put_json("plans", "key", 1)
    with pytest.raises(TypeError):
        cache.put_json("plans", "key", object())
    assert cache.get_json("plans", "key") == 1
    assert len(list((cache_folder / "v1" / "plans").iterdir())) == 1
