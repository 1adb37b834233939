"""Out of memory is one sentence with remedies."""

import pytest
import torch

from petseg.runtime.errors import PetsegError
from petseg.training import session
from support import trainings


def sentence(fail, **overrides):
    """The error of a training in which `fail` is called."""
    training = trainings.settings(**overrides).training("unet")
    with pytest.raises(PetsegError) as error, session.open_session(training, trainings.PLAN, "0"):
        fail()
    return str(error.value)


def on_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def in_a_library():
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def in_another_library():
    raise RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED")


def on_a_cpu():
    torch.empty(2**60, dtype=torch.uint8)


def in_numpy():
    raise MemoryError("Unable to allocate 2.00 GiB for an array")


@pytest.mark.parametrize("fail", [on_a_gpu, in_a_library, in_another_library, on_a_cpu, in_numpy])
def test_out_of_memory_names_sizes_and_remedies(fail, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = sentence(fail, image_size=256, batch_size=64, **{"unet.width": 64})
    assert said == (
        "Out of memory on cpu with 64 images of 256 pixels at once; try train.micro_batch=32 (gradient "
        "accumulation), or batch_size=32, or image_size=128, or unet.width=32."
    )


def test_remedies_are_only_smaller_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence(on_a_cpu, **{"train.micro_batch": 2, "unet.width": 64}).endswith("at once; try unet.width=32.")
    assert "; try train.micro_batch=4 (gradient" in sentence(on_a_cpu, batch_size=16, **{"train.micro_batch": 8})
    assert "batch_size" not in sentence(on_a_cpu, batch_size=16, **{"train.micro_batch": 8})


def test_other_errors_are_not_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(RuntimeError, match="shape"),
        session.open_session(trainings.settings().training("unet"), trainings.PLAN, "0"),
    ):
        raise RuntimeError("The size of tensor a does not match: a shape")
