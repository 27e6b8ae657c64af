"""The studio in a real browser: how soon a track plays, and how soon a change is played and drawn.

    python benchmarks/studio_latency.py [MUSIC] [--minutes 4] [--moves 20]

MUSIC is any audio file (the example by default); three tracks of the given length are made of it. Needs Chromium and
Playwright. A moved handle counts as played when the audio thread starts its crossfade to the new rendering; the output
latency of the sound device, which the last row has, comes on top. "Drawn" counts frames of the screen from the event of
the pointer to the moved curve.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.studio.browser.harness import MEASURED, open_browser, running_studio, wait_until  # noqa: E402

PLAYABLE = """async (before) => {
  const { player } = await import('/listening.js');
  while (!player.source || player.source.id === before) await new Promise(requestAnimationFrame);
  while (!player.lanes.original?.buffer.ranges.length) await new Promise(requestAnimationFrame);
  const loaded = performance.now();
  await player.play();
  while (player.report.position === 0) await new Promise(requestAnimationFrame);
  return { loaded, playing: performance.now() };
}"""
# Resolves with the time until the audio thread fades to a rendering that was asked for after the change.
WATCH = """async () => {
  const { player } = await import('/listening.js');
  window.watchChange = () => {  // listens when it returns
    const before = player.lanes.master.generation;
    const path = document.querySelector('.eq-total');
    const result = { frames: 0 };
    return new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error('a change was not played within 20 s')), 20000);
      let began = 0, drawn = false;
      const count = () => { if (!drawn) { result.frames++; requestAnimationFrame(count); } };
      const observer = new MutationObserver(() => { drawn = true; observer.disconnect(); });
      const start = () => {
        if (began) return;
        began = performance.now();
        observer.observe(path, { attributes: true, attributeFilter: ['d'] });
        requestAnimationFrame(count);
      };
      const options = { once: true, capture: true };
      for (const name of ['pointermove', 'input']) document.addEventListener(name, start, options);
      const switched = (event) => {
        if (!began || event.detail.generation <= before) return;
        player.removeEventListener('switched', switched);
        drawn = true; observer.disconnect();
        resolve({ ...result, ms: performance.now() - began });
      };
      player.addEventListener('switched', switched);
    });
  };
}"""


def write_track(source: Path, seconds: float, shift: float, path: Path) -> Path:
    """The source from a share of its length on, around and around; WAV of 16 bits."""
    audio, rate = soundfile.read(source, dtype="float32", always_2d=True)
    audio = np.roll(audio[:, [0, -1]], int(shift * len(audio)), axis=0)
    repeats = int(np.ceil(seconds * rate / len(audio)))
    soundfile.write(path, np.tile(audio, (repeats, 1))[: int(seconds * rate)], rate, "PCM_16")
    return path


def drop(page, path: Path) -> tuple[float, float]:
    """Seconds from the choice of a file until its first piece is loaded, and until it plays."""
    selector = ".empty input[type=file]" if page.query_selector(".empty") else ".tracks input[type=file]"
    before = page.evaluate("import('/listening.js').then(({ player }) => player.source?.id)")
    start = page.evaluate("performance.now()")
    page.set_input_files(selector, path)
    times = page.evaluate(PLAYABLE, before)
    return (times["loaded"] - start) / 1000.0, (times["playing"] - start) / 1000.0


def wait_until_measured(page) -> float:
    """Seconds until the whole track is analyzed and its master measured."""
    start = time.perf_counter()
    page.wait_for_selector("nm-eq", timeout=600_000)
    wait_until(page, MEASURED, 600.0)
    return time.perf_counter() - start


def move_handles(page, moves: int) -> list[dict]:
    """Drags a handle in steps while the track plays; each step waits until it is played."""
    box = page.locator(".eq-handle").nth(2).locator(".eq-dot").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    results = []
    for i in range(moves + 1):
        watch = page.evaluate_handle("({ result: window.watchChange() })")
        page.wait_for_timeout(30)
        page.mouse.move(x + 4 * (i % 5), y - 30 - 3 * (i % 7))
        results.append(page.evaluate("({ result }) => result", watch))
        page.wait_for_timeout(150)
    page.mouse.up()
    return results[1:]  # the first one may compile


def move_threshold(page, moves: int) -> list[dict]:
    """The same with the compressor's threshold."""
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    results = []
    for i in range(moves + 1):
        watch = page.evaluate_handle("({ result: window.watchChange() })")
        page.wait_for_timeout(30)
        slider.press("ArrowLeft" if i % 8 < 4 else "ArrowRight")
        results.append(page.evaluate("({ result }) => result", watch))
        page.wait_for_timeout(150)
    return results[1:]


def memory_mb(pid: int, name: str) -> float:
    """VmRSS or VmHWM of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return float(status.split(f"{name}:")[1].split()[0]) / 1024.0


def describe(results: list[dict]) -> str:
    times = [result["ms"] for result in results]
    return f"{statistics.median(times):.0f} (worst of {len(times)}: {max(times):.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", nargs="?", type=Path, default=ROOT / "examples" / "settlers-routine.flac")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--moves", type=int, default=20)
    options = parser.parse_args()
    rows: list[tuple[str, str, str]] = []

    def add(*row: str) -> None:
        rows.append(row)
        print("… " + ", ".join(row), file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder, running_studio(Path(folder)) as (address, pid):
        tracks = [write_track(options.music, 60 * options.minutes, i / 3, Path(folder) / f"{i}.wav") for i in range(3)]
        with open_browser(address) as context:
            page = context.new_page()
            page.on("pageerror", lambda error: print(f"Error of the page: {error}", file=sys.stderr, flush=True))
            page.goto(address.split("?")[0])
            page.wait_for_selector(".empty")
            loaded, playing = drop(page, tracks[0])
            add("playable after the drop, s", "3", f"{loaded:.1f} (sounds: {playing:.1f})")
            add("suggestion and whole master measured after that, s", "", f"{wait_until_measured(page):.0f}")
            page.evaluate(WATCH)
            page.evaluate("import('/listening.js').then(({ player }) => { player.seek(1e6); return player.play(); })")
            page.wait_for_timeout(1500)
            moved = move_handles(page, options.moves)
            add("moved handle played, ms", "150 (300)", describe(moved))
            add("moved handle drawn, frames", "1", str(max(result["frames"] for result in moved)))
            page.select_option("select >> nth=0", "2")
            page.get_by_role("slider", name="Threshold").wait_for(timeout=300_000)
            page.wait_for_timeout(3000)
            wait_until_measured(page)
            add("moved compressor threshold played, ms", "400", describe(move_threshold(page, options.moves)))
            for path in tracks[1:]:
                drop(page, path)
                page.wait_for_timeout(1000)
                wait_until_measured(page)
            rss, peak = memory_mb(pid, "VmRSS"), memory_mb(pid, "VmHWM")
            add("memory of the server with three tracks, MB", "900", f"{rss:.0f} (peak: {peak:.0f})")
            latency = page.evaluate(
                "import('/listening.js').then(({ player: { context: c } }) => 1000 * (c.baseLatency + c.outputLatency))"
            )
            add("output latency of the device, ms", "", f"{latency:.0f}")
    print("| quantity | target | measured |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
