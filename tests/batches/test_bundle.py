import pickle

import pytest
import torch

from petseg.batches.bundle import Bundle

TENSORS = [
    torch.tensor([True, False, True]),  # three bytes: the next begins elsewhere
    torch.arange(6).view(2, 3).t(),  # not contiguous
    torch.empty(4, 0),
    torch.rand(2, 3, 5, dtype=torch.float64),
    torch.arange(7, dtype=torch.int16),
    torch.tensor(2.5),
    torch.empty(0, 3, dtype=torch.int64),
    torch.arange(256, dtype=torch.uint8),
]


EMPTY = [tensor for tensor in TENSORS if not tensor.nbytes]


@pytest.mark.parametrize("tensors", [*(TENSORS[:count] for count in range(len(TENSORS) + 1)), EMPTY])
def test_what_comes_out_is_what_went_in(tensors):
    bundle = Bundle.of(tensors)
    for each in (bundle, pickle.loads(pickle.dumps(bundle))):
        out = each.tensors()
        assert [(t.dtype, t.shape) for t in out] == [(t.dtype, t.shape) for t in tensors]
        assert all(map(torch.equal, out, tensors))


def test_it_is_one_piece_of_memory_whatever_it_holds():
    bundle = Bundle.of(TENSORS)
    first, last = bundle.memory.data_ptr(), bundle.memory.data_ptr() + bundle.memory.nbytes
    assert all(first <= t.data_ptr() < last for t in bundle.tensors() if t.nbytes)
    there = bundle.to(torch.device("meta"))
    assert [(t.dtype, t.shape, t.device.type) for t in there.tensors()] == [(t.dtype, t.shape, "meta") for t in TENSORS]


@pytest.mark.gpu
def test_pinned_and_on_a_gpu_it_is_the_same():
    pinned = Bundle.of(TENSORS).pin_memory()
    assert pinned.memory.is_pinned()
    there = pinned.to(torch.device("cuda"), non_blocking=True)
    assert all(torch.equal(t.cpu(), expected) for t, expected in zip(there.tensors(), TENSORS, strict=True))
