"""The page that segments photographs: its structure, and its work in two browsers, offline and from a file."""

import base64
import http.server
import io
import re
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import petseg
from petseg.data.images import resize_image, resize_trimap
from petseg.data.sources.synthetic import draw
from petseg.inference.page import PageInfo, page, write_page
from petseg.inference.web_runtime import Runtime, find_runtime
from petseg.models import weights
from petseg.runtime.errors import PetsegError
from support import trainings
from support.paths import real_data
from support.webdriver import BROWSERS, ENTER, INSTALLED, LEFT, RIGHT, TAB

pytestmark = pytest.mark.xdist_group("inference_page")  # the tests share a browser and a trained network

SIZE = 64
INFO = PageInfo("UNet", SIZE, "trained on <40> images.", {"Validation Dice": "0.9123", "Commit": "00ad33c"})
FAKE = Runtime(b"export default '</script><!--'", b"\0asm")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """A UNet that has learned something: random weights would give masks that are all edge."""
    drawings = [draw(index, 7) for index in range(24)]
    data = (
        np.stack([resize_image(drawing.image, SIZE) for drawing in drawings]),
        np.stack([resize_trimap(drawing.trimap, SIZE) for drawing in drawings]),
    )
    how = {"unet.width": 8, "epochs": 10, "batch_size": 8}
    result, _ = trainings.run(policy="none", train=data, valid=data, **how)
    path = tmp_path_factory.mktemp("weights") / "unet.safetensors"
    weights.save(path, result.best_weights, trainings.record(trainings.settings(**how).training("unet")))
    return path


@pytest.fixture(scope="module")
def network(weights_file):
    return petseg.load(weights_file, device="cpu")


@pytest.fixture(scope="module")
def html(weights_file, tmp_path_factory):
    """The path of the page, in a folder with a space."""
    pytest.importorskip("onnxscript")
    try:
        find_runtime()
    except PetsegError as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("the page") / "page.html"
    write_page(weights_file, path)
    return path


@pytest.fixture(scope="module", params=BROWSERS)
def started(request, html, tmp_path_factory):
    if not INSTALLED[request.param]:
        pytest.skip(f"{request.param} is not installed, or chromedriver is missing")
    with BROWSERS[request.param](tmp_path_factory.mktemp(request.param)) as browser:
        yield browser


@pytest.fixture
def browser(started, html):
    started.open(html)
    started.wait(f"{STATUS}.startsWith('Ready')")
    return started


@pytest.fixture
def photo(tmp_path):
    """A PNG of a drawn pet, and the same as an array."""
    image = draw(3, 5).image
    Image.fromarray(image).save(tmp_path / "Mr. Cat.png")
    return tmp_path / "Mr. Cat.png", image


STATUS = "document.getElementById('status').textContent"
PIXELS = "return document.getElementById('canvas').toDataURL()"


def segment(browser, path):
    browser.choose("#file", path)
    browser.wait(f"{STATUS}.includes({path.name!r}) && !{STATUS}.startsWith('Segmenting')")
    assert "not an image" not in browser.run(f"return {STATUS}")


def select(browser, value):
    browser.click(f"label:has([value={value}])")


def canvas(browser):
    """The pixels shown, (H, W, 4)."""
    return np.array(Image.open(io.BytesIO(base64.b64decode(browser.run(PIXELS).partition(",")[2]))).convert("RGBA"))


def reference(network, image):
    """The probabilities of an image (H, W, 3) as PyTorch computes them."""
    return network.predict(image).probability


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 1.0


def test_the_page_forbids_connections_and_runs_only_its_own_scripts():
    text = page(b"model", INFO, FAKE)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; ")
    assert not re.search(r"connect-src|https?:|'unsafe-inline'|\*", policy)
    assert len(set(re.findall(r"'sha256-[\w+/]{43}='", policy))) == 3
    assert not re.search(r"""(src|href)=["'](?!data:,)""", text)
    assert text.count("</script>") == text.count("<script") == 6
    assert page(b"model", INFO, FAKE) == text


def test_the_page_says_what_it_holds():
    text = page(b"model", PageInfo("Net & Co", 64, "trained on <40> images.", {"A": "1"}, ("sky", "kite")), FAKE)
    for expected in ("Net &amp; Co: trained on &lt;40&gt; images.", "<dt>A</dt><dd>1</dd>", "<h1>Cut out a kite</h1>"):
        assert expected in text
    assert "separate a kite from the sky" in text
    assert "64 × 64 pixels" in text
    assert "never uploaded" in text
    assert "Copyright (c) Microsoft Corporation" in text


def test_its_size_is_that_of_model_and_runtime():
    noise = np.random.default_rng(0).bytes(30_000)
    assert len(page(noise, INFO, FAKE)) - len(page(b"", INFO, FAKE)) < 1.34 * len(noise) + 100


