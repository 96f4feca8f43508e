"""CUDA C++ to cubins: the compiler, the cache, what is said of a refused source, resources read from the disassembly."""

from __future__ import annotations

from pathlib import Path

import pytest
from lamina.errors import TargetError
from lamina.runtime.cuda import build, compilers, disassembly

SOURCE = """
extern "C" __global__ void moved(const float4* __restrict x, float4* __restrict y, const long long n) {
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    __shared__ float side[64];
    side[threadIdx.x] = x[i].x;
    __syncthreads();
    if (i < n) {
        float4 value = x[i];
        value.x = __expf(value.y) * value.z + side[threadIdx.x ^ 1];
        y[i] = value;
    }
}
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))


@pytest.mark.parametrize("architecture", compilers.ARCHITECTURES)
def test_a_cubin_and_its_resources(architecture: str) -> None:
    artefact = build.build(SOURCE, name="moved", architecture=architecture)
    assert artefact == build.build(SOURCE, name="moved", architecture=architecture)
    (found,) = disassembly.resources(artefact)
    assert found.kernel == "moved"
    assert 8 <= found.registers <= 64
    assert found.shared >= 256
    assert sum(size * count for size, count in found.loads.items()) >= 16
    assert found.stores == {16: 1}
    assert found.pipes["mufu"] == 1
    assert found.stack == 0 == found.local
    assert disassembly.spilled(build.build_log(artefact)) == {"moved": 0}


def test_architecture_and_flags_are_part_of_the_key() -> None:
    keys = {
        build.recipe(SOURCE, "moved", architecture, options).key
        for architecture in ("sm_80", "sm_90")
        for options in ((), ("--fmad=false",))
    }
    assert len(keys) == 4
    flags = build.flags_for(("--fmad=false",))
    assert "--fmad=false" in flags
    assert "--fmad=true" not in flags


def test_a_refused_source_is_kept_with_the_reason() -> None:
    with pytest.raises(TargetError, match=r"undefined|identifier") as refusal:
        build.build('extern "C" __global__ void k() { missing(); }', name="wrong", architecture="sm_90")
    assert "kernel.cu" in str(refusal.value)


def test_what_is_no_architecture_is_refused() -> None:
    with pytest.raises(TargetError, match="sm_90"):
        build.build(SOURCE, name="moved", architecture="hopper")


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "_nvrtc_candidates", list)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(TargetError, match="pip install"):
        compilers.compiler()


def test_a_named_compiler_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_NVRTC", "/nonexistent/libnvrtc.so")
    with pytest.raises(TargetError, match="LAMINA_NVRTC"):
        compilers.compiler()
