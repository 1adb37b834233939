"""The pages of plots and report, in a browser without network access."""

import html
import re

import pytest

from support.browser import dom, needs_chromium
from support.project import metrics

TITLES = (
    "Dice over the epochs",
    "Loss over the epochs",
    "Test Dice with 95 % interval over images",
    "Test Dice of each image with both networks",
    "Test Dice by size and border",
    "Calibration error before and after the temperature",
    "Reliability of the probabilities",
    "Learning rate of unet",
    "Learning rate of resnet34_unet",
)


def drawn_marks(svg, kind):
    """Label, path and style of each mark of a Vega plot; `kind` is `line mark` or `bar`."""
    found = re.findall(rf'<path aria-label="([^"]*)"[^>]*aria-roledescription="{kind}" d="([^"]*)"([^>]*)>', svg)
    assert all("NaN" not in path for _, path, _ in found)
    return found


@needs_chromium
def test_every_plot_of_dvc_is_drawn_offline(project):
    project.dvc("plots", "show")
    text = dom(project.folder / "dvc_plots" / "index.html")
    plots = re.findall(r'<svg[^>]*class="marks".*?</svg>', text, re.DOTALL)
    plot_of = {title: next(plot for plot in plots if title in plot) for title in TITLES}
    assert len(plots) == len(TITLES)
    for title in TITLES[:2]:
        lines = drawn_marks(plot_of[title], "line mark")
        assert [path.count("L") for _, path, _ in lines] == [3] * 4  # four epochs make three segments
        for label, _, style in lines:
            assert ("#0072b2" in style) == ("network: unet" in label)
            assert ("#d55e00" in style) == ("network: resnet34_unet" in label)
            assert ('stroke-dasharray="6,4"' in style) == ("split: valid" in label)
        assert len({label.split("network")[1] for label, _, _ in lines}) == 4
    dots = re.findall(r'aria-label="([^"]*)"[^>]*aria-roledescription="point"', plot_of[TITLES[2]])
    shown = {re.search(r"network: (\w+)", label)[1]: float(re.search(r"mean: ([\d.]+)", label)[1]) for label in dots}
    assert shown == pytest.approx({name: scores["dice"] for name, scores in metrics(project).items()}, abs=1e-5)
    pictures = re.findall(r'<img src="([^"]*)"', text)
    assert len(pictures) == 3
    assert all((project.folder / "dvc_plots" / picture).stat().st_size > 1000 for picture in pictures)


@needs_chromium
def test_the_report_works_offline_and_never_scrolls_sideways(finished, tmp_path):
    report = html.escape((finished.folder / "report" / "index.html").read_text())
    page, widths = tmp_path / "frames.html", (400, 1400)
    # Frames, since a headless window cannot be as narrow as a phone.
    page.write_text(
        "".join(
            f'<iframe srcdoc="{report}" width="{width}" height="800" style="border:0"></iframe>' for width in widths
        )
        + "<script>onload = () => { document.title = [...document.querySelectorAll('iframe')].map(frame => {"
        "const page = frame.contentDocument, broken = [...page.images].filter(image => !image.naturalWidth);"
        "return [page.documentElement.scrollWidth, page.images.length, broken.length].join(' ') }).join(' ') }</script>"
    )
    measured = [int(number) for number in re.search(r"<title>([\d ]+)</title>", dom(page))[1].split()]
    for i, width in enumerate(widths):
        scroll_width, images, broken = measured[3 * i : 3 * i + 3]
        assert scroll_width <= width
        assert images > 20
        assert broken == 0
