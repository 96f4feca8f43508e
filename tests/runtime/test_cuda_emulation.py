"""The emulation of a device: blocks, threads, barriers and shuffles of kernels written by hand, run on the processor."""

from __future__ import annotations

import struct

import pytest
import torch
from lamina.errors import TargetError
from lamina.runtime.cuda.emulation import EmulatedKernels

SOURCE = r"""
extern "C" __global__ void scaled(const float* __restrict x, float* __restrict y, const int64_t n) {
    const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2 * x[i] + float(blockIdx.y);
}
extern "C" __global__ void summed(const double* x, double* y, const int64_t n) {
    __shared__ double part[128];
    double own = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) own += x[i + blockIdx.x * n];
    part[threadIdx.x] = own;
    for (int step = blockDim.x / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) part[threadIdx.x] += part[threadIdx.x + step];
    }
    if (threadIdx.x == 0) y[blockIdx.x] = part[0];
}
extern "C" __global__ void shuffles(const int64_t* x, int64_t* y) {
    int64_t value = x[threadIdx.x];
    for (int step = 4; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step, 8);
    y[threadIdx.x] = value;
    y[blockDim.x + threadIdx.x] = __shfl_down_sync(~0u, x[threadIdx.x], 3);
    y[2 * blockDim.x + threadIdx.x] = __shfl_sync(~0u, x[threadIdx.x], 5, 16);
}
extern "C" __global__ void divergent(int64_t* y) {
    if (threadIdx.x < 7) __syncthreads();
    y[threadIdx.x] = 1;
}
"""
NAMES = ("scaled", "summed", "shuffles", "divergent")


@pytest.fixture(scope="module")
def kernels() -> EmulatedKernels:
    return EmulatedKernels(SOURCE, NAMES, "by hand")


def words(*values: torch.Tensor | int) -> bytes:
    return struct.pack(f"{len(values)}q", *(each.data_ptr() if isinstance(each, torch.Tensor) else each for each in values))


def test_every_thread_of_every_block_runs(kernels: EmulatedKernels) -> None:
    x = torch.arange(1000, dtype=torch.float32)
    y = torch.full((1001,), -1.0)
    kernels.launch("scaled", (8, 1), 128, words(x, y, 1000))
    assert torch.equal(y[:1000], 2 * x)
    assert y[1000] == -1
    kernels.launch("scaled", (8, 2), 128, words(x, y, 1000))  # the second row of blocks runs after the first
    assert torch.equal(y[:1000], 2 * x + 1)


@pytest.mark.parametrize("threads", [128, 64, 1])
def test_barriers_hold_threads_back(kernels: EmulatedKernels, threads: int) -> None:
    x = torch.randn(5, 300, dtype=torch.float64)
    y = torch.zeros(5, dtype=torch.float64)
    kernels.launch("summed", (5,), threads, words(x, y, 300))
    torch.testing.assert_close(y, x.sum(1))


def test_shuffles_reach_the_lanes_they_name(kernels: EmulatedKernels) -> None:
    x = torch.randint(0, 1000, (64,))
    y = torch.zeros(3, 64, dtype=torch.int64)
    kernels.launch("shuffles", (1,), 64, words(x, y))
    assert torch.equal(y[0], x.view(8, 8).sum(1, keepdim=True).expand(8, 8).reshape(64))
    down = x.view(2, 32)
    assert torch.equal(y[1], torch.cat([down[:, 3:], down[:, 29:]], 1).reshape(64))
    assert torch.equal(y[2], x.view(4, 16)[:, 5:6].expand(4, 16).reshape(64))


def test_a_barrier_that_some_threads_miss_is_an_error(kernels: EmulatedKernels) -> None:
    y = torch.zeros(64, dtype=torch.int64)
    with pytest.raises(TargetError, match=r"divergent.*never come"):
        kernels.launch("divergent", (1,), 64, words(y))
    kernels.launch("divergent", (1,), 7, words(y))  # and the next launch runs as if nothing had been
    assert y.sum() >= 7
