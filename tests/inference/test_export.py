"""Export to ONNX: the models compute what PyTorch does, and everything else is refused."""

import io
import json
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from petseg import __version__, models
from petseg.config import params
from petseg.data.images import resize_image
from petseg.data.sources.synthetic import draw
from petseg.inference import export
from petseg.models import weights
from petseg.runtime.errors import PetsegError
from support.paths import COMMITTED
from support.reported import VARIANTS, settle

SIZE, TEMPERATURE = 64, 1.7

# The networks of params.yaml as committed are unet-a and resnet34_unet-a; the UNet of the recipe oxford is unet-a too.
OPTIONS = {
    "unet-a": {},
    "unet-c": {"channels_first": True},
    "unet-d": {"dynamic": True},
    "resnet34_unet-b": {"dynamic": True, "channels_first": True},
    "resnet34_unet-d": {"half": True},
    "unet-laptop": {"half": True, "channels_first": True},
    "resnet34_unet-laptop": {},
}


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    """Eight photographs if PETSEG_TEST_DATA is set, else synthetic images."""
    archive = Path(os.environ.get("PETSEG_TEST_DATA", "none")) / "oxford-pets-mini-288" / "images.tar.gz"
    if not archive.exists():
        return [resize_image(draw(index, seed=1).image, SIZE) for index in range(8)]
    found = []
    with tarfile.open(archive) as files:
        while len(found) < 8:
            member = files.next()
            if member.isfile() and member.name.endswith(".jpg") and "/._" not in member.name:
                photo = Image.open(io.BytesIO(files.extractfile(member).read())).convert("RGB")
                found.append(resize_image(np.array(photo), SIZE))
    return found


def parameters(case: str, width: int) -> tuple[str, params.Params]:
    """The network of a case, and its parameters."""
    name, source = case.rsplit("-", 1)
    if case in VARIANTS:
        return name, VARIANTS[case].load(width)
    return name, params.load(COMMITTED, source, [f"{name}.width={width}", f"image_size={SIZE}"])


def save(path: Path, case: str, photos: list[np.ndarray], width: int = 8) -> nn.Module:
    """Writes a weights file whose network responds to its input as a trained one does; returns the network."""
    name, p = parameters(case, width)
    torch.manual_seed(0)
    network = models.build(name, p)
    with torch.no_grad():
        settle(network, pixels(photos))
        head = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
        head.weight /= network(pixels(photos)).std()
    record = weights.Record(p.training(name).flat(), "ab" * 32, None, TEMPERATURE, valid_dice=0.9, commit="12ab")
    weights.save(path, weights.snapshot(network), record)
    return network


