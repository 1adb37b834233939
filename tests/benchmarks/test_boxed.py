"""The script that makes the network of the package, on a few rendered pets."""

import io
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import boxed
from petseg.data.sources.synthetic import draw
from petseg.models import weights
from support.archives import write_archive

TINY = {"image_size": 64, "epochs": 2, "batch_size": 8, "unet.width": 4, "resnet34_unet.batch_size": 8}


def encoded(pixels, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def archives(tmp_path):
    """Archives of 24 rendered pets, 12 of them for testing."""
    drawings = {f"Bengal_{index}": draw(index, 1) for index in range(24)}
    lines = [f"{name} 1 1 1\n" for name in drawings]
    images = {f"images/{name}.jpg": encoded(each.image, "JPEG") for name, each in drawings.items()}
    annotations = {f"annotations/trimaps/{name}.png": encoded(each.trimap, "PNG") for name, each in drawings.items()}
    annotations |= {"annotations/trainval.txt": "".join(lines[:12]).encode()}
    annotations |= {"annotations/test.txt": "".join(lines[12:]).encode()}
    folder = tmp_path / "archives"
    folder.mkdir()
    digests = [
        write_archive(folder / f"{name}.tar.gz", files)
        for name, files in zip(boxed.ARCHIVES, (images, annotations), strict=True)
    ]
    return folder, digests


def test_it_trains_and_describes_a_network(archives, tmp_path, monkeypatch, capsys):
    folder, digests = archives
    write = boxed.write_params
    monkeypatch.setattr(boxed, "write_params", lambda work, recipe, changes: write(work, recipe, changes | TINY))
    out = tmp_path / "out" / "unet.safetensors"
    work = ["--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", ["boxed.py", "--data", str(folder), *work, "--out", str(out)])
    boxed.main()
    state, record = weights.read(out)
    assert {tensor.dtype for tensor in state.values()} <= {torch.float16, torch.int64}
    assert (record.training["seed"], record.training["precision"]) == (88, "fp32")
    card = out.with_name("MODEL_CARD.md").read_text()
    assert card in capsys.readouterr().out
    assert all(digest in card for digest in (*digests, record.data_sha256))
    assert "10 to train, 2 to choose the epoch, 12 to test" in card
    assert "2 epochs, seed 88, from random weights" in card
    [breed] = re.findall(r"\| cat \| Bengal \| 10 \| 12 \| (0\.\d{4}) \|", card)
    assert re.search(rf"12 test photographs at original size \| {breed} \[0\.\d+, 0\.\d+\]", card)


def test_a_number_that_half_precision_cannot_hold_is_noticed():
    assert boxed.half("counter", torch.tensor(3)).dtype == torch.int64
    with pytest.raises(AssertionError, match="running_var does not fit"):
        boxed.half("running_var", torch.tensor([1e5]))
    assert boxed.half("weight", torch.tensor(np.float32(0.1))).dtype == torch.float16
