"""Pictures of the studio for the documents, of the example track in a real browser.

    python scripts/studio_pictures.py [FOLDER]

Writes studio-mastered.png, studio-equalizer.png, studio-reference.png and studio-delivered.png into docs/images, or the
folder. Needs Chromium and Playwright (pip install 'nmjax[test]').
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.studio.browser.harness import MEASURED, open_browser, running_studio, wait_until  # noqa: E402

EXAMPLE = ROOT / "examples" / "settlers-routine.flac"
SIZE = {"width": 1360, "height": 900}
_READY = "store.track.value.status === 'ready' && store.curvesAreExact.value"


def take_pictures(page: Any, folder: Path) -> None:
    """Master the example as the walk-through does, with a picture of each step."""

    def picture(name: str) -> None:
        wait_until(page, f"{_READY} && {MEASURED}")
        page.wait_for_timeout(800)  # the waveform of the master
        page.screenshot(path=folder / f"studio-{name}.png")

    page.set_viewport_size(SIZE)
    page.wait_for_selector(".empty")
    page.set_input_files(".empty input[type=file]", EXAMPLE)
    page.wait_for_selector(".eq-handle", timeout=180_000)
    picture("mastered")
    page.locator(".eq-handle").nth(1).focus()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    picture("equalizer")
    page.locator("body").click(position={"x": 5, "y": 450})
    page.keyboard.press("Control+z")
    page.get_by_label("Style", exact=True).select_option("folk")
    wait_until(page, "store.track.value.state.style === 'folk' && store.track.value.state.model === '2'")
    wait_until(page, "store.curves.value?.target")
    picture("reference")
    page.locator("body").click(position={"x": 5, "y": 450})
    page.keyboard.press("d")
    page.locator("input[name=preset][value=cd]").check()
    page.locator(".deliver-form button[type=submit]").click()
    page.locator(".delivered").first.wait_for(timeout=300_000)
    picture("delivered")


def main() -> None:
    """Start a studio and a browser, and take the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    with (
        tempfile.TemporaryDirectory() as cache,
        running_studio(Path(cache)) as (address, _),
        open_browser(address) as context,
    ):
        page = context.new_page()
        page.goto(address.partition("?")[0])
        take_pictures(page, folder)


if __name__ == "__main__":
    main()
