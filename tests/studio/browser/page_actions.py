"""What a person does with the page, for tests: drop a file, wait, download."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import soundfile

from tests.studio.browser.harness import wait_until

_DROP = """([selector, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  const area = document.querySelector(selector);
  for (const type of ['dragenter', 'dragover', 'drop']) {
    area.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""


def drop(page, selector, name, data):
    page.evaluate(_DROP, [selector, name, base64.b64encode(data).decode()])


def state(page):
    return page.evaluate("import('/store.js').then(s => s.track.value.state)")


def wait_for_band(page, index, expected):
    """Wait until a band has the values of another state."""
    values = json.dumps({name: expected[name] for name in ("freq_hz", "gain_db", "q")})
    wait_until(
        page,
        f"Object.entries({values}).every(([name, x]) => "
        f"Math.abs(store.track.value.state.bands[{index}][name] - x) <= 1e-4 * Math.abs(x))",
        30,
    )


def close_dialog(page):
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")


def idle(page):
    """Wait until the server's reply to the last change is shown."""
    page.wait_for_timeout(600)


def download(page, link):
    """Name and bytes of the file that a link saves; the bytes are asked for again, as Firefox does not tell where."""
    with page.expect_download() as download:
        link.click()
    address = link.evaluate("element => element.href")
    return download.value.suggested_filename, page.request.get(address).body()


def music(seconds=6.0, rate=44_100):
    """A bright loop of chords as WAV bytes."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(1).normal(0.0, 0.05, (len(time), 2))
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6, 1760.0))[:, None] * 0.08
    file = io.BytesIO()
    soundfile.write(file, noise * (0.3 + np.abs(np.sin(2.0 * time)))[:, None] + chord, rate, "PCM_16", format="WAV")
    return file.getvalue()
