import pytest

from petseg.runtime.errors import PetsegError
from petseg.training import session
from support import trainings


def remedies(**overrides):
    """The message of a training that runs out of memory."""
    training = trainings.settings(**overrides).training("unet")
    with pytest.raises(PetsegError) as error, session.open_session(training, trainings.PLAN, "0", None):
        raise MemoryError
    return str(error.value).partition("; try ")[2]


def test_out_of_memory_in_training_proposes_smaller_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    large = remedies(image_size=256, batch_size=64, **{"unet.width": 64})
    assert large == "train.micro_batch=32, or image_size=128, or unet.width=32."
    assert remedies(batch_size=16, **{"train.micro_batch": 8}) == "train.micro_batch=4, or unet.width=4."
    assert remedies(**{"train.micro_batch": 2, "unet.width": 64}) == "unet.width=32."
