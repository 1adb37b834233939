"""Export of trained networks to ONNX, for use without PyTorch."""

import copy
import importlib.util
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from petseg import __version__
from petseg.config.networks import NETWORKS
from petseg.data import packed
from petseg.data.images import resize_image
from petseg.data.sources.synthetic import draw
from petseg.models import count_parameters, pet_logit, weights
from petseg.models.blocks import ReflectPad2d
from petseg.runtime.errors import DataError, PetsegError
from petseg.runtime.files import atomic_file

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # of the extra `onnx`
LIMIT = 1e-4  # largest difference between the probabilities of ONNX and PyTorch
_IMAGES = 8  # that they are compared on


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX model that was compared with PyTorch.

    Input: `image`, uint8 (B, H, W, 3), or (B, 3, H, W) with `channels_first`; RGB. Output: `probability` of pet,
    calibrated, float32 (B, H, W).

    Attributes:
        content: the model as bytes, for a file or for `onnxruntime.InferenceSession`.
        opset: version of the ONNX operators.
        images: which images it was compared on, for people.
        difference: largest absolute difference to the probabilities of PyTorch, at most `LIMIT`; with `half`, of
            PyTorch with the same rounded weights.
        rounding: with `half`, the same to PyTorch with the weights as trained; otherwise None.
    """

    content: bytes
    opset: int
    images: str
    difference: float
    rounding: float | None


def write_onnx(
    path: str | Path,
    out: str | Path,
    *,
    half: bool = False,
    channels_first: bool = False,
    dynamic: bool = False,
    overwrite: bool = False,
) -> OnnxModel:
    """Exports a weights file to the ONNX file `out`.

    Args:
        path, half, channels_first, dynamic: see `to_onnx`.
        overwrite: replace `out` if it exists.

    Raises:
        PetsegError: see `to_onnx`; or `out` exists; or the disk is full. Nothing is written then.
    """
    refuse_to_replace(out, overwrite)
    model = to_onnx(path, half=half, channels_first=channels_first, dynamic=dynamic)
    with atomic_file(out) as part:
        part.write_bytes(model.content)
    return model


def refuse_to_replace(out: str | Path, overwrite: bool) -> None:
    """Raises PetsegError if `out` is a folder, or a file that must not be overwritten."""
    if Path(out).is_dir():
        raise PetsegError(f"{out} is a folder; name a file in it with --out.")
    if Path(out).exists() and not overwrite:
        raise PetsegError(f"{out} exists; overwrite it with --overwrite, or name another file with --out.")


def to_onnx(
    path: str | Path,
    *,
    half: bool = False,
    channels_first: bool = False,
    dynamic: bool = False,
    photos: Sequence[np.ndarray] = (),
) -> OnnxModel:
    """Converts a weights file to an ONNX model, and compares it with PyTorch.

    Normalization, temperature and sigmoid are inside the model; it computes in float32, whatever the precision of the
    training. What is known about the weights is in its `metadata_props`.

    Args:
        half: store the weights of convolutions in half precision, which halves the file. The model casts them to
            float32, which runtimes do once, when they load it.
        channels_first: take images (B, 3, H, W) instead of (B, H, W, 3).
        dynamic: take any H and W that are multiples of the network's `size_multiple`, from twice that, instead of
            `image_size` alone.
        photos: what to compare on, uint8 (H, W, 3), RGB; by default images of data/packed/valid if they have the right
            size, and synthetic images otherwise.

    Raises:
        PetsegError: see `weights.load`; or a package of the extra `onnx` is missing; or the network does not work with
            `dynamic`; or the probabilities differ by more than `LIMIT`.
    """
    _require_packages()
    trained, record = weights.load(path)
    network = _simplified(trained)
    if half:
        _round(network)
    model = _convert(network, record, channels_first, dynamic)
    if half:
        _store_halves(model)
    _describe(model, record, count_parameters(trained), channels_first)
    content = model.SerializeToString()

    images, where = _images(record.image_size, photos)
    batches = [batch for batch in np.array_split(images, 5) if len(batch)]  # of two and of one
    if dynamic:
        multiple = _size_multiple(record)
        batches.append(_resample(batches[0], 2 * multiple, 3 * multiple))
    found = _run_onnx(content, batches, channels_first)
    difference = _difference(found, network if half else trained, record.temperature, batches)
    if not difference <= LIMIT:  # also if it is NaN
        raise PetsegError(
            f"The ONNX model of {path} would differ from PyTorch by up to {difference:.2g} in probability on {where}, "
            f"and {LIMIT:g} is allowed, so it was not written; try other versions of torch and onnxruntime."
        )
    rounding = _difference(found, trained, record.temperature, batches) if half else None
    return OnnxModel(content, model.opset_import[0].version, where, difference, rounding)


class _Probability(nn.Module):
    """What is exported: uint8 images -> probability of pet, float32 (B, H, W)."""

    def __init__(self, network: nn.Module, temperature: float, channels_first: bool) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        self.channels_first = channels_first

    def forward(self, image: Tensor) -> Tensor:
        pixels = image if self.channels_first else image.permute(0, 3, 1, 2)
        logits = pet_logit(self.network(pixels.float()))
        return (logits.squeeze(1) / self.temperature).sigmoid()


def _require_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise PetsegError(f'Export needs the packages {", ".join(missing)}; run `pip install "petseg[onnx]"`.')


def _simplified(network: nn.Module) -> nn.Module:
    """A copy that computes the same in eval mode, with single operations for padding, and batch norm folded."""
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, ReflectPad2d):  # its slices and flips would be many operators
            network.set_submodule(name, nn.ReflectionPad2d(module.size))
        elif isinstance(module, nn.Sequential):
            _fold_norms(module)
    return network


def _fold_norms(layers: nn.Sequential) -> None:
    """Folds each batch norm into the convolution before it.

    The exporter would do the same, but later: then the file would not hold the rounded weights.
    """
    for index in range(1, len(layers)):
        before, norm = layers[index - 1], layers[index]
        conv = before[-1] if isinstance(before, nn.Sequential) else before  # [padding, convolution]
        if isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
            folded = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
            conv.weight, conv.bias = folded.weight, folded.bias
            layers[index] = nn.Identity()


@torch.no_grad()
def _round(network: nn.Module) -> None:
    """Rounds the weights of convolutions to half precision, in place; they remain float32."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.copy_(parameter.half())


