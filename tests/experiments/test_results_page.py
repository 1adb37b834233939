"""The page of `petseg results --html`: its figures, and its use in headless Chromium without network access."""

import itertools
import json
import random
import re
import time

import pytest

from petseg.experiments import collect, query, results_page
from support import repositories
from support.repositories import result
from support.webdriver import BROWSERS, ENTER, INSTALLED

pytestmark = pytest.mark.xdist_group("results page")  # they share a browser

DOWN = "\ue015"
COUNT = 51  # with HEAD


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """HEAD and 50 experiments: 5 values of lr, 2 widths, 5 seeds; one has hostile texts and lacks its seconds."""
    folder, rng, experiments = tmp_path_factory.mktemp("fifty"), random.Random(0), {}
    head = result(folder, {}, 0.9, seconds=25, epochs=30)
    for lr, width, seed in itertools.product(("1e-4", "3e-4", "1e-3", "3e-3", "1e-2"), (8, 32), range(5)):
        files = result(folder, {}, 0.85 + width / 1000 + 0.01 * rng.random(), width, epochs=30)
        text = head["params.yaml"]  # changed by hand: the YAML editor would take a second for them all
        for old, new in (("lr: 3.0e-3", f"lr: {lr}"), ("seed: 88", f"seed: {seed}"), ("width: 16", f"width: {width}")):
            text = text.replace(old, new, 1)
        experiments[f"e{len(experiments)}"] = files | {"params.yaml": text}
    del experiments["e49"]
    text = head["params.yaml"].replace("name: adam", "name: </script>")
    experiments["<b>"] = head | {"params.yaml": text, "dvc.lock": ""}
    repositories.repository(folder, head, experiments)
    return folder


@pytest.fixture(scope="module")
def entries(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield collect.collect()[0]


@pytest.fixture(scope="module")
def page(entries, tmp_path_factory):
    path = tmp_path_factory.mktemp("a page") / "experiments.html"
    path.write_text(results_page.render(entries, ["Left out: <one>."]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    if not INSTALLED["chromium"]:
        pytest.skip("chromium or chromedriver is not installed")
    with BROWSERS["chromium"](tmp_path_factory.mktemp("chromium"), dark=True) as browser:
        yield browser


@pytest.fixture
def opened(browser, page):
    browser.resize(1400, 900)
    browser.open(page)
    return browser


def rows(browser):
    """The texts of the table's cells."""
    return browser.run(
        "return [...document.querySelectorAll('#rows tr')].map(row => [...row.cells].map(c => c.innerText))"
    )


def filter_by(browser, text):
    browser.run(
        "const field = document.getElementById('filter'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('input', { bubbles: true }))",
        text,
    )


def test_the_page_has_the_figures_of_the_experiments_and_loads_nothing(page, entries):
    text = page.read_text(encoding="utf-8")
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    shown = {each["sha"]: each for each in json.loads(data)["experiments"]}
    assert len(shown) == COUNT
    for each in entries:
        own = shown[each.sha]
        assert own["dice"] == {name: each.scores[f"{name}.dice"] for name in own["dice"]}
        assert own["seconds"] == each.seconds
        assert own["params"]["lr"] == each.params["lr"]
        assert [point[0] for point in own["curves"]["unet"]] == list(range(1, 31))
    assert re.findall(r'(?:src|href)=|url\("|https?://(?!www.w3.org/2000/svg)', text) == []
    assert "Left out: &lt;one&gt;." in text


def test_it_opens_in_less_than_three_seconds(opened):
    start = time.perf_counter()
    opened.run("location.reload()")
    opened.wait("document.querySelectorAll('#rows tr').length && document.querySelectorAll('#curves path').length")
    assert time.perf_counter() - start < 3
    loaded = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    opened.wait(f"{loaded} > 0")
    assert opened.run(f"return {loaded}") < 3000
    assert opened.run("return performance.getEntriesByType('resource').length") == 0


def test_seeds_are_averaged_as_the_table_of_the_terminal_does(opened, entries):
    found = rows(opened)
    folded = query.fold(entries)
    assert [row[0] for row in found] == [row.name for row in folded]
    mean, sd, n = folded[1].spread("unet")
    assert f"{mean:.4f} ± {sd:.4f}" in found[1]
    assert found[1][-1] == str(n)
    opened.click("#fold")
    assert len(rows(opened)) == COUNT


def test_the_table_is_sorted_and_filtered(opened):
    opened.click("#head [data-key=unet]")
    dices = [float(row[-4][:6]) for row in rows(opened)]
    assert dices == sorted(dices, reverse=True)
    opened.click("#head [data-key=unet]")
    assert [float(row[-4][:6]) for row in rows(opened)] == dices[::-1]
    filter_by(opened, "lr <= 3e-4 unet.width=32")
    assert {row[1] for row in rows(opened)} == {"1e-4", "3e-4"}
    assert opened.run("return document.querySelectorAll('#scatter circle').length") == 2
    filter_by(opened, "nothing-has-this-name")
    assert rows(opened) == []
    assert "Nothing to show" in opened.run("return document.getElementById('scatter').textContent")


def test_the_keyboard_marks_and_keeps_an_experiment_in_every_chart(opened):
    opened.run("document.querySelector('#rows tr').focus()")
    opened.press(DOWN, ENTER, DOWN)
    for chart in ("scatter", "curves", "parallel"):
        marked = opened.run(
            f"return new Set([...document.querySelectorAll('#{chart} .marked')].map(e => e.dataset.id)).size"
        )
        assert marked == 2, chart
    assert opened.run("return document.querySelectorAll('#rows .kept').length") == 1
    assert rows(opened)[2][0] in opened.run("return document.getElementById('readout').textContent")


def test_error_bars_stay_within_their_chart(opened):
    bars = "[...document.querySelectorAll('#scatter .bar')]"
    ends = opened.run(f"return {bars}.flatMap(bar => [bar.y1, bar.y2].map(end => end.baseVal.value))")
    assert len(ends) == 2 * 10
    assert 0 <= min(ends) < max(ends) <= 300 - 40  # the margin at the bottom


def test_the_front_has_only_points_that_no_other_one_beats(opened):
    script = "return {}.map(row => [row.seconds.unet.mean, row.dice.unet.mean])"
    usable = "state.rows.filter(row => row.seconds.unet)"
    front, points = opened.run(script.format(f"paretoFront({usable}, 'unet')")), opened.run(script.format(usable))
    expected = {tuple(a) for a in points if not any(b[0] <= a[0] and b[1] >= a[1] and b != a for b in points)}
    assert {tuple(each) for each in front} == expected
    assert len(front) > 1


@pytest.mark.parametrize("width", [400, 1400])
def test_it_never_scrolls_sideways(opened, width):
    opened.resize(width, 900)
    opened.run("draw()")
    assert opened.run("return document.documentElement.scrollWidth") <= width
