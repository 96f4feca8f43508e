"""The pool of large blocks: what is handed out again, what is not, how much is kept, and by whom it may be asked."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
import threading
from multiprocessing.reduction import ForkingPickler

import lamina
import pytest
import torch
from lamina.runtime import memory
from lamina.runtime.memory import LARGE, Pool
from torch import Tensor

MEBI = 1 << 20


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(pool: Pool, mebibytes: float = 1) -> Tensor:
    count = int(mebibytes * MEBI) // 4
    return pool.tensor((count,), (1,), torch.float32, 4 * count)


def address(pool: Pool) -> int:
    return asked(pool).data_ptr()


def test_a_block_is_handed_out_again_and_not_while_it_is_in_use():
    pool = Pool(64 * MEBI)
    first = asked(pool)
    second = asked(pool)
    assert first.data_ptr() != second.data_ptr()
    places = {first.data_ptr(), second.data_ptr()}
    del first, second
    assert {asked(pool).data_ptr() for _ in range(4)} <= places
    assert pool.byte_count == 2 * MEBI


def test_tensors_have_the_shape_strides_and_dtype_asked_for_and_a_storage_of_just_their_size():
    pool = Pool(64 * MEBI)
    for _ in range(2):
        result = pool.tensor((2, 3, 1 << 16), (3 << 16, 1 << 16, 1), torch.complex64, 8 * (6 << 16))
        assert result.shape == (2, 3, 1 << 16) and result.is_contiguous() and result.dtype == torch.complex64
        assert result.untyped_storage().nbytes() == result.nbytes
        assert result.data_ptr() % 64 == 0
        assert not result.requires_grad and result._base is None
        del result


HOLDERS = {
    "view": lambda tensor: tensor[5:],
    "detached": lambda tensor: tensor.detach(),
    "numpy": lambda tensor: tensor.numpy(),
    "storage": lambda tensor: tensor.untyped_storage(),
    "dlpack": lambda tensor: torch.utils.dlpack.to_dlpack(tensor),
    "graph": lambda tensor: torch.ones(1, requires_grad=True) * tensor,
    "set": lambda tensor: torch.empty(0).set_(tensor),
    "lazy clone": lambda tensor: torch._lazy_clone(tensor),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_memory_that_anything_refers_to_is_not_handed_out(holder):
    pool = Pool(64 * MEBI)
    result = asked(pool).zero_()
    place = result.data_ptr()
    held = HOLDERS[holder](result)
    del result
    others = [asked(pool).fill_(1.0) for _ in range(3)]
    if holder == "lazy clone":  # its own copy, or the memory itself
        assert not held.any()
    else:
        assert place not in [other.data_ptr() for other in others]
    del held


def test_a_resized_tensor_keeps_its_contents_and_its_memory():
    pool = Pool(64 * MEBI)
    result = asked(pool).fill_(3.0)
    result.resize_(2 * result.numel())
    assert bool((result[: MEBI // 4] == 3.0).all())
    del result
    assert asked(pool).untyped_storage().nbytes() == MEBI
    emptied = asked(pool)
    emptied.untyped_storage().resize_(0)
    del emptied
    assert asked(pool).fill_(1.0).sum() == MEBI // 4


def test_after_numpy_has_seen_a_result_another_one_can_still_be_resized():
    pool = Pool(64 * MEBI)
    result = asked(pool)
    result.numpy()
    del result
    asked(pool).resize_(MEBI)


def test_memory_shared_with_other_processes_is_not_handed_out_again():
    pool = Pool(64 * MEBI)
    result = asked(pool).fill_(3.0)
    result.share_memory_()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # waits, then looks; by numpy, as torch's threads did not come along
        os.read(read, 1)
        os._exit(0 if bool((result.numpy() == 3.0).all()) else 1)
    del result
    for _ in range(3):
        asked(pool).fill_(1.0)
    os.write(write, b"x")
    assert os.waitpid(child, 0)[1] == 0
    os.close(read)
    os.close(write)


def test_a_result_sent_between_processes_arrives_as_it_was():
    pool = Pool(64 * MEBI)
    result = asked(pool).fill_(3.0)
    received = pickle.loads(ForkingPickler.dumps(result))  # what a queue does
    del result
    for _ in range(3):
        asked(pool).fill_(1.0)
    assert bool((received == 3.0).all())


def test_copies_and_pickles_hold_the_tensor_and_no_more():
    pool = Pool(64 * MEBI)
    result = asked(pool).fill_(3.0)
    copied = copy.deepcopy(result)
    file = io.BytesIO()
    torch.save(result, file)
    assert len(file.getvalue()) < MEBI + 4096
    del result
    asked(pool).fill_(1.0)
    file.seek(0)
    assert bool((copied == 3.0).all()) and bool((torch.load(file) == 3.0).all())


def test_what_is_kept_is_bounded_by_what_was_in_use_at_once():
    pool = Pool(64 * MEBI)
    for round_number in range(40):  # lengths that never come again
        asked(pool, 1 + round_number / 64)
        assert pool.byte_count <= (2 + round_number / 64) * MEBI
    results = [asked(pool, 1 + k / 64) for k in range(4)]
    bound = sum(result.nbytes for result in results)
    del results
    for k in range(40):
        asked(pool, 1 + k / 64)
        assert pool.byte_count <= bound + MEBI


def test_what_is_kept_is_bounded_by_the_limit():
    pool = Pool(4 * MEBI)
    results = []
    for _ in range(8):
        results.append(asked(pool))
        assert pool.byte_count <= 4 * MEBI
    assert len({result.data_ptr() for result in results}) == 8
    assert asked(pool, 5).nbytes == 5 * MEBI
    assert pool.byte_count <= 4 * MEBI


def test_results_that_are_kept_for_good_do_not_take_the_pool_from_the_others():
    pool = Pool(4 * MEBI)
    kept = [asked(pool) for _ in range(100)]
    places = {address(pool) for _ in range(10)}
    assert len(places) == 1
    del kept


def test_the_number_of_blocks_is_bounded():
    pool = Pool(1 << 40)
    results = [pool.tensor((4,), (1,), torch.float32, 16) for _ in range(2 * memory._MOST_BLOCKS)]
    assert len(pool._blocks) <= memory._MOST_BLOCKS
    del results


def test_blocks_that_are_not_used_again_are_given_back():
    clock = Clock()
    pool = Pool(64 * MEBI, clock)
    results = [asked(pool, 3) for _ in range(4)]
    del results
    clock.now = 2 * memory._SECONDS
    asked(pool)
    assert pool.byte_count == MEBI


def test_a_training_step_finds_its_blocks_again():
    """Two results as long as the step, and temporaries of other sizes between: only the temporaries may be new each time."""
    pool = Pool(64 * MEBI)
    places = []
    for _ in range(5):
        value = asked(pool, 4)
        asked(pool, 1)
        gradient = asked(pool, 4)
        asked(pool, 1.5)
        places.append({value.data_ptr(), gradient.data_ptr()})
        del value, gradient
    assert len(set.union(*places[1:])) == 2


def test_threads_never_share_a_block():
    pool = Pool(64 * MEBI)
    wrong = []

    def work(number: int) -> None:
        for _ in range(100):
            results = [asked(pool, size).fill_(number) for size in (1, 1, 1.25)]
            wrong.extend(result for result in results if not bool((result == number).all()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert pool.byte_count <= 2 * 3.25 * 8 * MEBI  # the results of a round live until the next one's are bound


def test_whoever_finds_the_pool_busy_gets_memory_of_its_own():
    pool = Pool(64 * MEBI)
    with pool._lock:  # held by another thread, or by this one, which a finalizer interrupts
        result = asked(pool).fill_(1.0)
    assert pool.byte_count == 0
    assert result.nbytes == MEBI


def test_no_pool_where_torch_cannot_tell_who_refers_to_a_storage(monkeypatch):
    monkeypatch.setattr(memory, "_references", None)
    memory._idle.cache_clear()
    try:
        pool = Pool(64 * MEBI)
        assert asked(pool).nbytes == MEBI
        assert pool.byte_count == 0
    finally:
        memory._idle.cache_clear()


@pytest.mark.parametrize(("value", "expected"), [("0", 0), ("3", 3 * MEBI), ("-1", 0)])
def test_the_variable_sets_the_limit(monkeypatch, value, expected):
    monkeypatch.setenv(memory.VARIABLE, value)
    assert memory.pool.__wrapped__().limit == expected


def test_without_the_variable_the_limit_is_a_share_of_the_memory(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory.pool.__wrapped__().limit <= total // 16


# ---------------------------------------------------------------------------------------------- layers

SQUARES = "layer squares { in x[B, C]  out y[B, C] = x * x + sum[C](x) }"


@pytest.fixture
def poisoned(monkeypatch):
    """A pool of the test's own whose tensors are full of NaN."""
    pool = Pool(256 * MEBI)
    given = pool.tensor
    monkeypatch.setattr(pool, "tensor", lambda *arguments: given(*arguments).fill_(torch.nan))
    monkeypatch.setattr("lamina.runtime.program.pool", lambda: pool)
    return pool


