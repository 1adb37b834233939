"""The page of an audit: one HTML file with thumbnails that works offline."""

import base64
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from petseg.audit.facts import Facts, read_photo, read_trimap
from petseg.audit.findings import SEVERITIES, Finding
from petseg.audit.samples import DataSet, Sample
from petseg.data.images import BACKGROUND
from petseg.report import content, theme, tiles
from petseg.runtime.errors import DataError

HERE = Path(__file__).parent
SHOWN = 12  # items of a finding that have thumbnails; all are in the list below them
LISTED = 500  # images that the page lists for a finding; the JSON file has all
GROUP = 4  # images of a group of duplicates that are shown
SIDE = 240  # pixels of the longer side of a thumbnail: sharp on a phone, small in a file


def render(data: DataSet, findings: Sequence[Finding], facts: dict[str, Facts]) -> str:
    """Returns the page as HTML, with style and pictures inside; equal inputs give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    sample_of = {sample.name: sample for sample in data.samples}
    pictures = {
        name: _thumbnail(sample_of[name], facts[name])
        for finding in findings
        for item in finding.items[:SHOWN]
        for name in item.images[:GROUP]
        if name in sample_of
    }
    styles = (content.HERE / "style.css", HERE / "page.css")
    return environment.get_template("page.html").render(
        style=Markup("\n".join(path.read_text(encoding="utf-8") for path in styles)),
        themes={"light": theme.LIGHT, "dark": theme.DARK},
        data=data,
        findings=findings,
        counts=Counter(finding.severity for finding in findings),
        severities=SEVERITIES,
        ceiling=next((finding.numbers for finding in findings if finding.kind == "annotation-ceiling"), None),
        splits=_split_table(data, facts),
        shares=_shares_chart(facts),
        pictures=pictures,
        sample_of=sample_of,
        shown=SHOWN,
        listed=LISTED,
        group=GROUP,
    )


def _thumbnail(sample: Sample, facts: Facts) -> str:
    """An image as a data URI, with its background faded to gray if its mask is usable; empty if it has no picture."""
    if facts.image_error:
        return ""
    try:
        photo = read_photo(sample, _mask_size(sample, facts))
        photo.thumbnail((SIDE, SIDE))
        pixels = np.asarray(photo)
        if facts.usable:
            size = (photo.width, photo.height)
            trimap = np.asarray(Image.fromarray(read_trimap(sample)).resize(size, Image.Resampling.NEAREST))
            gray = 0.3 * pixels.mean(axis=2, keepdims=True) + 0.7 * 128
            pixels = np.where((trimap != BACKGROUND)[..., None], pixels, gray).round().astype(np.uint8)
    except DataError:  # changed since it was measured
        return ""
    return tiles.data_uri(pixels)


def _mask_size(sample: Sample, facts: Facts) -> tuple[int, int]:
    """Width and height of a usable mask, which decide whether the image is shown rotated."""
    return (facts.width, facts.height) if facts.usable else (0, 0)


def _split_table(data: DataSet, facts: dict[str, Facts]) -> list[dict[str, Any]]:
    """A row for each split: images, breeds, masks without pet, and the median share of foreground."""
    rows = []
    for name, samples in data.splits.items():
        own = [facts[sample.name] for sample in samples]
        readable = [each for each in own if not each.mask_error]
        rows.append(
            {
                "name": name,
                "images": len(samples),
                "breeds": len({sample.breed for sample in samples}),
                "empty": sum(each.foreground == 0 for each in readable),
                "share": float(np.median([each.foreground for each in readable])) if readable else None,
            }
        )
    return rows


def _shares_chart(facts: dict[str, Facts]) -> tuple[str, str] | None:
    """A histogram of the shares of foreground as data URIs, for light and dark; None without masks."""
    shares = [each.foreground for each in facts.values() if not each.mask_error]
    if not shares:
        return None
    draw = partial(_draw_shares, shares)
    encoded = [base64.b64encode(theme.svg(draw, colors).encode()).decode() for colors in (theme.LIGHT, theme.DARK)]
    return "data:image/svg+xml;base64," + encoded[0], "data:image/svg+xml;base64," + encoded[1]


def _draw_shares(shares: Sequence[float], colors: theme.Theme) -> Figure:
    figure = Figure(figsize=(6.2, 2.4), layout="constrained")
    axes = figure.subplots()
    axes.hist(np.array(shares) * 100, bins=np.arange(0, 101, 4).tolist(), color=colors.faint, rwidth=0.88)
    axes.set_xlabel("Share of pet and border in the image, %")
    axes.set_ylabel("Images")
    axes.set_xlim(0, 100)
    axes.grid(axis="x", visible=False)
    return figure