def test_masks_are_those_of_pytorch(browser, network, tmp_path):
    scores = []
    for index in range(20):
        image = draw(100 + index, 9).image
        if index % 3 == 0:
            image = np.array(Image.fromarray(image).resize((900 - 37 * index, 31 + 40 * index)))
        path = tmp_path / f"{index}.{'jpg' if index % 2 else 'png'}"
        Image.fromarray(image).save(path, quality=90)
        segment(browser, path)
        if index == 0:
            select(browser, "mask")
        shown = canvas(browser)[..., 0] > 0
        decoded = np.array(Image.open(path))
        scores.append(dice(shown, reference(network, decoded) > 0.5))
    assert np.mean(scores) >= 0.995
    assert min(scores) >= 0.98


def test_masks_of_real_photographs_are_those_of_pytorch(browser, network, tmp_path):
    with tarfile.open(real_data("oxford-pets-mini") / "images.tar.gz") as archive:
        members = (member for member in archive if member.name.endswith("0.jpg"))
        photographs = ((archive.extractfile(member).read(), member.name) for member in members)
        small = [
            (content, Path(name).name)
            for content, name in photographs
            if max(Image.open(io.BytesIO(content)).size) <= 1200  # larger ones are shown reduced
        ][:20]
    scores = []
    for content, name in small:
        (tmp_path / name).write_bytes(content)
        segment(browser, tmp_path / name)
        if not scores:
            select(browser, "mask")
        image = np.array(Image.open(tmp_path / name).convert("RGB"))
        scores.append(dice(canvas(browser)[..., 0] > 0, reference(network, image) > 0.5))
    assert len(scores) == 20
    assert np.mean(scores) >= 0.995


