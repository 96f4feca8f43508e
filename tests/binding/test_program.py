"""Programs written by hand, built, loaded and run: the calling convention, without the generator."""

from __future__ import annotations

import threading

import pytest
import torch
from lamina.runtime import native
from lamina.runtime.execute import Bound, collapsed_strides
from lamina.runtime.program import NativeExecutable
from lamina.schedule.program import Argument, InputSignature, Program, Signature

# y[..., c] = x[..., c] * s[c], x read at any strides; the product passes through a scratch row for each thread.
SCALE = r"""
#include <cstdint>
extern "C" __attribute__((visibility("default"))) void scale(
    void* const* data, const int64_t* integers, int64_t threads) {
  const float* x = static_cast<const float*>(data[0]);
  const float* s = static_cast<const float*>(data[1]);
  float* y = static_cast<float*>(data[2]);
  float* row = static_cast<float*>(data[3]);
  const int64_t rows = integers[0], columns = integers[1], outer = integers[2], inner = integers[3];
  (void)threads;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) row[c] = x[r * outer + c * inner] * s[c];
    for (int64_t c = 0; c < columns; ++c) y[r * columns + c] = row[c];
  }
}
"""
PROGRAM = Program(
    name="scale",
    direction="forward",
    target="cpp",
    source=SCALE,
    symbol="scale",
    arguments=(
        Argument("x", "input", "f32", ("n['...']", "n['C']")),
        Argument("s", "input", "f32", ("n['C']",)),
        Argument("y", "output", "f32", ("n['...']", "n['C']")),
        Argument("row", "temporary", "f32", ("threads", "n['C']")),
    ),
    integers=("n['...']", "n['C']"),
    strides=(("x", 0), ("x", 1)),
    report=(("loops", "two"),),
)


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> NativeExecutable:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMINA_CACHE", str(tmp_path_factory.mktemp("cache")))
        return NativeExecutable(PROGRAM, native.library(PROGRAM.source, PROGRAM.name))


def bound(x: torch.Tensor) -> Bound:
    rows = x.shape[:-1].numel()
    return Bound({"...": rows, "C": x.shape[-1]}, tuple(x.shape[:-1]))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (4,), (0, 4), (2, 0, 4)])
def test_any_leading_shape(executable: NativeExecutable, shape: tuple[int, ...]) -> None:
    x, s = torch.randn(shape), torch.randn(shape[-1])
    (y,) = executable.prepare([x, s], bound(x))([x, s])
    assert y.is_contiguous() and torch.equal(y, x * s)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(5, 8)[:, 2:6],
        torch.randn(4, 5).t(),
        torch.randn(4).expand(5, 4),
        torch.ones(()).expand(2, 3, 4),
        torch.randn(2, 3, 9)[..., ::2],
    ],
    ids=["slice", "transposed", "broadcast", "one number", "every other"],
)
def test_any_strides(executable: NativeExecutable, x: torch.Tensor) -> None:
    s = torch.randn(x.shape[-1])
    (y,) = executable.prepare([x, s], bound(x))([x, s])
    assert torch.equal(y, x * s)


def test_launcher_fills_the_same_outputs(executable: NativeExecutable) -> None:
    x, s = torch.randn(3, 4), torch.randn(4)
    run, (y,) = executable.launcher([x, s], bound(x))
    run()
    assert torch.equal(y, x * s)
    x.mul_(2)
    run()
    assert torch.equal(y, x * s)


def test_threads_share_a_prepared_call(executable: NativeExecutable) -> None:
    x, s = torch.randn(64, 32), torch.randn(32)
    call = executable.prepare([x, s], bound(x))
    wrong: list[int] = []

    def work(number: int) -> None:
        mine = x + number
        for _ in range(200):
            if not torch.equal(call([mine, s])[0], mine * s):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_program_and_signature_survive_json() -> None:
    assert Program.from_json(PROGRAM.to_json()) == PROGRAM
    signature = Signature((InputSignature("x", "bf16", "strided"), InputSignature("a", "f32")), "bf16")
    assert Signature.from_json(signature.to_json()) == signature
    assert signature.compute == "f32"
    assert Signature((InputSignature("x", "f32"), InputSignature("a", "f64")), "f32").compute == "f64"


def test_leading_dimensions_collapse_only_where_uniform() -> None:
    x = torch.empty(2, 3, 4)
    assert collapsed_strides(x.shape, x.stride(), 0, 2) == (4, 1)
    assert collapsed_strides(x.shape, x[:, ::1].stride(), None, 0) == (12, 4, 1)
    sliced = torch.empty(2, 6, 4)[:, :3]
    assert collapsed_strides(sliced.shape, sliced.stride(), 0, 2) is None
    assert collapsed_strides((1, 3, 4), (99, 4, 1), 0, 2) == (4, 1)
    assert collapsed_strides((4,), (1,), 0, 0) == (0, 1)
