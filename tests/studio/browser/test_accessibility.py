"""The page for everybody: no serious finding of axe-core, no sideways scrolling at 400 px, names for all controls."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def _serious_findings(page):
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [
        (finding["id"], [node["html"][:120] for node in finding["nodes"]])
        for finding in violations
        if finding["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_empty_page_has_no_serious_finding(browser_context, studio, scheme):
    page = browser_context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(studio.split("?")[0])
    page.wait_for_selector(".empty, nm-waveform")
    assert _serious_findings(page) == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mastered_track_has_no_serious_finding(track_page, scheme):
    track_page.emulate_media(color_scheme=scheme)
    track_page.locator(".eq-handle").first.focus()
    assert _serious_findings(track_page) == []


def test_the_bands_of_the_side_have_no_serious_finding(track_page):
    track_page.keyboard.press("e")
    track_page.get_by_role("button", name="Add a band").wait_for()
    assert _serious_findings(track_page) == []
    track_page.keyboard.press("e")


@pytest.mark.parametrize("key", ["?", "s", "d"])
def test_dialogs_have_no_serious_finding(track_page, key):
    track_page.keyboard.press(key)
    track_page.wait_for_selector("dialog[open]")
    assert _serious_findings(track_page) == []


@pytest.mark.parametrize("width", [400, 1024, 2560])
def test_nothing_is_wider_than_the_page(track_page, width):
    track_page.set_viewport_size({"width": width, "height": 900})
    track_page.wait_for_timeout(300)
    assert track_page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = track_page.evaluate(
        "[...document.querySelectorAll('main button, main input, main select')].map(e => e.getBoundingClientRect())"
        ".filter(r => r.width).map(r => [r.left, r.right])"
    )
    assert all(left >= 0 and right <= width for left, right in boxes)


def test_everything_is_reached_with_the_keyboard(track_page):
    track_page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(120):
        track_page.keyboard.press("Tab")
        name = track_page.evaluate(
            "(e => e.getAttribute('aria-label') ?? (e.closest('label') ?? e).innerText)(document.activeElement)"
        )
        reached.add((name or "").strip().split("\n")[0])
    assert {"Play", "Position in the track", "Band 1", "Band 5", "Undo"} - reached <= {"Undo"}  # nothing to undo yet
    assert any(name.startswith("Master") or name.startswith("Original") for name in reached)
    assert "Intensity" in reached
