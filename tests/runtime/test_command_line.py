"""The command line, run as users run it: output, errors and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lamina.cli import application, main
from lamina.errors import ArgumentError, TargetError
from lamina.runtime import cache


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def fill(name: str = "example", text: str = "text") -> str:
    def build(folder: Path) -> str:
        (folder / "kernel.so").write_text("artefact")
        return "log"

    recipe = cache.Recipe(name, text, "kernel.cpp", "kernel.so", {"flags": ["-O3", "-fopenmp"], "toolchain": {"family": "gcc"}})
    cache.obtain(recipe, build)
    return recipe.key


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert run("--version", capsys=capsys) == (0, f"lamina {version('lamina')}\n", "")


@pytest.mark.parametrize("arguments", [("frobnicate",), ("--frobnicate",), ("cache", "explain"), ("cache", "frobnicate")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 2 and out == "" and "Usage: lamina" in err


@pytest.mark.parametrize(("error", "code"), [(ArgumentError("wrong shape\n  do: this"), 1), (TargetError("no compiler"), 3)])
def test_errors_are_text_without_traceback(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> tuple[cache.Entry, ...]:
        raise error

    monkeypatch.setattr(cache, "entries", fail)
    assert run("cache", "ls", capsys=capsys) == (code, "", f"{error}\n")


def test_cache_ls(capsys: pytest.CaptureFixture[str], cache_folder: Path) -> None:
    key = fill()
    code, out, _ = run("cache", "ls", capsys=capsys)
    assert code == 0 and key[:12] in out and "example" in out and f"1 entry, {cache.size()} B in {cache_folder}" in out
    code, out, _ = run("cache", "ls", "--json", capsys=capsys)
    listed = json.loads(out)
    assert code == 0 and listed["size"] == cache.size()
    assert [(entry["key"], entry["state"]) for entry in listed["entries"]] == [(key, "good")]


def test_cache_explain(capsys: pytest.CaptureFixture[str]) -> None:
    key = fill()
    code, out, _ = run("cache", "explain", key[:8], capsys=capsys)
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0 and rows["key"] == key and rows["flags"] == "-O3 -fopenmp" and rows["toolchain.family"] == "gcc"
    code, out, _ = run("cache", "explain", key, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)[0]["settings"]["flags"] == ["-O3", "-fopenmp"]
    code, out, err = run("cache", "explain", "xyz", capsys=capsys)
    assert (code, out) == (1, "") and err == "no entry's key begins with 'xyz'.\n  do: `lamina cache ls` lists the keys\n"


def test_cache_clear(capsys: pytest.CaptureFixture[str]) -> None:
    fill()
    before = cache.size()
    code, out, _ = run("cache", "clear", "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["freed"] == before and cache.size() == 0


def test_doctor_finds_this_machines_tools(capsys: pytest.CaptureFixture[str], cache_folder: Path) -> None:
    import torch

    code, out, _ = run("doctor", "--json", capsys=capsys)
    report = json.loads(out)
    values = {fact["name"]: fact["value"] for fact in report["facts"]}
    assert code == 0 and report["good"] is True
    assert values["torch"] == torch.__version__ and values["threads"] == str(torch.get_num_threads())
    assert f"runs on {torch.get_num_threads()} threads" in values["trial kernel"]
    assert cache.entries() == ()
    assert "-bit vectors" in values["processor"] and str(cache_folder) in values["cache"]
    assert {"python", "compiler", "openmp", "triton", "cuda devices"} <= set(values)


def test_doctor_without_a_compiler_says_what_to_install(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("CXX", "LAMINA_CXX")}
    result = subprocess.run(
        [sys.executable, "-m", "lamina.cli", "doctor"], env={**environment, "PATH": str(empty)}, capture_output=True, text=True
    )
    assert result.returncode == 3
    assert "compiler: no C++ compiler was found." in result.stdout
    assert "install" in result.stdout.split("do:")[1]
    assert "Traceback" not in result.stdout + result.stderr


def test_doctor_with_a_compiler_that_does_not_compile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiler = tmp_path / "half-g++"
    compiler.write_text('#!/bin/sh\n[ "$*" = -v ] && exec g++ -v\necho "fatal error: no assembler" >&2; exit 1\n')
    compiler.chmod(0o700)
    monkeypatch.setenv("LAMINA_CXX", str(compiler))
    code, out, _ = run("doctor", capsys=capsys)
    assert code == 3 and "trial kernel: the compiler refuses the source" in out and "no assembler" in out


def test_doctor_without_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch_cpu.so is broken')")
    result = subprocess.run(
        [sys.executable, "-m", "lamina.cli", "doctor"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 3
    assert "torch: libtorch_cpu.so is broken\n  do: install PyTorch" in result.stdout and "Traceback" not in result.stderr


def test_doctor_with_a_cache_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "file" / "below"))
    code, out, _ = run("doctor", capsys=capsys)
    assert code == 3 and "cache: the cache folder" in out and "set the environment variable LAMINA_CACHE" in out


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    names = [command.name for command in application().registered_commands]
    names += [group.name for group in application().registered_groups]
    assert {"cache", "doctor"} <= set(names)
    for name in names:
        code, out, _ = run(str(name), "--help", capsys=capsys)
        assert code == 0 and f"lamina {name}" in out
