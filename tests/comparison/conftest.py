import pytest
from comparison_parts import QUICK, Tiny

from ghn_init.comparison import compare


@pytest.fixture(autouse=True, scope="session")
def as_in_processes(one_thread):
    """As in the processes that a comparison starts, so that sums are the same to the last bit."""


@pytest.fixture(scope="session")
def quick():
    """A comparison in this process that nothing interrupted."""
    return compare(Tiny, "digits", QUICK)
