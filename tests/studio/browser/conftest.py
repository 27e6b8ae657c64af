"""One studio and one browser for each module of tests."""

from __future__ import annotations

import importlib.util

import pytest

from tests.studio.browser.harness import (
    BROWSERS,
    MEASURED,
    ROOT,
    open_browser,
    running_studio,
    wait_until,
)

EXAMPLE = ROOT / "examples" / "settlers-routine.flac"


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request):
    """Each browser that the page is made for."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("Playwright is missing; install it with: pip install 'nmjax[test]'")
    browser = BROWSERS[request.param]
    if browser.find() is None:
        pytest.skip(f"{browser.name} is missing; install it with: apt-get install {browser.package}")
    return browser


@pytest.fixture(scope="module")
def studio(browser, tmp_path_factory):
    """Address of a studio, with a token."""
    with running_studio(tmp_path_factory.mktemp("studio")) as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser_context(browser, studio):
    """A browser that may use the studio."""
    from playwright.sync_api import Error

    opened = open_browser(studio, browser.open)
    try:
        context = opened.__enter__()
    except Error as error:
        if "unknown command" in str(error):
            pytest.skip(f"This {browser.name} is older than Playwright asks for; try: pip install playwright==1.60.0")
        raise
    yield context
    opened.__exit__(None, None, None)


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
