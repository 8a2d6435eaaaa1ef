import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import GHN_CONFIG, SMALL

from ghn_init.training.architectures import ArchitectureStream
from ghn_init.training.meta_batches import MetaBatches, balanced

COSTS = st.lists(st.floats(1, 1e6), min_size=1, max_size=40)


@given(COSTS, st.integers(1, 8))
def test_everything_is_shared_out_once(costs, parts):
    shares = balanced(costs, parts)
    assert sorted(index for share in shares for index in share) == list(range(len(costs)))


@given(COSTS, st.integers(1, 8))
def test_no_share_is_far_above_the_best_possible(costs, parts):
    # Graham, 1969: the largest first is within 4/3 of the best, which is at least the mean and the largest
    loads = [sum(costs[index] for index in share) for share in balanced(costs, parts)]
    second = sorted(costs)[-parts - 1] + sorted(costs)[-parts] if len(costs) > parts else 0
    bound = max(sum(costs) / parts, max(costs), second)
    assert max(loads) <= (4 / 3) * bound * (1 + 1e-9)


@pytest.fixture
def stream():
    return ArchitectureStream(SMALL, 5, 0)


def test_the_shares_of_all_ranks_make_up_the_meta_batch(stream):
    whole = MetaBatches(stream, GHN_CONFIG, 6)[2]
    parts = [MetaBatches(stream, GHN_CONFIG, 6, rank, 3)[2] for rank in range(3)]
    assert all(parts)
    together = sorted((place, entry.name) for part in parts for place, entry in part)
    assert together == [(place, entry.name) for place, entry in whole]


@pytest.mark.parametrize("workers", [0, 1])
def test_steps_come_in_order_from_where_one_asks(stream, workers):
    batches = MetaBatches(stream, GHN_CONFIG, 2)
    found = list(batches.from_step(2, workers))
    expected = [batches[step] for step in (2, 3, 4)]
    assert [[entry.name for _, entry in share] for share in found] == [
        [entry.name for _, entry in share] for share in expected
    ]
    assert [entry.graph.nodes for _, entry in found[0]] == [entry.graph.nodes for _, entry in expected[0]]
    assert all(parameter.is_meta for _, entry in found[0] for parameter in entry.skeleton.parameters())
