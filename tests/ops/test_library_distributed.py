"""Every library entry under DistributedDataParallel: two processes over gloo average the gradients of their halves."""

import tempfile
from pathlib import Path

import pytest
from distributed_cases import PROCESSES, check_every_entry
from torch import distributed, multiprocessing


@pytest.mark.slow
@pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs gloo")
def test_gradients_are_averaged_over_processes():
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = Path(folder, "rendezvous").as_uri()
        multiprocessing.spawn(check_every_entry, args=(rendezvous,), nprocs=PROCESSES)
