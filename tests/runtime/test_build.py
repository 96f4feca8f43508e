"""Sources to shared objects to calls, with the compiler of this machine."""

from __future__ import annotations

import ctypes
import json
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy
import pytest
from lamina.errors import TargetError
from lamina.runtime import cache
from lamina.runtime.build import assembly, build
from lamina.runtime.native import library, load

EXPORT = 'extern "C" __attribute__((visibility("default")))'
SCALE = f"""
{EXPORT} void scale(const float* x, float* y, long length, float factor) {{
#pragma omp parallel for schedule(static)
  for (long i = 0; i < length; ++i) y[i] = factor * x[i];
}}
"""


def call_scale(handle: ctypes.CDLL, values: numpy.ndarray, factor: float) -> numpy.ndarray:
    result = numpy.empty_like(values)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (values, result)]
    handle.scale(*pointers, ctypes.c_long(values.size), ctypes.c_float(factor))
    return result


def test_compile_load_and_run() -> None:
    values = numpy.arange(10_007, dtype=numpy.float32)
    assert numpy.array_equal(call_scale(library(SCALE, "scale"), values, 0.5), values * numpy.float32(0.5))


def test_library_is_built_and_loaded_once() -> None:
    path = build(SCALE, name="scale")
    written = path.stat().st_mtime_ns
    assert build(SCALE, name="other name") == path
    assert path.stat().st_mtime_ns == written
    assert load(path) is load(str(path))


def test_truncated_artefact_is_built_again() -> None:
    path = build(SCALE, name="scale")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert build(SCALE, name="scale") == path
    assert path.read_bytes() == whole


def test_only_exported_functions_are_visible() -> None:
    source = f"float hidden(float x) {{ return x; }}\n{EXPORT} float shown(float x) {{ return hidden(x) + 1; }}"
    handle = load(build(source, name="visibility"))
    assert handle.shown is not None
    with pytest.raises(AttributeError):
        _ = handle.hidden


def test_artefact_and_record_name_no_folder(cache_folder: Path) -> None:
    path = build(SCALE, name="scale")
    assert str(cache_folder).encode() not in path.read_bytes()
    record = json.loads((path.parent / "key.json").read_text())
    assert "/" not in json.dumps(record["settings"])


def test_refused_source_names_the_first_error_and_the_files() -> None:
    with pytest.raises(TargetError) as caught:
        build("int broken( {\n", name="broken")
    message = str(caught.value)
    assert "building 'broken' failed: the compiler's exit code is 1: kernel.cpp:1:" in message
    [failed] = cache.entries()
    assert failed.state == "failed" and failed.name == "broken"
    assert f"source: {failed.folder / 'kernel.cpp'}" in message and f"log: {failed.folder / 'build.log'}" in message
    assert (failed.folder / "kernel.cpp").read_text() == "int broken( {\n"
    assert "error" in (failed.folder / "build.log").read_text()


def test_missing_function_fails_at_the_build() -> None:
    with pytest.raises(TargetError, match=r"undefined.*absent"):
        build(f'extern "C" int absent(); {EXPORT} int f() {{ return absent(); }}', name="undefined")


def test_damaged_library_is_a_target_error(tmp_path: Path) -> None:
    damaged = tmp_path / "kernel.so"
    damaged.write_bytes(b"not a library")
    with pytest.raises(TargetError, match=r"kernel\.so cannot be loaded"):
        load(damaged)


def test_assembly_shows_the_function() -> None:
    text = assembly(SCALE)
    assert "scale:" in text and "GOMP_parallel" in text
    with pytest.raises(TargetError, match="refuses the source"):
        assembly("int broken( {")


def test_mathematics_library_and_half_precision_are_linked() -> None:
    source = f"""
    {EXPORT} double bessel(double x) {{ return __builtin_j0(x); }}
    {EXPORT} float complex_product(float a, float b) {{
      __complex__ float z; __real__ z = a; __imag__ z = b; z = z * z; return __real__ z; }}
    """
    handle = load(build(source, name="mathematics"))
    handle.bessel.restype, handle.bessel.argtypes = ctypes.c_double, [ctypes.c_double]
    assert handle.bessel(0.0) == 1.0
    handle.complex_product.restype, handle.complex_product.argtypes = ctypes.c_float, [ctypes.c_float, ctypes.c_float]
    assert handle.complex_product(3.0, 4.0) == -7.0


def test_many_processes_compile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls"
    compiler = tmp_path / "counting-g++"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *kernel.cpp*) echo call >> "{calls}";; esac\nexec g++ "$@"\n')
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("LAMINA_CXX", str(compiler))
    code = f"from lamina.runtime.native import library; print(library({SCALE!r}, 'scale').scale is not None)"
    workers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [worker.communicate(timeout=120)[0].strip() for worker in workers] == ["True"] * 3
    assert calls.read_text().split() == ["call"]


THREADS = f"""
extern "C" int omp_get_max_threads(void);
extern "C" int omp_get_num_threads(void);
{EXPORT} int limit() {{ return omp_get_max_threads(); }}
{EXPORT} int team() {{
  int count = 0;
#pragma omp parallel
#pragma omp single
  count = omp_get_num_threads();
  return count;
}}
"""


def run_with_torch(before: str) -> dict[str, Any]:
    """Runs a kernel in a fresh process and reports the OpenMP runtimes mapped and the thread counts seen by both sides."""
    code = f"""
    import ctypes, json
    {before}
    import torch
    from lamina.runtime.native import library
    from lamina.runtime.openmp import openmp
    kernel = library({THREADS!r}, "threads")
    counts = []
    for threads in (3, 1, 2):
        torch.set_num_threads(threads)
        torch.ones(1_000_000).exp()
        counts.append([threads, torch.get_num_threads(), kernel.limit(), kernel.team()])
    with open("/proc/self/maps") as maps:
        mapped = sorted({{line.split()[-1] for line in maps if "gomp" in line or "iomp" in line}})
    print(json.dumps({{"mapped": mapped, "counts": counts, "openmp": openmp().path}}))
    """
    output = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True).stdout
    report: dict[str, Any] = json.loads(output)
    return report


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_kernel_runs_on_torchs_threads_and_adds_no_runtime() -> None:
    report = run_with_torch("")
    assert report["mapped"] == [report["openmp"]]
    assert report["counts"] == [[threads] * 4 for threads in (3, 1, 2)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_kernel_follows_torch_where_the_systems_runtime_came_first() -> None:
    system = subprocess.run(["g++", "-print-file-name=libgomp.so.1"], capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(system):
        pytest.skip("the compiler has no shared OpenMP runtime of its own")
    report = run_with_torch(f"ctypes.CDLL({system!r}, mode=ctypes.RTLD_GLOBAL)")
    assert report["counts"] == [[threads] * 4 for threads in (3, 1, 2)]
    # Torch asks for its runtime by name and gets the one that is there: still no more than one.
    assert len(report["mapped"]) == 1
