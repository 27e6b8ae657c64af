"""The page in the system's Firefox: drop, play, drag a handle, keys, A/B, deliver, download."""

import importlib.util

import pytest

from tests.studio.browser.conftest import EXAMPLE
from tests.studio.browser.harness import find_firefox, open_browser, open_firefox, running_studio, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if importlib.util.find_spec("playwright") is None or find_firefox() is None:
        pytest.skip("Playwright or Firefox is missing: pip install playwright; apt-get install firefox-esr")
    from playwright.sync_api import Error

    with running_studio(tmp_path_factory.mktemp("studio")) as (address, _):
        browser = open_browser(address, open_firefox)
        try:
            context = browser.__enter__()
        except Error as error:
            if "unknown command" in str(error):
                pytest.skip("This Firefox is older than Playwright asks for; try: pip install playwright==1.60.0")
            raise
        page = context.new_page()
        errors, foreign = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        own = (address.split("?")[0], "blob:", "data:")
        page.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
        page.goto(own[0])
        page.wait_for_selector(".empty")
        page.set_input_files(".empty input[type=file]", EXAMPLE)
        page.wait_for_selector(".eq-handle", timeout=180_000)
        yield page
        browser.__exit__(None, None, None)
        assert (errors, foreign) == ([], [])


def state(page):
    return page.evaluate("import('/store.js').then((s) => s.track.value.state)")


def player(page, expression):
    return page.evaluate(f"import('/listening.js').then(({{ player }}) => {expression})")


def test_a_dragged_handle_and_keys_change_a_band(page):
    before = state(page)["bands"][2]
    handle = page.locator(".eq-handle").nth(2)
    box = handle.locator(".eq-dot").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 6):
        page.mouse.move(x + 6 * i, y - 5 * i)
    page.mouse.up()
    page.wait_for_timeout(800)
    dragged = state(page)["bands"][2]
    assert dragged["freq_hz"] > 1.1 * before["freq_hz"] and dragged["gain_db"] > before["gain_db"] + 0.2
    handle.focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(800)
    assert state(page)["bands"][2]["gain_db"] == pytest.approx(dragged["gain_db"] + 0.5, abs=0.01)
    page.keyboard.press("Control+z")
    page.wait_for_timeout(800)
    assert state(page)["bands"][2]["gain_db"] == pytest.approx(dragged["gain_db"], abs=0.01)


def test_it_plays_and_switches_sides_in_place(page):
    page.locator(".clock").click()  # the keys go to the page
    page.keyboard.press("Space")
    wait_until(page, "player.report.position > 22050", 60)
    for key, side in (("a", "original"), ("b", "master"), ("n", "null"), ("b", "master")):
        before = player(page, "player.position")
        page.keyboard.press(key)
        wait_until(page, f"player.report.side === '{side}'", 30)
        assert player(page, "player.position") >= before
    page.keyboard.press("Space")
    wait_until(page, "!player.playing", 10)


def test_a_master_is_delivered_and_downloaded(page):
    page.keyboard.press("d")
    page.wait_for_selector("dialog[open]")
    page.locator("dialog button[type=submit]").click()
    page.wait_for_selector(".delivered", timeout=240_000)
    assert "PASS" in page.locator(".compliance").first.inner_text()
    with page.expect_download() as download:
        page.locator(".delivered a").first.click()
    assert download.value.suggested_filename.endswith("-mastered.wav")