def pixels(photos: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float()


def expected(network: nn.Module, photos: list[np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        logits = network(pixels(photos)).double()
    if logits.shape[1] == 2:
        return (logits / TEMPERATURE).softmax(dim=1)[:, 1].numpy()
    return (logits[:, 0] / TEMPERATURE).sigmoid().numpy()


def session(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def run(running: onnxruntime.InferenceSession, photos: list[np.ndarray], channels_first: bool) -> np.ndarray:
    batch = np.stack(photos)
    return running.run(None, {"image": batch.transpose(0, 3, 1, 2) if channels_first else batch})[0]


@pytest.fixture(scope="module")
def small(photos, tmp_path_factory) -> tuple[Path, export.OnnxModel]:
    """Weights of a small UNet, and its ONNX model."""
    path = tmp_path_factory.mktemp("small") / "unet.safetensors"
    save(path, "unet-a", photos, width=4)
    return path, export.to_onnx(path, photos=photos)


@pytest.mark.parametrize("case", OPTIONS)
def test_onnx_computes_what_pytorch_does(case, photos, tmp_path):
    options = OPTIONS[case]
    half, first = options.get("half", False), options.get("channels_first", False)
    network = save(tmp_path / "weights", case, photos)
    model = export.to_onnx(tmp_path / "weights", photos=photos, **options)
    assert model.images == "8 photographs"
    assert model.difference <= export.LIMIT
    assert (model.rounding is not None) == half

    proto = onnx.load_from_string(model.content)
    onnx.checker.check_model(proto, full_check=True)
    assert (stored(proto, onnx.TensorProto.FLOAT16) > 50 * stored(proto, onnx.TensorProto.FLOAT)) == half

    running = session(model.content)
    tolerance = model.rounding + export.LIMIT if half else export.LIMIT
    assert tolerance < 0.05
    given = running.get_inputs()[0]
    name, p = parameters(case, width=8)
    multiple = p.network(name).size_multiple
    area = [f"{multiple}*height", f"{multiple}*width"] if options.get("dynamic") else [SIZE, SIZE]
    assert (given.type, given.shape) == ("tensor(uint8)", ["batch", 3, *area] if first else ["batch", *area, 3])
    sizes = [(SIZE, SIZE), (128, 192), (128, 256)] if options.get("dynamic") else [(SIZE, SIZE)]
    for height, width in sizes:
        resized = [np.array(Image.fromarray(photo).resize((width, height))) for photo in photos]
        truth = expected(network, resized)
        assert truth.std() > 0.05  # else the comparison shows little
        for chosen in (slice(0, 1), slice(1, 4)):
            found = run(running, resized[chosen], first)
            assert (found.dtype, found.shape) == (np.float32, truth[chosen].shape)
            assert abs(found - truth[chosen]).max() < tolerance


def stored(model: onnx.ModelProto, kind: int) -> int:
    """How many numbers of a type a model stores."""
    return sum(onnx.numpy_helper.to_array(each).size for each in model.graph.initializer if each.data_type == kind)


def test_model_describes_itself(small, photos):
    path, exported = small
    model = onnx.load_from_string(exported.content)
    onnx.checker.check_model(model, full_check=True)
    facts = {each.key: each.value for each in model.metadata_props}
    network, record = weights.load(path)
    assert json.loads(facts.pop("training")) == record.training
    assert facts == {
        "network": "unet",
        "label": "UNet",
        "image_size": "64",
        "size_multiple": "16",
        "temperature": "1.7",
        "threshold": "0.5",
        "valid_dice": "0.9",
        "data_sha256": "ab" * 32,
        "commit": "12ab",
        "parameters": str(models.count_parameters(network)),
        "petseg": __version__,
    }
    assert (model.producer_name, model.producer_version) == ("petseg", __version__)
    assert model.doc_string == "UNet, trained by petseg to segment pets; see metadata_props."
    assert model.opset_import[0].version == exported.opset >= 18
    assert str(Path(models.__file__).parent).encode() not in exported.content  # as in the exporter's stack traces


def test_write_onnx(small, tmp_path, monkeypatch):
    path, exported = small
    monkeypatch.chdir(tmp_path)
    out = Path("new/pets.onnx")
    written = export.write_onnx(path, out)
    assert written.images == "8 synthetic images"
    assert out.read_bytes() == written.content == exported.content
    with pytest.raises(PetsegError, match=r"new/pets\.onnx exists; overwrite it with --overwrite, or name another"):
        export.write_onnx(path, out)
    with pytest.raises(PetsegError, match=r"new is a folder; name a file in it with --out\."):
        export.write_onnx(path, "new", overwrite=True)

    out.write_text("old")
    monkeypatch.setattr(export, "_Probability", Wrong)
    with pytest.raises(PetsegError, match=r"differ from PyTorch by up to 0\.0\d+ .* and 0\.0001 is allowed, so it was"):
        export.write_onnx(path, out, overwrite=True)
    assert [each.name for each in out.parent.iterdir()] == ["pets.onnx"]
    assert out.read_text() == "old"
    monkeypatch.setattr(export, "to_onnx", lambda *_, **__: exported)
    export.write_onnx(path, out, overwrite=True)
    assert out.read_bytes() == exported.content


class Wrong(export._Probability):
    """With another temperature."""

    def __init__(self, network, temperature, channels_first):
        super().__init__(network, 1.05 * temperature, channels_first)


def test_which_images_are_compared(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("data/packed/valid")
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.stack([*photos, *photos]))
    np.save(folder / "trimaps.npy", np.ones((16, SIZE, SIZE), np.uint8))
    images, where = export._images(SIZE, ())
    assert where == "8 images of data/packed/valid"
    np.testing.assert_array_equal(images, photos)
    images, where = export._images(2 * SIZE, ())
    assert (images.shape, where) == ((8, 128, 128, 3), "8 synthetic images")
    images, where = export._images(2 * SIZE, photos[:3])
    assert (images.shape, where) == ((3, 128, 128, 3), "3 photographs")


def test_weights_that_overflow_in_half_precision_are_refused(small, photos, tmp_path):
    state, record = weights.read(small[0])
    state["head.weight"] *= 1e6
    weights.save(tmp_path / "large", state, record)
    with pytest.raises(PetsegError, match="by up to nan in probability on 8 photographs"):
        export.to_onnx(tmp_path / "large", half=True, photos=photos)


def test_a_network_of_fixed_size_is_refused_with_dynamic(small, photos, monkeypatch):
    class Fixed(nn.Module):
        def forward(self, image):
            return image[:, :1] + torch.zeros(SIZE, SIZE)

    monkeypatch.setattr(export, "_simplified", lambda network: Fixed())
    with pytest.raises(PetsegError, match="UNet cannot be exported with a dynamic size; leave out --dynamic"):
        export.to_onnx(small[0], dynamic=True, photos=photos)


def test_missing_packages_are_named(small, monkeypatch):
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PetsegError, match=r'needs the packages onnx, onnxruntime; run `pip install "petseg\[onnx\]"`'):
        export.to_onnx(small[0])


def test_files_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "text").write_text("hello")
    torch.save({}, tmp_path / "weights.pt")
    for name, words in (("text", "was not written by petseg"), ("weights.pt", "is a pickle"), ("none", "No such file")):
        with pytest.raises(PetsegError, match=words):
            export.write_onnx(tmp_path / name, tmp_path / "pets.onnx")
    assert not (tmp_path / "pets.onnx").exists()


def test_a_full_disk_is_reported(small, small_disk, monkeypatch):
    monkeypatch.setattr(export, "to_onnx", lambda *_, **__: small[1])
    with pytest.raises(PetsegError, match=r"disk is full: .*pets\.onnx"):
        export.write_onnx(small[0], small_disk / "pets.onnx")
    assert list(small_disk.iterdir()) == []
