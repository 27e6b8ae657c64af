"""A person at the page: drop, drag, compare, reference, snapshots, deliver, download."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import soundfile

from tests.studio.browser.conftest import EXAMPLE
from tests.studio.browser.harness import wait_until

pytestmark = pytest.mark.slow

_DROP = """([selector, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  const area = document.querySelector(selector);
  for (const type of ['dragenter', 'dragover', 'drop']) {
    area.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""


def _drop(page, selector, name, data):
    page.evaluate(_DROP, [selector, name, base64.b64encode(data).decode()])


def _state(page):
    return page.evaluate("import('/store.js').then(s => s.track.value.state)")


def _idle(page):
    """Wait until the server's reply to the last change is shown."""
    page.wait_for_timeout(600)


def _music(seconds=6.0, rate=44_100):
    """A bright loop of chords as WAV bytes."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(1).normal(0.0, 0.05, (len(time), 2))
    chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6, 1760.0))[:, None] * 0.08
    file = io.BytesIO()
    soundfile.write(file, noise * (0.3 + np.abs(np.sin(2.0 * time)))[:, None] + chord, rate, "PCM_16", format="WAV")
    return file.getvalue()


def test_a_dropped_track_is_mastered_and_explained(page):
    page.wait_for_selector(".empty")
    _drop(page, ".empty", EXAMPLE.name, EXAMPLE.read_bytes())
    page.wait_for_selector("nm-waveform")
    page.wait_for_selector("nm-eq", timeout=180_000)
    assert page.locator(".summary strong").inner_text().endswith(".")
    assert "Cut end" in page.locator(".findings").inner_text()
    page.wait_for_selector(".eq-handle")  # after the curves
    assert page.locator(".eq-handle").count() == len(_state(page)["bands"])


def test_a_dragged_handle_is_one_step_of_undo(track_page):
    page = track_page
    before = _state(page)["bands"][2]
    box = page.locator(".eq-handle").nth(2).locator(".eq-dot").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 9):
        page.mouse.move(x + 6 * i, y - 5 * i)
    page.mouse.up()
    _idle(page)
    moved = _state(page)["bands"][2]
    assert moved["freq_hz"] > 1.2 * before["freq_hz"]
    assert moved["gain_db"] > before["gain_db"] + 0.3
    page.keyboard.press("Control+z")
    _idle(page)
    assert _state(page)["bands"][2] == pytest.approx(before)
    page.keyboard.press("Control+Shift+z")
    _idle(page)
    assert _state(page)["bands"][2] == pytest.approx(moved)
    page.locator(".eq-handle").nth(2).dblclick()
    _idle(page)
    assert _state(page)["bands"][2] == pytest.approx(before)


def test_the_wheel_and_keys_change_a_band(track_page):
    page = track_page
    before = _state(page)["bands"][3]
    handle = page.locator(".eq-handle").nth(3)
    handle.hover()
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(900)
    assert _state(page)["bands"][3]["q"] > 1.2 * before["q"]
    handle.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowUp")
    _idle(page)
    assert _state(page)["bands"][3]["gain_db"] == pytest.approx(before["gain_db"] + 0.6, abs=1e-6)
    assert handle.get_attribute("aria-valuetext").count("decibels") == 1
    page.keyboard.press("Delete")
    _idle(page)
    assert _state(page)["bands"][3] == pytest.approx(before)


def test_the_side_has_bands_of_its_own(track_page):
    page = track_page
    before = _state(page)
    page.keyboard.press("e")
    assert page.locator(".eq-handle").count() == 0
    page.get_by_role("button", name="Add a band").click()
    handle = page.get_by_role("slider", name="Side band 1", exact=True)
    handle.wait_for()
    handle.focus()
    page.keyboard.press("ArrowDown")
    _idle(page)
    after = _state(page)
    assert after["side_bands"][0]["gain_db"] == pytest.approx(-0.5) and after["bands"] == before["bands"]
    wait_until(page, "Math.min(...(store.curves.value.side_total ?? [0])) < -0.45")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    wait_until(page, "store.track.value.state.side_bands.length === 0")
    page.keyboard.press("e")
    page.get_by_role("slider", name="Band 1", exact=True).wait_for()


def test_keys_choose_what_is_played(track_page):
    page = track_page
    for key, side in (("a", "Original"), ("b", "Master"), ("n", "Only changes"), ("x", "Original")):
        page.keyboard.press(key)
        assert page.locator(".side[aria-checked=true]").inner_text().startswith(side)
    page.keyboard.press("b")
    page.keyboard.press("1")
    _idle(page)
    assert _state(page)["bypass"] == ["eq"]
    page.keyboard.press("1")
    page.keyboard.press("?")
    page.locator("dialog .keys").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    _idle(page)
    assert _state(page)["bypass"] == []


def test_playing_moves_the_play_head_and_a_click_seeks(track_page):
    page = track_page
    box = page.locator("nm-waveform").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 30)
    assert page.locator(".clock-now").inner_text().startswith("0:1")
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    page.keyboard.press("Space")
    position = page.evaluate("import('/listening.js').then(({ player }) => player.position / player.source.sampleRate)")
    assert 11.0 < position < 14.0


def test_snapshots_bring_back_all_settings(track_page):
    page = track_page
    page.keyboard.press("s")
    page.get_by_role("button", name="Save snapshot").click()
    page.locator(".snapshot-name", has_text="Snapshot 1").wait_for()
    page.keyboard.press("Escape")
    intensity = page.get_by_label("Intensity in %")
    intensity.fill("40")
    intensity.press("Enter")
    _idle(page)
    assert _state(page)["intensity"] == pytest.approx(0.4)
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("s")
    page.locator(".snapshot-name", has_text="Snapshot 1").click()
    _idle(page)
    assert _state(page)["intensity"] == 1.0


def test_the_settings_menu_closes_on_escape(track_page):
    menu = track_page.locator(".menu")
    menu.locator("summary").click()
    assert menu.get_attribute("open") is not None
    track_page.get_by_text("Back to the suggestion").focus()
    track_page.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    assert track_page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_what_was_repaired_is_no_problem_any_more(track_page):
    track_page.evaluate(
        """import("/store.js").then(store => store.track.value = {...store.track.value, findings: [{
            name: "hum", title: "Hum", severity: "problem", sentence: "It hums.", remedy: "Notch it.",
            repaired: "Notched."
        }]})"""
    )
    finding = track_page.locator(".finding")
    assert finding.inner_text().startswith("Repaired") and "Problem" not in finding.inner_text()
    assert "is-problem" not in finding.get_attribute("class")


def test_settings_are_saved_and_loaded(track_page, tmp_path):
    page = track_page
    page.locator(".menu summary").click()
    with page.expect_download() as download:
        page.get_by_text("Save settings").click()
    path = tmp_path / "settings.json"
    download.value.save_as(path)
    tree = json.loads(path.read_text())
    tree["eq"]["bands"][0]["gain_db"] = 2.5
    path.write_text(json.dumps(tree))
    page.set_input_files(".menu input[type=file]", path)
    wait_until(page, "Math.abs(store.track.value.state.bands[0].gain_db - 2.5) < 1e-6")
    page.keyboard.press("Control+z")
    _idle(page)


def test_a_bad_file_is_refused_in_one_sentence(track_page):
    page = track_page
    page.set_input_files(
        ".tracks input[type=file]", {"name": "notes.wav", "mimeType": "audio/wav", "buffer": b"no music"}
    )
    page.wait_for_selector(".message.is-error, .summary.is-error", timeout=60_000)
    text = page.locator(".message.is-error span, .summary.is-error").first.inner_text()
    assert "notes.wav" in text
    page.evaluate("import('/actions.js').then(a => import('/store.js').then(s => a.chooseTrack(s.tracks.value[0].id)))")


def test_references_are_matched_weighed_and_played(track_page):
    page = track_page
    _drop(page, ".drop-small", "bright.wav", _music())
    page.get_by_label("Strength in %").wait_for(timeout=180_000)
    wait_until(page, "store.track.value.status === 'ready' && store.references.value.length === 1")
    matched = _state(page)["bands"]
    page.keyboard.press("r")
    assert page.locator(".side[aria-checked=true]").inner_text().startswith("Reference")
    assert page.get_by_label("Weight of bright.wav", exact=True).count() == 0  # it is alone
    page.set_input_files(
        ".drop-small input[type=file]", {"name": "long.wav", "mimeType": "audio/wav", "buffer": _music(9.0)}
    )
    wait_until(page, "store.references.value.length === 2")
    weight = page.get_by_label("Weight of bright.wav").last
    weight.fill("0.5")
    weight.press("Enter")
    wait_until(page, "store.references.value[0].weight === 0.5 && store.track.value.status === 'ready'")
    page.get_by_role("button", name="Listen to long.wav").click()
    assert page.evaluate("import('/store.js').then(s => s.playedReference.value === s.references.value[1].id)")
    page.get_by_role("button", name="Remove long.wav").click()
    wait_until(page, "store.references.value.length === 1")
    strength = page.get_by_label("Strength in %")
    strength.fill("0")
    strength.press("Enter")
    wait_until(
        page,
        "store.track.value.status === 'ready' && store.track.value.state.reference_strength === 0"
        f" && Math.abs(store.track.value.state.bands[0].gain_db - {matched[0]['gain_db']}) > 1e-3",
    )
    page.get_by_role("button", name="Remove bright.wav").click()
    page.get_by_role("button", name="Choose a reference").wait_for(timeout=60_000)
    wait_until(page, "store.side.value === 'master' && store.track.value.state.model === '1a'")
    assert page.locator(".message.is-error").all_inner_texts() == []


def test_a_style_is_chosen_and_undone(track_page):
    page = track_page
    before = _state(page)["bands"]
    page.get_by_label("Style", exact=True).select_option("bright")
    wait_until(page, "store.track.value.status === 'ready' && store.track.value.state.model === '2'")
    assert page.get_by_label("It is the same song").count() == 0  # a style is no song
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("Control+z")
    wait_until(page, "store.track.value.status === 'ready' && store.track.value.state.style === null")
    wait_until(page, "store.track.value.state.model === '1a'")
    assert _state(page)["bands"] == before
    assert page.get_by_label("Style", exact=True).input_value() == ""


def test_deliveries_pass_and_are_downloaded(track_page, tmp_path):
    page = track_page
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("d")
    page.locator("input[name=preset][value=cd]").check()
    page.locator("select[name=format]").select_option("flac")
    page.locator(".deliver-form button[type=submit]").click()
    page.locator(".dialog progress").wait_for()
    page.locator(".delivered").wait_for(timeout=300_000)
    lines = page.locator(".compliance").all_inner_texts()
    measured = [line for line in lines if "LUFS" in line]
    assert len(measured) == 2
    assert measured[0].startswith("PASS")  # the target of the CD would need more limiting than is allowed
    with page.expect_download() as download:
        page.locator(".delivered a", has_text=".flac").first.click()
    path = tmp_path / "master.flac"
    download.value.save_as(path)
    assert soundfile.info(path).frames == soundfile.info(EXAMPLE).frames
    assert page.get_by_text("Open the report").get_attribute("href").endswith(".html")


def test_a_delivery_can_be_canceled(track_page):
    page = track_page
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("d")
    again = page.get_by_text("Deliver more")
    if again.count():
        again.click()
    page.locator(".deliver-form button[type=submit]").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator(".deliver-form").wait_for(timeout=60_000)
