"""Arrays of used memory: never two owners at a time, never more kept than allowed."""

import gc

import numpy as np
import pytest

from annosim.simulation import memory


@pytest.fixture(autouse=True)
def clean():
    memory.release()
    yield
    memory.release()


def test_memory_comes_back_only_when_the_last_view_is_gone():
    first = memory.empty((1 << 20, 2), np.int32)
    place = first.ctypes.data
    part = first[10:20, 0]
    del first
    gc.collect()
    other = memory.empty((1 << 20, 2), np.int32)
    assert other.ctypes.data != place
    part[:] = 7
    other[:] = 1
    assert (part == 7).all()
    del part
    gc.collect()
    again = memory.empty((1 << 20, 2), np.int32)
    assert again.ctypes.data == place
    assert again.flags.writeable and again.flags.c_contiguous and again.flags.aligned


def test_small_and_huge_arrays_are_numpy_s():
    for shape in ((10,), (memory.KEEP + 1,)):
        array = memory.empty(shape, np.uint8)
        assert array.base is None
        del array
    assert not memory._store


def test_no_more_is_kept_than_allowed():
    arrays = [memory.empty((memory.KEEP // 4,), np.uint8) for _ in range(6)]
    arrays.clear()
    gc.collect()
    assert 0 < sum(p.nbytes for p in memory._store) <= memory.KEEP


def test_another_size_does_not_fit():
    array = memory.empty((1 << 22,), np.uint8)
    place = array.ctypes.data
    del array
    gc.collect()
    assert memory.empty((1 << 21,), np.uint8).ctypes.data != place
    assert len(memory._store) >= 1