def _convert(network: nn.Module, record: weights.Record, channels_first: bool, dynamic: bool) -> "onnx.ModelProto":
    """Exports a network with torch.export's exporter, with input and output as in `OnnxModel`."""
    height = width = record.image_size
    shapes: dict[int, object] = {0: torch.export.Dim("batch")}
    if dynamic:
        multiple, axis = _size_multiple(record), 2 if channels_first else 1
        height, width = 2 * multiple, 3 * multiple
        shapes |= {axis + i: multiple * torch.export.Dim(name, min=2) for i, name in enumerate(("height", "width"))}
    example = torch.zeros((2, 3, height, width) if channels_first else (2, height, width, 3), dtype=torch.uint8)
    model = _Probability(network, record.temperature, channels_first).eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch's own code, not about the network
            program = torch.onnx.export(
                model,
                (example,),
                input_names=["image"],
                output_names=["probability"],
                dynamo=True,
                dynamic_shapes=(shapes,),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError:
        if not dynamic:
            raise
        raise PetsegError(f"{record.label} cannot be exported with a dynamic size; leave out --dynamic.") from None
    assert program is not None  # it is None only without dynamo
    return program.model_proto


def _store_halves(model: "onnx.ModelProto") -> None:
    """Stores the matrices and kernels that half precision represents exactly as such, followed by a cast to float32."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if values.dtype == np.float32 and values.ndim > 1 and np.array_equal(halves, values):
            name, stored = tensor.name, f"{tensor.name}.half"
            tensor.CopyFrom(numpy_helper.from_array(halves, stored))
            casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _describe(model: "onnx.ModelProto", record: weights.Record, parameters: int, channels_first: bool) -> None:
    """Writes what is known about the weights into the model, and removes the exporter's notes, such as local paths."""
    from onnx import helper

    graph = model.graph
    for each in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    size, layout = record.image_size, "(batch, 3, height, width)" if channels_first else "(batch, height, width, 3)"
    model.producer_name, model.producer_version = "petseg", __version__
    model.doc_string = f"{record.label}, trained by petseg to segment pets; see metadata_props."
    graph.name = record.network
    graph.input[0].doc_string = f"uint8 {layout}: RGB images, resized bilinearly to {size} x {size} pixels"
    graph.output[0].doc_string = "float32 (batch, height, width): calibrated probability of pet"
    facts = {
        "network": record.network,
        "label": record.label,
        "image_size": size,
        "size_multiple": _size_multiple(record),
        "temperature": record.temperature,
        "threshold": 0.5,
        "valid_dice": record.valid_dice,
        "data_sha256": record.data_sha256,
        "commit": record.commit,
        "parameters": parameters,
        "petseg": __version__,
        "training": json.dumps(record.training, sort_keys=True),
    }
    helper.set_model_props(model, {key: str(value) for key, value in facts.items()})


def _size_multiple(record: weights.Record) -> int:
    """Factor by which the network downsamples."""
    return NETWORKS[record.network].params.model_construct(**record.architecture).size_multiple


def _images(size: int, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, str]:
    """Images to compare on, uint8 (N, size, size, 3), and where they are from."""
    if photos:
        return np.stack([resize_image(photo, size) for photo in photos]), f"{len(photos)} photographs"
    try:
        images = packed.load_split("valid", size=size)[0][:_IMAGES]
        return images, f"{len(images)} images of {packed.PACKED / 'valid'}"
    except DataError:
        drawn = [resize_image(draw(index, seed=0).image, size) for index in range(_IMAGES)]
        return np.stack(drawn), f"{_IMAGES} synthetic images"


def _resample(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes images (N, H, W, 3) by nearest neighbor."""
    rows = np.linspace(0, images.shape[1] - 1, height).round().astype(int)
    columns = np.linspace(0, images.shape[2] - 1, width).round().astype(int)
    return images[:, rows[:, None], columns]


def _run_onnx(content: bytes, batches: list[np.ndarray], channels_first: bool) -> list[np.ndarray]:
    """The probabilities of an ONNX model for batches of images (B, H, W, 3), computed by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    axes = (0, 3, 1, 2) if channels_first else (0, 1, 2, 3)
    inputs = (np.ascontiguousarray(batch.transpose(axes)) for batch in batches)
    return [np.asarray(session.run(None, {"image": each})[0]) for each in inputs]


def _difference(found: list[np.ndarray], network: nn.Module, temperature: float, batches: list[np.ndarray]) -> float:
    """The largest absolute difference from the probabilities of a network in PyTorch; may be NaN."""
    expected = [_probabilities(network, temperature, batch) for batch in batches]
    return float(np.max([abs(a - b).max() for a, b in zip(found, expected, strict=True)]))


@torch.inference_mode()
def _probabilities(network: nn.Module, temperature: float, images: np.ndarray) -> np.ndarray:
    """What PyTorch computes, without any code of the export; from images (B, H, W, 3)."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float()
    return (pet_logit(network(pixels))[:, 0] / temperature).sigmoid().numpy()