def test_threshold_and_background_change_what_is_shown(browser, network, photo):
    path, image = photo
    segment(browser, path)
    probability = reference(network, image)
    for threshold in (0.5, 0.2, 0.9):
        browser.run(
            "const slider = document.getElementById('threshold'); slider.value = arguments[0];"
            "slider.dispatchEvent(new Event('input', {bubbles: true}))",
            threshold,
        )
        alpha = canvas(browser)[..., 3] / 255
        band = min(0.2, threshold, 1 - threshold)
        expected = np.clip(0.5 + (probability - threshold) / (2 * band), 0, 1)
        assert np.abs(alpha - expected).mean() < 0.005
        assert browser.run("return document.getElementById('threshold-value').textContent") == f"{threshold:.2f}"
    browser.run(
        "const color = document.getElementById('color'); color.value = '#00ff80';"
        "color.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    shown = canvas(browser)
    assert (shown[..., 3] == 255).all()
    assert (shown[expected == 0][:, :3] == (0, 255, 128)).mean() > 0.99
    select(browser, "photo")
    assert np.array_equal(canvas(browser)[..., :3], image)


def test_a_large_photograph_is_saved_at_its_own_size(browser, network, tmp_path):
    image = np.array(Image.fromarray(draw(4, 5).image).resize((2100, 1500)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(image).save(tmp_path / "large.v2.jpg", quality=95, exif=exif)
    segment(browser, tmp_path / "large.v2.jpg")
    browser.click("#save-cutout")
    with Image.open(browser.downloaded("large.v2_cutout.png")) as cutout:
        assert (cutout.size, cutout.mode) == ((1500, 2100), "RGBA")
        alpha = np.array(cutout)[..., 3]
    shown = Image.fromarray(canvas(browser)[..., 3])
    assert max(shown.size) == 1200
    assert np.abs(np.array(shown.resize((1500, 2100)), float) - alpha).mean() < 1
    probability = reference(network, np.rot90(image, -1).copy())
    assert dice(alpha > 127, probability > 0.5) >= 0.995
    browser.click("#save-mask")
    mask = np.array(Image.open(browser.downloaded("large.v2_mask.png")))
    assert np.array_equal(np.unique(mask[..., :3]), [0, 255])
    assert dice(mask[..., 0] > 0, probability > 0.5) >= 0.995


def test_a_saved_cutout_has_the_alpha_and_colors_shown(browser, photo):
    path, image = photo
    segment(browser, path)
    browser.click("#save-cutout")
    saved = np.array(Image.open(browser.downloaded("Mr. Cat_cutout.png")))
    assert np.array_equal(saved[..., 3], canvas(browser)[..., 3])
    assert 0 < (saved[..., 3] == 255).mean() < 1
    opaque = saved[..., 3] == 255
    assert np.array_equal(saved[opaque][:, :3], image[opaque])


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_pictures_are_pasted_and_dropped(browser, photo, event):
    content = base64.b64encode(photo[0].read_bytes()).decode()
    give = """
        const data = new DataTransfer();
        if (arguments[1]) {
          const bytes = Uint8Array.from(atob(arguments[1]), (character) => character.charCodeAt(0));
          data.items.add(new File([bytes], 'given.png', {type: 'image/png'}));
        } else data.setData('text/plain', 'hello');
        const event = new Event(arguments[0], {bubbles: true, cancelable: true});
        event.clipboardData = event.dataTransfer = data;
        document.body.dispatchEvent(event);
    """
    browser.run(give, event, "")
    assert browser.run(f"return {STATUS}").startswith("That is not an image file.")
    browser.run(give, event, content)
    browser.wait(f"/^Done.*given.png/.test({STATUS})")
    assert canvas(browser).shape[:2] == photo[1].shape[:2]


def test_a_file_that_is_no_image_is_named_and_the_picture_stays(browser, photo, tmp_path):
    segment(browser, photo[0])
    before = browser.run(PIXELS)
    (tmp_path / "notes.txt").write_text("no image")
    browser.choose("#file", tmp_path / "notes.txt")
    browser.wait(f"{STATUS}.startsWith('notes.txt is not an image that this browser can open.')")
    assert browser.run(PIXELS) == before
    browser.click("#save-mask")
    browser.downloaded("Mr. Cat_mask.png")


@pytest.mark.parametrize("name", ["DecompressionStream", "OffscreenCanvas", "WebAssembly"])
def test_an_old_browser_is_told_what_it_lacks(started, html, tmp_path, name):
    old = tmp_path / "old.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html.read_text(encoding="utf-8"))
    old.write_text(text.replace("<head>", f"<head><script>delete window.{name}</script>"), encoding="utf-8")
    started.open(old)
    started.wait(f"/^This browser is too old: it has no {name}/.test({STATUS})")
    assert started.run("return document.getElementById('choose').disabled")


def test_the_keyboard_reaches_everything(browser, photo):
    browser.press(TAB)
    assert browser.run("return document.activeElement.id") == "choose"
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    segment(browser, photo[0])
    browser.run("document.getElementById('choose').focus()")
    visited = []
    for _ in range(6):
        browser.press(TAB)
        visited.append(browser.run("return document.activeElement.id || document.activeElement.value"))
        if visited[-1] == "cutout":
            browser.press(RIGHT, RIGHT)
            assert browser.run("return document.querySelector('input[name=view]:checked').value") == "mask"
        if visited[-1] == "threshold":
            before = browser.run(PIXELS)
            browser.press(*[LEFT] * 20)
            assert browser.run("return document.getElementById('threshold').value") == "0.3"
            assert browser.run(PIXELS) != before
    assert visited == ["cutout", "threshold", "transparent", "color", "save-cutout", "save-mask"]
    browser.press(ENTER)
    browser.wait(f"{STATUS}.startsWith('Saved Mr. Cat_mask.png')")


class Count(http.server.BaseHTTPRequestHandler):
    """Counts requests."""

    requests = 0

    def do_GET(self):
        Count.requests += 1
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_no_request_leaves(browser, photo, tmp_path):
    segment(browser, photo[0])
    names = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in names if not name.startswith(("blob:", "data:"))] == []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Count)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    attempt = """
        const url = `http://127.0.0.1:${arguments[0]}/`, image = new Image();
        const seen = new Promise((resolve) => image.onload = image.onerror = resolve);
        image.src = url + 'image';
        return Promise.all([seen, fetch(url).then(() => 'reached', () => 'refused')]).then(([, how]) => how);
    """
    port = server.server_address[1]
    try:
        assert browser.run(attempt, port) == "refused"
        assert Count.requests == 0
        (tmp_path / "free.html").write_text("<!doctype html><title>A page without a policy</title>")
        browser.open(tmp_path / "free.html")
        assert browser.run(attempt, port) == "reached"
        assert Count.requests == 2
    finally:
        Count.requests = 0
        server.shutdown()
        server.server_close()


def test_a_phone_scrolls_only_down(started, html, photo, tmp_path):
    """In a frame, since no headless window is as narrow as a phone."""
    frame = tmp_path / "frame.html"
    frame.write_text(f'<!doctype html><iframe src="{html.as_uri()}" width="390" height="844"></iframe>')
    started.open(frame)
    started.frame("iframe")
    started.wait(f"{STATUS}.startsWith('Ready')")
    widths = "return [document.documentElement.scrollWidth, innerWidth]"
    empty = started.run(widths)
    segment(started, photo[0])
    assert started.run("return innerWidth") == 390
    for scroll_width, width in (empty, started.run(widths)):
        assert scroll_width <= width
