import torch
from hypothesis import given
from hypothesis import strategies as st

from ghn_init.merging import Classes
from ghn_init.merging.classes import refined
from ghn_init.merging.tensors import reduced, regrouped

runs = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 8)), min_size=1, max_size=4)
some = runs.map(lambda found: Classes(tuple((size, min(size, period)) for size, period in found)))


def labels(classes):
    """For each channel what it is equal by: the number of its run and the place in its period."""
    return [(run, place % period) for run, (size, period) in enumerate(classes.runs) for place in range(size)]


@given(some)
def test_the_first_of_equal_channels_is_kept(classes):
    expected = labels(classes)
    assert classes.size == len(expected)
    assert classes.count == len(set(expected)) == len(classes.first) == len(classes.counts)
    assert classes.first.tolist() == [expected.index(one) for one in dict.fromkeys(expected)]
    assert [expected[classes.first[place]] for place in classes.of] == expected
    assert classes.counts.tolist() == [expected.count(one) for one in dict.fromkeys(expected)]
    assert classes.all_distinct == (len(set(expected)) == len(expected))


@given(some, st.integers(1, 10))
def test_what_repeats_with_another_period_fits_where_equal_channels_get_equal_numbers(classes, period):
    numbers = torch.arange(classes.size) % period
    same = all(numbers[place] == numbers[classes.first[kept]] for place, kept in enumerate(classes.of))
    # a run can be cut before the period shows
    assert not classes.fits(period) or same
    assert classes.fits(1)


@given(some, st.integers(1, 12), st.integers(1, 9))
def test_refined_classes_are_equal_in_both(classes, cut, period):
    other = Classes.joined(
        Classes.repeated(size, period) for size in (min(cut, classes.size), classes.size - cut) if size > 0
    )
    common = refined(classes, other)
    assert common.size == classes.size
    x, y = torch.randn(2, classes.count), torch.randn(2, other.count)
    finer = regrouped(x, classes, common), regrouped(y, other, common)
    torch.testing.assert_close(finer[0][:, common.of], x[:, classes.of])
    torch.testing.assert_close(finer[1][:, common.of], y[:, other.of])


@given(some, st.integers(1, 5))
def test_flattened_places_keep_to_their_channels(classes, places):
    x = torch.randn(2, classes.count, places)
    whole = x[:, classes.of].flatten(1)
    torch.testing.assert_close(x.flatten(1)[:, classes.spread(places).of], whole)


@given(some, some)
def test_a_reduced_matrix_gives_what_the_whole_one_gives(rows, columns):
    block = torch.randn(rows.count, columns.count, dtype=torch.float64)
    weight = block[rows.of][:, columns.of].requires_grad_()
    x, weights = (torch.randn(3, n, dtype=torch.float64) for n in (columns.count, rows.size))
    y = x @ reduced(weight, rows, columns).t()
    expected = x[:, columns.of] @ weight.t()
    torch.testing.assert_close(y[:, rows.of], expected)
    # what follows treats equal outputs alike
    alike = weights[:, rows.first][:, rows.of]
    gradients = [
        torch.autograd.grad((out * alike).sum(), weight, retain_graph=True)[0] for out in (y[:, rows.of], expected)
    ]
    torch.testing.assert_close(*gradients)
