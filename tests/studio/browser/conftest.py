"""One studio and one browser for each module of tests."""

from __future__ import annotations

import importlib.util

import pytest

from tests.studio.browser.harness import MEASURED, ROOT, find_chromium, open_browser, running_studio, wait_until

EXAMPLE = ROOT / "examples" / "settlers-routine.flac"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Address of a studio, with a token."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright is missing; install it with: pip install 'nmjax[test]'")
    if find_chromium() is None:
        pytest.skip("Chromium is missing; install it with: apt-get install chromium")
    with running_studio(tmp_path_factory.mktemp("studio")) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser_context(studio):
    """A browser that may use the studio."""
    with open_browser(studio) as context:
        yield context


@pytest.fixture
def page(browser_context, studio):
    """The page of the studio; errors of its scripts and requests to other hosts fail the test."""
    page = browser_context.new_page()
    errors, foreign = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    origin = studio.split("?")[0]
    page.on(
        "request",
        lambda request: None if request.url.startswith((origin, "blob:", "data:")) else foreign.append(request.url),
    )
    page.goto(origin)
    yield page
    page.close()
    assert errors == []
    assert foreign == []


@pytest.fixture
def track_page(page):
    """The page with the example track mastered; the module's first test drops it."""
    page.wait_for_selector(".empty, nm-waveform")
    if page.query_selector(".empty"):
        page.set_input_files(".empty input[type=file]", EXAMPLE)
    wait_until_mastered(page)
    return page


def wait_until_mastered(page):
    """Wait until the suggestion is there and the whole master is measured."""
    page.wait_for_selector("nm-eq", timeout=180_000)
    wait_until(page, MEASURED)
