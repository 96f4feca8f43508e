"""Memory for large results: blocks that are handed out again once every tensor on them is gone.

In: shapes and dtypes. Out: tensors with undefined contents, each on a storage of its own and of exactly its size. Holds: a block
is handed out again only when nothing but the pool refers to its storage; a tensor on a block can do what any tensor can (be
resized, shared, pickled, outlive the pool); any number of threads may ask at once.

Why: the C library gives blocks of some ten megabytes back to the system when they are freed, and the page faults of the next one
cost more than the kernel that fills it.

The pool holds storages of torch's own allocator and asks for the number of references to each, instead of memory of its own that
a finalizer gives back: such storages could not be resized, and their finalizers would need the interpreter lock in whatever thread
drops the last tensor.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

VARIABLE = "LAMINA_POOL_MIB"
# Smaller blocks stay in the C library's free lists.
LARGE = 1 << 20
# Faults of 4 KiB pages matter less below; a block this long has whole huge pages in it wherever it begins.
_HUGE = 4 << 20
_SHARE_OF_MEMORY = 16
# A block that was not handed out for so long is given back; so are blocks beyond what was in use at once in one or two such spans.
_SECONDS = 10.0
# Every request looks at all blocks.
_MOST_BLOCKS = 256

_references: Callable[[int], int] | None = getattr(torch._C, "_storage_Use_Count", None)


class _Block:
    """A storage, and what it was when it was made; resizing and sharing change a storage in place."""

    __slots__ = ("address", "byte_count", "handle", "last", "storage")

    def __init__(self, storage: torch.UntypedStorage, last: float) -> None:
        self.storage = storage
        self.handle: int = storage._cdata
        self.address = storage.data_ptr()
        self.byte_count = storage.nbytes()
        self.last = last

    def held(self) -> tuple[int, int]:
        """References to the storage, and to its Python object, which `Tensor.untyped_storage` gives to whoever asks."""
        assert _references is not None
        return _references(self.handle), sys.getrefcount(self.storage)

    def unchanged(self) -> bool:
        storage = self.storage
        return storage.data_ptr() == self.address and storage.nbytes() == self.byte_count and storage.resizable()

    def tensor(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.empty(0, dtype=dtype, device="cpu").set_(self.storage, 0, shape, strides)


@cache
def _idle() -> tuple[int, int] | None:
    """What `held` says of a block that nothing else refers to; None where this torch cannot tell."""
    if _references is None:
        return None
    block = _Block(torch.UntypedStorage(64), 0.0)
    idle = block.held()
    tensor = block.tensor((1,), (1,), torch.float32)
    by_tensor = block.held()
    kept = tensor.untyped_storage()
    del tensor
    by_object = block.held()
    del kept
    return idle if idle == block.held() and idle not in (by_tensor, by_object) else None


class Pool:
    """Blocks in use and idle ones, at most `limit` bytes, and at most what was in use at once of late.

    Blocks handed out are only watched: one that is forgotten lives as long as the tensors on it.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Starts anew: idle blocks are freed."""
        self._lock = threading.Lock()
        self._blocks: list[_Block] = []  # in the order in which they were last handed out
        self._began = self._clock()
        self._peak = self._last_peak = 0  # bytes in use at once, in this span and in the one before

    @property
    def byte_count(self) -> int:
        """Bytes of all blocks, in use or idle."""
        return sum(block.byte_count for block in self._blocks)

    def tensor(self, shape: Sequence[int], strides: Sequence[int], dtype: torch.dtype, byte_count: int) -> Tensor:
        """A tensor with undefined contents, on an idle block if there is one of `byte_count` bytes, else on a new one."""
        if not self.limit or _idle() is None:
            return torch.empty_strided(shape, strides, dtype=dtype, device="cpu")
        # Whoever finds the lock taken goes without: no thread waits, and a finalizer that runs in here cannot get stuck.
        if byte_count > self.limit or not self._lock.acquire(blocking=False):
            return _Block(_allocated(byte_count), 0.0).tensor(shape, strides, dtype)
        try:
            found = self._reused(byte_count) or self._added(byte_count)
            return found.tensor(shape, strides, dtype)
        finally:
            self._lock.release()

    def _reused(self, byte_count: int) -> _Block | None:
        """An idle block of that size, now the latest; what is beyond the bounds with `byte_count` more in use is dropped."""
        now, free = self._clock(), _idle()
        kept: list[_Block] = []
        idle: list[_Block] = []
        found = None
        used = byte_count
        for block in reversed(self._blocks):
            if block.held() != free:
                used += block.byte_count
                kept.append(block)
            elif now - block.last <= _SECONDS and block.unchanged():
                if found is None and block.byte_count == byte_count:
                    found = block
                else:
                    idle.append(block)
        if now - self._began > _SECONDS:
            self._last_peak = self._peak if now - self._began <= 2 * _SECONDS else 0
            self._began, self._peak = now, 0
        self._peak = max(self._peak, used)
        excess = used + sum(block.byte_count for block in idle) - min(self.limit, max(self._last_peak, self._peak))
        # Programs come round to the same sizes: the idle block handed out last is the one wanted again last. If that is not
        # enough, results that somebody keeps for good fill the pool: the oldest are the likeliest.
        kept.reverse()
        for droppable in (idle, kept):
            while droppable and (excess > 0 or len(kept) + len(idle) >= _MOST_BLOCKS):
                excess -= droppable.pop(0).byte_count
        self._blocks = sorted([*kept, *idle], key=lambda block: block.last)
        if found is not None:
            found.last = now
            self._blocks.append(found)
        return found

    def _added(self, byte_count: int) -> _Block:
        block = _Block(_allocated(byte_count), self._clock())
        self._blocks.append(block)
        return block


def _allocated(byte_count: int) -> torch.UntypedStorage:
    """A storage of torch's allocator; a long one is to be backed by huge pages, where the system has any left."""
    storage = torch.UntypedStorage(byte_count)
    advise = _advice()
    if byte_count >= _HUGE and advise is not None:
        begin = -(-storage.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (storage.data_ptr() + byte_count) // mmap.PAGESIZE * mmap.PAGESIZE
        advise(begin, end - begin, mmap.MADV_HUGEPAGE)
    return storage


@cache
def _advice() -> Callable[[int, int, int], int] | None:
    """madvise(2), on Linux."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    function = ctypes.CDLL(None).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


def _memory() -> int:
    """Bytes of memory that this process may use: the machine's, or what its control group leaves of them."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
        found = min(found, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return found


@cache
def pool() -> Pool:
    """The process's pool, bounded by LAMINA_POOL_MIB, which is read once (0: no pool), else by a sixteenth of the memory."""
    try:
        limit = max(0, int(os.environ[VARIABLE])) << 20
    except (KeyError, ValueError):
        limit = _memory() // _SHARE_OF_MEMORY
    made = Pool(limit)
    if hasattr(os, "register_at_fork"):  # another thread may hold the lock as this one forks
        os.register_at_fork(after_in_child=made.forget)
    return made
