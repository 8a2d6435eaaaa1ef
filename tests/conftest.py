"""Settings for all tests."""

import os

import pytest
import torch
from hypothesis import settings

from ghn_init.cpu.bfloat16 import avoid_broken_bfloat16

avoid_broken_bfloat16()

# a busy machine may take long over an example; that is not what the tests are about
settings.register_profile("ghn_init", deadline=None, print_blob=True)
settings.load_profile("ghn_init")

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:  # processes side by side, and what they start, share the cores
    threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)


@pytest.fixture(scope="session")
def one_thread():
    """A single thread from here on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