def test_large_results_and_gradients_come_from_the_pool_and_are_all_written(poisoned):
    layer = lamina.compile(SQUARES)
    x = torch.randn(600, 601, requires_grad=True)
    assert x.nbytes >= LARGE
    for _ in range(3):
        value = layer(x)
        (gradient,) = torch.autograd.grad(value, x, torch.ones_like(value))
        expected = x * x + x.sum(1, keepdim=True)
        torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(gradient, 2 * x + 601, atol=1e-3, rtol=1e-4)
        assert not gradient.requires_grad
        del value, gradient
    assert poisoned.byte_count == 2 * x.nbytes


def test_small_results_do_not_come_from_the_pool(poisoned):
    lamina.compile(SQUARES)(torch.randn(3, 5))
    assert poisoned.byte_count == 0


def test_results_made_in_inference_mode_and_outside_of_it_use_one_pool(poisoned):
    layer = lamina.compile(SQUARES)
    x = torch.randn(600, 601)
    with torch.inference_mode():
        result = layer(x)
        assert result.is_inference()
    del result
    result = layer(x)
    assert not result.is_inference()
    result += 1  # an inference tensor could not be changed here
    assert poisoned.byte_count == x.nbytes


def test_a_compiled_program_uses_the_pool(poisoned):
    layer = lamina.compile(SQUARES)
    x = torch.randn(600, 601)
    program = torch.compile(lambda x: layer(x + 1) * 2, backend="aot_eager")
    for _ in range(2):
        torch.testing.assert_close(program(x), 2 * ((x + 1) ** 2 + (x + 1).sum(1, keepdim=True)), atol=1e-3, rtol=1e-4)
    assert poisoned.byte_count == x.nbytes


