"""The player alone, with sides that say which frame they are: it never jumps in time and never steps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.studio.browser.recording import allow_recorder, start_recording, stop_recording

RATE, FRAMES = 48_000, 480_000
FADE = 240  # frames of 5 ms
# The value of a frame is its number: original n / 2^20, master the same + 0.25, its next revision + 0.375. All exact.
_PLAYER = """async () => {
  const { Player } = await import('/player/player.js');
  const player = new Player(async (side, start, frames, { revision }) => {
    await new Promise((resolve) => setTimeout(resolve, window.delayMs ?? 5));
    const offset = side === 'original' ? 0 : revision === 1 ? 0.25 : 0.375;
    const samples = Float32Array.from({ length: frames }, (_, i) => (start + i) / 2 ** 20 + offset);
    return { channels: [samples], isExact: true };
  });
  await player.open({ id: 't', sampleRate: 48000, channels: 1, frames: 480000, revision: 1 }, ['original', 'master']);
  return player;
}"""

pytestmark = pytest.mark.slow


@pytest.fixture
def player(page):
    """A player that is loaded, at frame 0, and recorded."""
    allow_recorder(page)
    player = page.evaluate_handle(_PLAYER)
    player.evaluate(
        "async (p) => { while (p.lanes.master.buffer.ranges.length < 5) await new Promise(r => setTimeout(r, 20)) }"
    )
    start_recording(player)
    yield player
    player.evaluate("(p) => { p.close(); return p.context.close(); }")


def _play(page, player, *steps):
    """Play, take the steps 0.4 s apart, and return what was played from the first full sample on."""
    player.evaluate("(p) => p.play()")
    page.wait_for_timeout(400)
    for step in steps:
        player.evaluate(step)
        page.wait_for_timeout(400)
    audio = stop_recording(page)[:, 0].astype(np.float64)
    start = int(np.flatnonzero(audio)[0]) + FADE
    return audio[start:]


def _levels(audio):
    """Position from which each sample comes if its side is known by its offset, and that offset."""
    offsets = np.array([0.0, 0.25, 0.375])
    expected_first = 2.0**-20 * FADE
    frame = np.arange(len(audio)) * 2.0**-20 + expected_first
    return audio - frame, offsets


def test_sides_are_switched_without_a_jump_in_time(page, player):
    audio = _play(page, player, "p => p.setSide('original')", "p => p.setSide('master')", "p => p.setSide('original')")
    offset, _ = _levels(audio)
    # Between the sides the offset is a straight line of 5 ms; in them it is constant, so time never jumps.
    assert np.abs(np.diff(offset)).max() <= 0.25 / FADE * 1.01
    is_side = (np.abs(offset) < 1e-6) | (np.abs(offset - 0.25) < 1e-6)
    changes = np.flatnonzero(np.diff(is_side.astype(int)))
    assert len(changes) == 6
    assert np.abs(np.diff(changes)[::2] - FADE).max() <= 2


def test_a_new_revision_fades_in_at_the_same_time(page, player):
    audio = _play(page, player, "p => { p.setRevision(2); }")
    offset, _ = _levels(audio)
    assert np.abs(np.diff(offset)).max() <= 0.125 / FADE * 1.01
    assert abs(offset[0] - 0.25) < 1e-6
    assert abs(offset[-1] - 0.375) < 1e-6


def test_fast_switching_stays_between_the_sides(page, player):
    fast = "p => { for (const side of ['original', 'master', 'original']) p.setSide(side); }"
    audio = _play(page, player, *[fast, "p => p.setSide('master')"] * 2)
    offset, _ = _levels(audio)
    assert offset.min() > -1e-6
    assert offset.max() < 0.25 + 1e-6
    assert np.abs(np.diff(offset)).max() <= 0.25 / FADE * 1.01


def test_the_null_signal_is_master_minus_original(page, player):
    audio = _play(page, player, "p => p.setSide('null')")
    assert np.abs(audio[-4800:] - 0.25).max() == 0.0


def test_a_loop_plays_every_frame_in_turn(page, player):
    audio = _play(page, player, "p => p.setLoop({ start: 96000, end: 108000 })", "p => p", "p => p")
    frames = np.round((audio - 0.25) * 2**20).astype(int)
    inside = frames[np.flatnonzero(frames >= 96_000)[0] + FADE :]
    wraps = np.flatnonzero(np.diff(inside) < 0)
    assert len(wraps) > 0
    is_fade = np.zeros(len(inside), bool)
    for start in np.flatnonzero(inside >= 108_000 - 1):
        is_fade[start : start + FADE + 2] = True
    steady = np.diff(inside)[~is_fade[1:] & ~is_fade[:-1]]
    assert set(np.unique(steady)) == {1}
    assert inside.max() <= 108_000 + FADE


def test_a_seek_continues_from_there(page, player):
    audio = _play(page, player, "p => p.seek(400000)")
    last = round((audio[-1] - 0.25) * 2**20)
    assert last > 400_000


def test_missing_audio_is_a_pause_without_a_click(page, player):
    slow = "p => { window.delayMs = 700; p.seek(300000); }"
    audio = _play(page, player, slow, "p => p", "p => p")
    # The steepest change is two fades of 5 ms at once, over the full value.
    assert np.abs(np.diff(audio)).max() <= 2.05 * np.abs(audio).max() / FADE
    assert (audio == 0.0).any()
    assert round((audio.max() - 0.25) * 2**20) > 300_000
