"""A studio and a browser to look at it with; `benchmarks/studio_latency.py` uses them too."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[3]
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


@contextlib.contextmanager
def running_studio(cache: Path) -> Iterator[tuple[str, int]]:
    """Address with a one-time token, and process id, of a studio without tracks whose session is below `cache`."""
    command = [sys.executable, "studio.py", "--new", "--no-browser"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}
    with open(cache / "studio.log", "w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        try:
            yield _read_address(process.stdout, cache / "studio.log"), process.pid
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def _read_address(lines: Iterator[str], log: Path) -> str:
    for line in lines:
        if match := re.search(r"http://\S+", line):
            return match.group()
    raise RuntimeError(f"The studio ended: {log.read_text()}")


@contextlib.contextmanager
def open_chromium() -> Iterator[Any]:
    """A Playwright browser: Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSERS["chromium"].find(), args=_ARGUMENTS)
        yield browser
        browser.close()


@contextlib.contextmanager
def open_firefox() -> Iterator[Any]:
    """A Playwright browser: the system's own Firefox, through WebDriver BiDi."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        preferences = {"media.autoplay.default": 0, "media.autoplay.block-webaudio": False}
        browser = playwright.firefox.launch(
            channel="moz-firefox", executable_path=BROWSERS["firefox"].find(), firefox_user_prefs=preferences
        )
        yield browser
        browser.close()


class Browser(NamedTuple):
    """A browser of the system.

    Attributes:
        name: for messages.
        package: of Debian.
        programs: names of its program, the first one that is there is run.
        open: context of a Playwright browser.
    """

    name: str
    package: str
    programs: tuple[str, ...]
    open: Callable[[], AbstractContextManager[Any]]

    def find(self) -> str | None:
        """Path of its program; None where there is none."""
        return next((path for path in map(shutil.which, self.programs) if path), None)


BROWSERS = {
    "chromium": Browser("Chromium", "chromium", ("chromium", "chromium-browser", "google-chrome"), open_chromium),
    "firefox": Browser("Firefox", "firefox-esr", ("firefox-esr", "firefox"), open_firefox),
}


@contextlib.contextmanager
def open_browser(address: str, open_it: Callable[[], AbstractContextManager[Any]] = open_chromium) -> Iterator[Any]:
    """A Playwright context that has exchanged the token of an address."""
    with open_it() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
        page = context.new_page()
        page.goto(address)
        page.close()
        yield context


def wait_until(page: Any, condition: str, timeout_s: float = 180.0) -> None:
    """Wait for a JavaScript expression, which may await; Playwright's own wait needs an eval that the page forbids.

    Raises:
        AssertionError: it is still false after the time.
    """
    loop = f"""async (ms) => {{
      const store = await import('/store.js');
      const {{ player }} = await import('/listening.js');
      const end = performance.now() + ms;
      while (performance.now() < end) {{
        if ({condition}) return true;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }}
      return false;
    }}"""
    assert page.evaluate(loop, 1000.0 * timeout_s), f"still false: {condition}"


MEASURED = "store.meters.value.master?.pending === false"
