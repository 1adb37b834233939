"""One HTML page that segments photographs in a browser, with the network and its runtime inside."""

import base64
import gzip
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import petseg
from petseg.inference import export
from petseg.inference.web_runtime import LICENSE, Runtime, find_runtime
from petseg.models import count_parameters, weights
from petseg.report.theme import DARK, LIGHT
from petseg.runtime.files import write_text

HERE = Path(__file__).parent


@dataclass(frozen=True)
class PageInfo:
    """What the page says about its network.

    Attributes:
        label: of the network, as in the report.
        image_size: height and width of its input, pixels.
        description: what it was trained on, one sentence.
        facts: rows of a table, such as validation Dice, number of parameters, data and commit.
        names: of the background and of the foreground, in the singular.
    """

    label: str
    image_size: int
    description: str
    facts: dict[str, str] = field(default_factory=dict)
    names: tuple[str, str] = ("background", "pet")


def page(model: bytes, info: PageInfo, runtime: Runtime) -> str:
    """Returns the page as HTML. It contains all that it needs, and its policy forbids every network connection.

    Equal arguments give equal text. The page works from a local file, in Chromium, Firefox and Safari of 2024 or later.

    Args:
        model: an ONNX model with the input `image`, uint8 (1, S, S, 3), RGB, where S is `info.image_size`, and the
            output `probability`, float32 (1, S, S), of the foreground.
        info: what the page says about the model.
        runtime: see `web_runtime.find_runtime`.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"packed": _packed, "csp_hash": _csp_hash}
    background, foreground = info.names
    return environment.get_template("page.html").render(
        info=info,
        background=background,
        foreground=foreground,
        model=model,
        runtime=runtime,
        license=LICENSE,
        version=petseg.__version__,
        themes={"light": LIGHT, "dark": DARK},
        style=Markup(_colors() + (HERE / "page.css").read_text(encoding="utf-8")),
        pixels=_script("pixels.js"),
        script=_script("page.js"),
        worker=_script("worker.js"),
    )


def write_page(
    path: str | Path, out: str | Path, runtime: Path | None = None, overwrite: bool = False
) -> export.OnnxModel:
    """Writes a page with the network of a weights file, in half precision.

    Args:
        path: the weights file.
        out: the page to write.
        runtime: see `web_runtime.find_runtime`.
        overwrite: replace `out` if it exists.

    Raises:
        PetsegError: see `export.to_onnx` and `find_runtime`; or `out` exists. Nothing is written then.
    """
    export.refuse_to_replace(out, overwrite)
    found = find_runtime(runtime)
    model = export.to_onnx(path, half=True)
    network, record = weights.load(path)
    facts = {
        "Validation Dice": f"{record.valid_dice:.4f}",
        "Parameters": f"{count_parameters(network):,}",
        "Input": f"{record.image_size} × {record.image_size} pixels",
        "Data SHA-256, first 8 digits": record.data_sha256[:8],
        "Commit": record.commit[:8],
    }
    info = PageInfo(record.label, record.image_size, "trained with petseg to separate pets from the background.", facts)
    write_text(out, page(model.content, info, found))
    return model


def _colors() -> str:
    """The report's colors as CSS variables; controls get a contrast of 3, text gets 4.5."""
    light = {"edge": "#858e96", "soft": "#f4f5f6", "accent": "#0068a3", "on-accent": "#ffffff", "error": "#b3261e"}
    dark = {"edge": "#6d7780", "soft": "#1f2328", "accent": "#56b4e9", "on-accent": "#10151a", "error": "#ff8a80"}
    rules = []
    for theme, own in ((LIGHT, light), (DARK, dark)):
        values = {"background": theme.background, "ink": theme.ink, "faint": theme.faint, "line": theme.grid} | own
        rules.append(":root {" + " ".join(f"--{name}: {value};" for name, value in values.items()) + "}")
    return f"{rules[0]}\n@media (prefers-color-scheme: dark) {{ {rules[1]} }}\n"


def _script(name: str) -> Markup:
    """A JavaScript file, to stand between <script> and </script>."""
    return Markup((HERE / name).read_text(encoding="utf-8").replace("</", r"<\/"))


def _packed(content: bytes) -> str:
    """Gzip and base64, which the page undoes; two thirds of its size is the runtime."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii")


def _csp_hash(text: str) -> str:
    """The source expression of an inline script or style in a Content Security Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
