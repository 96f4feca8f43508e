"""Finding and identifying compilers and processors, with stand-ins on a PATH of the test's own."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from lamina.errors import TargetError
from lamina.runtime import toolchain as module
from lamina.runtime.openmp import OpenMP
from lamina.runtime.processor import describe
from lamina.runtime.toolchain import flags_for, toolchain

GCC_ANSWER = "Target: x86_64-linux-gnu\\ngcc version 13.2.0 (Some Distribution 13.2)"
CLANG_ANSWER = "Some Distribution clang version 17.0.1\\nTarget: x86_64-pc-linux-gnu"
CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Some Processor
stepping\t: 8
microcode\t: 0x1
cpu MHz\t\t: 2000.000
cache size\t: 1024 KB
flags\t\t: fpu avx2 avx512f avx
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("LAMINA_CXX", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    return folder


def place(folder: Path, name: str, answer: str, exit_code: int = 0) -> Path:
    """A program that answers as a compiler asked for its version does, and counts how often it is asked."""
    program = folder / name
    program.write_text(f'#!/bin/sh\necho asked >> "$0.asked"\nprintf "{answer}\\n" >&2\nexit {exit_code}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_order_of_preference(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(programs, "clang++", CLANG_ANSWER)
    assert toolchain().family == "clang"
    assert toolchain().triple == "x86_64-pc-linux-gnu"
    place(programs, "g++", GCC_ANSWER)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}")  # a changed environment is looked at again
    assert toolchain().command == (str(programs / "g++"),)
    place(programs, "named", GCC_ANSWER)
    monkeypatch.setenv("CXX", "named -m64")
    assert toolchain().command == (str(programs / "named"), "-m64")
    assert toolchain().identity()["arguments"] == ["-m64"]
    monkeypatch.setenv("LAMINA_CXX", str(programs / "clang++"))
    assert toolchain().family == "clang"


def test_no_compiler_says_what_to_install(programs: Path) -> None:
    with pytest.raises(TargetError) as caught:
        toolchain()
    message = str(caught.value)
    assert "no C++ compiler was found" in message and "g++, c++, clang++" in message
    assert f"do: {module.install_hint()}" in message and "LAMINA_CXX" in message


@pytest.mark.parametrize("variable", ["LAMINA_CXX", "CXX"])
def test_named_compiler_must_be_there(programs: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    place(programs, "g++", GCC_ANSWER)
    monkeypatch.setenv(variable, "/absent/g++")
    with pytest.raises(TargetError, match=f"{variable} names is not there(.|\n)*found: {variable}=/absent/g\\+\\+"):
        toolchain()


@pytest.mark.parametrize(("answer", "exit_code"), [("hello", 0), (GCC_ANSWER, 1), ("", 0)])
def test_program_that_is_no_compiler(programs: Path, answer: str, exit_code: int) -> None:
    place(programs, "g++", answer, exit_code)
    with pytest.raises(TargetError, match=f"not a C\\+\\+ compiler that Lamina knows(.|\n)*exit code {exit_code}"):
        toolchain()


def test_compiler_is_asked_once_until_its_file_changes(programs: Path) -> None:
    program = place(programs, "g++", GCC_ANSWER)
    asked = Path(f"{program}.asked")
    module._identify((str(program),))
    assert module._identify((str(program),)) == ("gcc", "gcc 13.2.0 (Some Distribution 13.2)", "x86_64-linux-gnu")
    assert asked.read_text().split() == ["asked"]
    place(programs, "g++", GCC_ANSWER.replace("13.2.0", "14.1.0"))
    assert module._identify((str(program),))[1] == "gcc 14.1.0 (Some Distribution 13.2)"


def test_unwritable_cache_does_not_keep_the_compiler_from_being_found(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place(programs, "g++", GCC_ANSWER)
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "file" / "below"))
    assert toolchain().family == "gcc"


def test_identity_has_no_path_in_it(programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(programs, "g++", GCC_ANSWER)
    first = toolchain().identity()
    other = tmp_path / "other"
    shutil.copytree(programs, other)
    monkeypatch.setenv("PATH", str(other))
    assert toolchain().command[0].startswith(str(other))
    assert toolchain().identity() == first
    assert "/" not in repr(first)


def test_flags_follow_the_processor_and_never_reorder_a_whole_file() -> None:
    wide, narrow, arm = describe("x86_64", CPUINFO), describe("x86_64", "flags : avx2 avx"), describe("aarch64", "Features : asimd")
    assert "-mprefer-vector-width=512" in flags_for("gcc", wide).compile
    assert "-mprefer-vector-width=512" not in flags_for("gcc", narrow).compile
    assert "-mcpu=native" in flags_for("gcc", arm).compile and "-march=native" not in flags_for("gcc", arm).compile
    for family in ("gcc", "clang"):
        for target in (wide, narrow, arm):
            flags = " ".join(flags_for(family, target).compile)
            assert not any(word in flags for word in ("fast-math", "Ofast", "associative", "reciprocal", "finite", "unsafe"))


def test_torchs_runtime_is_linked_only_where_it_serves_the_compiler(programs: Path) -> None:
    place(programs, "g++", GCC_ANSWER)
    gcc = toolchain()
    assert "/x/libgomp.so.1" in gcc.build_command("a", "b", OpenMP("/x/libgomp.so.1", serves_gcc=True, serves_clang=False))
    assert "/x/libomp.so" not in gcc.build_command("a", "b", OpenMP("/x/libomp.so", serves_gcc=False, serves_clang=True))
    assert gcc.shares(None) is False


@pytest.mark.parametrize(
    ("features", "bits"), [("sse2 avx avx2 avx512f", 512), ("sse2 avx avx2", 256), ("sse2", 128), ("sse2 avx512fake", 128)]
)
def test_vector_width(features: str, bits: int) -> None:
    assert describe("x86_64", f"flags\t: {features}").vector_bits == bits


def test_digest_sees_what_the_compiler_sees_and_no_more() -> None:
    base = describe("x86_64", CPUINFO)
    for unseen in (
        ("2000.000", "3100.000"),
        ("0x1", "0x2"),
        ("stepping\t: 8", "stepping\t: 6"),
        ("processor\t: 0", "processor\t: 1"),
    ):
        assert describe("x86_64", CPUINFO.replace(*unseen)).digest == base.digest
    for seen in (("avx512f ", ""), ("143", "106"), ("1024 KB", "2048 KB"), ("GenuineIntel", "AuthenticAMD")):
        assert describe("x86_64", CPUINFO.replace(*seen)).digest != base.digest
    assert base.name == "Some Processor" and base.is_x86


def test_vector_width_agrees_with_the_compiler() -> None:
    macros = subprocess.run(
        ["g++", "-march=native", "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, text=True, check=True
    ).stdout
    from lamina.runtime.processor import processor

    if processor().is_x86:
        expected = 512 if "__AVX512F__" in macros else 256 if "__AVX__" in macros else 128
        assert processor().vector_bits == expected
