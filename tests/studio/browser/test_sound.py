"""What the page plays is what the engine writes; both sides are equally loud; changes do not click."""

from __future__ import annotations

import io

import numpy as np
import pyloudnorm
import pytest
import soundfile

from tests.studio.browser.conftest import EXAMPLE, wait_until_mastered
from tests.studio.browser.harness import wait_until
from tests.studio.browser.recording import allow_recorder, start_recording, stop_recording

pytestmark = pytest.mark.slow
RATE = 44_100
_LOADED = """['original', 'master'].every((side) =>
  player.lanes[side].buffer.firstGap(player.position) - player.position > 3.5 * player.source.sampleRate)"""


@pytest.fixture
def sound_page(track_page):
    """The page with the example track mastered, which can be recorded."""
    allow_recorder(track_page)
    wait_until_mastered(track_page)
    wait_until(track_page, "player.lanes.master")  # the page chooses the master then
    return track_page


def _player(page):
    return page.evaluate_handle("import('/listening.js').then(({ player }) => player)")


def _record(page, seconds, side=None, start_s=0.0):
    """What plays from a place on."""
    player = _player(page)
    if side:
        page.evaluate("side => import('/listening.js').then(m => m.chooseSide(side))", side)
    player.evaluate("(p, frame) => p.seek(frame)", start_s * RATE)
    wait_until(page, _LOADED)
    start_recording(player)
    player.evaluate("p => p.play()")
    page.wait_for_timeout(1000 * seconds)
    player.evaluate("p => p.pause()")
    page.wait_for_timeout(200)
    audio = stop_recording(page)
    sounding = np.flatnonzero(np.abs(audio).max(axis=1))
    return audio[sounding[0] : sounding[-1] + 1]


def _align(played, rendered, start):
    """The section of a rendering that was played from about a frame on, without the fades at both ends."""
    fade, guard = 400, 200
    middle = played[fade : -2 * fade]
    lags = range(start + fade - guard, start + fade + guard)
    errors = [np.abs(middle[:2000] - rendered[lag : lag + 2000]).max() for lag in lags if lag >= 0]
    lag = max(0, start + fade - guard) + int(np.argmin(errors))
    return middle, rendered[lag : lag + len(middle)]


def _deliver(page, **order):
    """The audio that the engine writes for the current settings."""
    job = page.evaluate(
        """async (order) => {
          const { currentId, jobs } = await import('/store.js');
          const api = await import('/api.js');
          const { id } = await api.postDelivery({ tracks: [currentId.value], format: 'wav', bits: 'float', ...order });
          const isOver = () => !['queued', 'running'].includes(jobs.value[id]?.state ?? 'queued');
          while (!isOver()) await new Promise((resolve) => setTimeout(resolve, 100));
          return jobs.value[id];
        }""",
        order,
    )
    assert job["state"] == "done", job
    url = job["result"]["tracks"][0]["masters"][0]["url"]
    body = page.request.get(url if url.startswith("http") else page.url.rstrip("/") + url).body()
    return soundfile.read(io.BytesIO(body), always_2d=True)[0]


def test_what_plays_is_what_is_delivered(sound_page):
    page = sound_page
    page.evaluate("import('/listening.js').then(m => m.chooseLoudness('delivered'))")
    rendered = _deliver(page)
    played, expected = _align(_record(page, 3, "master", 3.0), rendered, 3 * RATE)
    assert np.abs(played - expected).max() < 1e-5 * np.abs(expected).max()  # −100 dB


def test_original_plays_the_samples_of_the_file(sound_page):
    page = sound_page
    played, expected = _align(_record(page, 3, "original", 2.0), soundfile.read(EXAMPLE, always_2d=True)[0], 2 * RATE)
    assert np.abs(played - expected).max() < 1e-7


def test_sides_are_equally_loud(sound_page):
    page = sound_page
    page.evaluate("import('/listening.js').then(m => m.chooseLoudness('equal'))")
    meter = pyloudnorm.Meter(RATE)
    duration = soundfile.info(EXAMPLE).duration
    original, master = (_record(page, duration + 1, side) for side in ("original", "master"))
    assert abs(meter.integrated_loudness(original) - meter.integrated_loudness(master)) < 0.1


def test_switching_and_moving_a_handle_make_no_step(sound_page):
    page = sound_page
    player = _player(page)
    player.evaluate("(p, frame) => p.seek(frame)", 2 * RATE)
    page.wait_for_timeout(1500)
    start_recording(player)
    player.evaluate("p => p.play()")
    for key in "abanb":
        page.wait_for_timeout(350)
        page.keyboard.press(key)
    for gain_db in (-3.0, 2.0):
        page.wait_for_timeout(500)
        page.evaluate("gain_db => import('/changes.js').then(m => m.change({ bands: { 2: { gain_db } } }))", gain_db)
    page.wait_for_timeout(900)
    player.evaluate("p => p.pause()")
    page.wait_for_timeout(200)
    audio = stop_recording(page)
    source = soundfile.read(EXAMPLE, always_2d=True)[0]
    # A step would be a second difference far beyond those of the music itself, which the EQ raises by 2 dB at most.
    assert np.abs(np.diff(audio, 2, axis=0)).max() < 1.5 * np.abs(np.diff(source, 2, axis=0)).max()
    page.keyboard.press("Control+z")
