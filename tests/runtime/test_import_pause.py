"""The collector is off within the pause, on after it, and does not look at what was made meanwhile."""

import gc

import pytest

from nmjax.runtime.import_pause import without_collection


@pytest.fixture(autouse=True)
def collector():
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_pauses_and_leaves_out_what_was_made():
    frozen = gc.get_freeze_count()
    with without_collection():
        assert not gc.isenabled()
        made = [[i] for i in range(5_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(made)


def test_an_error_turns_it_on_again():
    with pytest.raises(ImportError), without_collection():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off():
    gc.disable()
    with without_collection():
        pass
    assert not gc.isenabled()
