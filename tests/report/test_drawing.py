"""What the report draws and plays in a real browser: charts, the values under the pointer, and the players."""

import importlib.util
import itertools
import re

import numpy as np
import pytest

from nmjax.report.audio_players import add_reference, select_excerpts
from nmjax.report.page import write_report
from tests.report.test_page import report_data
from tests.report.test_spectral_change import analyze_audio
from tests.studio.browser.harness import BROWSERS, open_chromium
from tests.synthetic_audio import music

pytestmark = pytest.mark.slow
RATE = 8000


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of 40 s with a reference."""
    if importlib.util.find_spec("playwright") is None or BROWSERS["chromium"].find() is None:
        pytest.skip(
            "Playwright or Chromium is missing; install them with: pip install playwright, apt-get install chromium"
        )
    song = music(40.0, RATE, 2, seed=1).astype(np.float32)
    analysis = analyze_audio(song, RATE)
    excerpts = select_excerpts(iter([song]), iter([0.5 * song]), analysis)
    excerpts = add_reference(excerpts, iter([song[::-1].copy()]), analysis)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, report_data(song, 0.5 * song, RATE, excerpts=excerpts, summary=["At most 4 dB of EQ."]))
    return path


@pytest.fixture(scope="module")
def page(report):
    """The report as a file; errors of its script and requests fail the test."""
    with open_chromium() as browser:
        page = browser.new_page(viewport={"width": 900, "height": 900})
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        page.wait_for_selector("nm-chart path")
        yield page
        assert errors == []
        assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_every_chart_is_drawn_and_described(page):
    charts = page.locator("nm-chart")
    assert charts.count() >= 3
    for i in range(charts.count()):
        chart = charts.nth(i)
        lines = chart.locator("> svg > .chart-line").evaluate_all(
            "lines => lines.map((line) => line.getAttribute('d'))"
        )
        assert lines and all("NaN" not in line for line in lines) and any("L" in line for line in lines)
        assert chart.locator("> svg").get_attribute("aria-label").endswith(".")
        assert chart.locator(".legend li").count() == len(lines)
    assert page.locator("nm-eq .eq-handle").count() == 5
    assert page.locator("nm-eq [tabindex]").count() == 0  # a picture


@pytest.mark.parametrize("width", [360, 900])
def test_labels_along_the_bottom_do_not_overlap(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = (
        page.locator("nm-chart")
        .nth(0)
        .locator("text[text-anchor=middle]")
        .evaluate_all(
            "texts => texts.map((x) => x.getBoundingClientRect()).map(({ left, right, top }) => [left, right, top])"
        )
    )
    ticks = sorted(box[:2] for box in boxes if box[2] < max(box[2] for box in boxes) - 5)
    assert len(ticks) >= 4
    assert all(right <= left for (_, right), (left, _) in itertools.pairwise(ticks))


def test_the_values_under_the_pointer_are_those_of_the_data(page):
    page.set_viewport_size({"width": 900, "height": 900})
    chart = page.locator("nm-chart").last  # over time, so that its axis is linear
    chart.scroll_into_view_if_needed()
    box = chart.locator("> svg").bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    text = chart.locator(".readout").inner_text()
    data = chart.evaluate("(chart) => chart.chart.curves.map(({ name, x, y }) => [name, x, y])")
    share = (0.6 * box["width"] - 46) / (box["width"] - 46 - 16)
    for name, x, y in data:
        shown = float(re.search(rf"{re.escape(name)} ([−\d.]+)", text)[1].replace("−", "-"))
        axis = chart.evaluate("(chart) => [chart.chart.x.low, chart.chart.x.high]")
        assert shown == pytest.approx(np.interp(axis[0] + share * (axis[1] - axis[0]), x, y), abs=0.3)
    chart.focus()
    page.keyboard.press("ArrowRight")
    assert chart.locator(".readout").is_visible() and chart.locator(".readout").inner_text() != text


def test_a_player_switches_between_three_sides_in_place(page):
    player = page.locator("nm-ab-player").first
    assert player.locator("button[aria-pressed]").all_inner_texts() == ["A: Input", "B: Master", "R: Reference"]
    page.keyboard.press("Space")
    for _ in range(200):  # `wait_for_function` would need eval, which the page's security policy refuses
        if player.evaluate("(player) => player.position") > 0.3:
            break
        page.wait_for_timeout(50)
    assert player.evaluate("(player) => player.position") > 0.3
    for key, name in (("a", "original"), ("r", "reference"), ("b", "master")):
        before = player.evaluate("(player) => player.position")
        page.keyboard.press(key)
        side, gains = player.evaluate("(player) => [player.side, player.sources.length]")
        assert (side, gains) == (name, 3)
        assert 0.0 <= player.evaluate("(player) => player.position") - before < 1.0
    page.keyboard.press("Space")
    assert player.evaluate("(player) => player.sources") is None
    assert player.evaluate("(player) => player.seconds") == pytest.approx(30.0, abs=0.01)


def test_the_report_prints_without_parting_a_heading_from_its_chart(page, tmp_path):
    """A heading at the end of a page would have its chart on the next one."""
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
    page.emulate_media(media="print")
    styles = page.locator("section > h2").evaluate_all("all => all.map((h) => getComputedStyle(h).breakAfter)")
    assert set(styles) == {"avoid"}
    assert page.locator(".players").evaluate("(x) => getComputedStyle(x).display") == "none"
    page.emulate_media(media="screen")


def test_a_page_that_is_printed_before_its_first_frame_has_its_charts(page):
    """As a browser that is asked for a PDF at once does."""
    early = page.context.browser.new_page()
    early.add_init_script("window.requestAnimationFrame = () => 0")
    early.goto(page.url)
    is_drawn = "all => all.map((x) => x.querySelectorAll('svg path.chart-line[d], svg path.eq-total[d]').length > 0)"
    assert not all(early.locator("nm-chart, nm-eq").evaluate_all(is_drawn))
    early.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert all(early.locator("nm-chart, nm-eq").evaluate_all(is_drawn))
    early.close()