# ---------------------------------------------------------------------------------------------- processes

CHILD = """
import os, sys, threading
import torch, lamina
layer = lamina.compile("layer squares { in x[B, C]  out y[B, C] = x * x + sum[C](x) }")
x = torch.randn(1000, 2001, requires_grad=True)
"""


def in_child(text: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHILD + text], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_forked_process_goes_on_with_a_pool_of_its_own():
    text = """
from lamina.runtime.memory import pool
kept = layer(x).detach()
before = kept.clone()
layer(x)
pool()._lock.acquire()  # as if another thread were in the pool
child = os.fork()
if child == 0:
    torch.set_num_threads(1)
    assert pool().byte_count == 0
    first = layer(x.detach() + 1)
    place = first.data_ptr()
    del first
    assert layer(x.detach()).data_ptr() == place
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert torch.equal(kept, before)
print("done")
"""
    assert in_child(text, OMP_NUM_THREADS="1") == "done\n"


def test_results_may_live_until_the_interpreter_ends():
    text = """
import atexit
kept = layer(x)
sys.modules["somewhere"] = kept  # outlives this module
thread = threading.Thread(target=lambda: kept.sum().backward())
thread.start()
atexit.register(lambda: print(tuple(layer(x).shape)))
thread.join()
"""
    assert in_child(text) == "(1000, 2001)\n"


PEAK = """
def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key + ":"))

def step(rows):
    part = x[:rows]
    values = [part]
    for _ in range(4):
        values.append(torch.tanh(layer(values[-1])))
    values[-1].sum().backward()
    x.grad = None
    del values
    temporary = torch.empty(2, rows, 2001).fill_(1.0)

for rows in lengths:
    step(rows)
print(status("VmHWM"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("lengths", [[1000] * 6, [1000, 700, 999, 640, 901, 555, 998]])
def test_the_peak_of_memory_does_not_grow(lengths):
    """Layers with eager operations between, and an eager temporary when all blocks are idle; lengths that do not come again."""
    text = f"lengths = {lengths}\n{PEAK}"
    settled = {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(MEBI)}
    in_child(text, **settled)  # fills the cache: what compiling takes is not the question
    without = int(in_child(text, LAMINA_POOL_MIB="0", **settled))
    pooled = int(in_child(text, **settled))
    assert pooled <= 1.03 * without, (pooled, without)
