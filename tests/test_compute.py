import pytest
import torch

from petseg import compute
from petseg.runtime import machine
from petseg.runtime.errors import PetsegError
from support import trainings

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_memory_format_follows_device_and_width(monkeypatch, precision):
    monkeypatch.setattr(machine, "processes", lambda: 2)
    monkeypatch.setenv("PETSEG_WORKERS", "8")
    how = {"train.precision": precision}
    narrow = trainings.settings(**how).training("unet")
    wide = trainings.settings(**how, **{"unet.width": 16}).training("unet")
    assert str(compute.choose(narrow, CPU)) == f"cpu, {precision}, channels first"
    assert str(compute.choose(wide, CPU)) == f"cpu, {precision}, channels last"
    assert str(compute.choose(narrow, GPU)) == f"cuda:0, {precision}, channels last"
    assert compute.choose(narrow, CPU).workers == 0
    assert compute.choose(narrow, GPU).workers == 4  # for each of the two processes
    monkeypatch.setenv("PETSEG_WORKERS", "1")
    assert compute.choose(narrow, GPU).workers == 1


@pytest.mark.parametrize("flags", [{"sse2", "avx512_bf16"}, {"amx_bf16"}, {"bf16"}, {"sse2", "avx512f"}])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_emulated_bf16_is_a_warning(monkeypatch, capsys, flags, precision):
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    compute.warn_if_emulated(compute.Plan(CPU, precision, True, compiled=False, workers=0))
    warned = "cpu only emulates bf16" in capsys.readouterr().err
    assert warned == (precision == "bf16" and flags == {"sse2", "avx512f"})


@pytest.mark.parametrize("channels_last", [False, True])
def test_inputs_are_pixels_and_truth(channels_last):
    images, trimaps = trainings.squares(2)
    images[0, 3, 5] = (1, 2, 255)
    trimaps[0, 3, 5] = 1
    chosen = compute.Plan(CPU, "fp32", channels_last, compiled=False, workers=0)
    pixels, truth = chosen.inputs(torch.from_numpy(images), torch.from_numpy(trimaps != 2))
    assert pixels.shape == (2, 3, 64, 64)
    assert pixels[0, :, 3, 5].tolist() == [1, 2, 255]
    assert pixels.is_contiguous(memory_format=chosen.memory_format)
    assert truth.shape == (2, 1, 64, 64)
    assert truth[0, 0, 3, 5] == 1
    assert truth.sum() == (trimaps != 2).sum()
    assert pixels.dtype == truth.dtype == torch.float32


def test_autocast_computes_convolutions_in_the_precision():
    x, w = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with compute.Plan(CPU, precision, False, compiled=False, workers=0).autocast():
            assert torch.nn.functional.conv2d(x, w).dtype == dtype


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    MemoryError("Unable to allocate 2.00 GiB for an array"),
]


@pytest.mark.parametrize("error", [None, *ERRORS])
def test_out_of_memory_says_where_and_what_to_try(error):
    expected = r"^Out of memory on cpu with batches of 16 images of 256 pixels; try x=1, or y=2\.$"
    advice = compute.explain_out_of_memory(trainings.PLAN, 16, 256, ["x=1", "y=2"])
    with pytest.raises(PetsegError, match=expected), advice:
        if error:
            raise error
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shape"), compute.explain_out_of_memory(trainings.PLAN, 16, 256, ["x=1"]):
        raise RuntimeError("The size of tensor a does not match: a shape")
