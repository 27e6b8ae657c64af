"""A person at the page: drop, drag, compare, snapshots, settings."""

from __future__ import annotations

import json

import pytest

from tests.studio.browser.conftest import EXAMPLE
from tests.studio.browser.harness import wait_until
from tests.studio.browser.page_actions import close_dialog, download, drop, idle, state, wait_for_band

pytestmark = pytest.mark.slow


def test_a_dropped_track_is_mastered_and_explained(page):
    page.wait_for_selector(".empty")
    drop(page, ".empty", EXAMPLE.name, EXAMPLE.read_bytes())
    page.wait_for_selector("nm-waveform")
    page.wait_for_selector("nm-eq", timeout=180_000)
    assert page.locator(".summary strong").inner_text().endswith(".")
    assert "Cut end" in page.locator(".findings").inner_text()
    page.wait_for_selector(".eq-handle")  # after the curves
    assert page.locator(".eq-handle").count() == len(state(page)["bands"])


def test_a_dragged_handle_is_one_step_of_undo(track_page):
    page = track_page
    before = state(page)["bands"][2]
    box = page.locator(".eq-handle").nth(2).locator(".eq-dot").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 9):
        page.mouse.move(x + 6 * i, y - 5 * i)
    page.mouse.up()
    idle(page)
    moved = state(page)["bands"][2]
    assert moved["freq_hz"] > 1.2 * before["freq_hz"]
    assert moved["gain_db"] > before["gain_db"] + 0.3
    page.keyboard.press("Control+z")
    wait_for_band(page, 2, before)
    page.keyboard.press("Control+Shift+z")
    wait_for_band(page, 2, moved)
    page.locator(".eq-handle").nth(2).dblclick()
    wait_for_band(page, 2, before)


def test_the_wheel_and_keys_change_a_band(track_page):
    page = track_page
    before = state(page)["bands"][3]
    handle = page.locator(".eq-handle").nth(3)
    handle.hover()
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(900)
    assert state(page)["bands"][3]["q"] > 1.2 * before["q"]
    handle.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowUp")
    idle(page)
    assert state(page)["bands"][3]["gain_db"] == pytest.approx(before["gain_db"] + 0.6, abs=1e-6)
    assert handle.get_attribute("aria-valuetext").count("decibels") == 1
    page.keyboard.press("Delete")
    wait_for_band(page, 3, before)


def test_the_side_has_bands_of_its_own(track_page):
    page = track_page
    before = state(page)
    page.keyboard.press("e")
    assert page.locator(".eq-handle").count() == 0
    page.get_by_role("button", name="Add a band").click()
    handle = page.get_by_role("slider", name="Side band 1", exact=True)
    handle.wait_for()
    handle.focus()
    page.keyboard.press("ArrowDown")
    idle(page)
    after = state(page)
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
    idle(page)
    assert state(page)["bypass"] == ["eq"]
    page.keyboard.press("1")
    page.keyboard.press("?")
    page.locator("dialog .keys").wait_for()
    close_dialog(page)
    idle(page)
    assert state(page)["bypass"] == []


def test_playing_moves_the_play_head_and_a_click_seeks(track_page):
    page = track_page
    box = page.locator("nm-waveform").bounding_box()
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 30)
    assert page.locator(".clock-now").inner_text().startswith("0:1")
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    page.keyboard.press("Space")
    position = page.evaluate("import('/listening.js').then(({ player }) => player.position / player.source.sampleRate)")
    assert 11.2 < position < 14.0


def test_after_a_click_the_space_bar_plays(track_page):
    page = track_page
    loop = page.get_by_role("button", name="Loop")
    loop.click()
    page.keyboard.press("Space")
    wait_until(page, "player.playing", 10)
    page.keyboard.press("Space")
    wait_until(page, "!player.playing", 10)
    assert loop.get_attribute("aria-pressed") == "true"
    loop.focus()  # with the keyboard, the space bar belongs to the button
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert loop.get_attribute("aria-pressed") == "false"


def test_undo_does_not_overtake_a_change(track_page):
    page = track_page
    for key in ("1", "2", "Control+z"):
        page.keyboard.press(key)
    wait_until(page, "store.track.value.state.bypass.join() === 'eq' && store.track.value.can_redo", 20)
    page.keyboard.press("Control+z")
    wait_until(page, "store.track.value.state.bypass.length === 0", 20)


def test_an_open_dialog_keeps_the_keys(track_page):
    page = track_page
    page.get_by_role("button", name="Deliver", exact=True).first.click()
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    for key in ("1", "Control+z"):
        page.keyboard.press(key)
    close_dialog(page)
    idle(page)
    assert state(page)["bypass"] == []


def test_a_track_is_removed_only_after_a_question(track_page):
    page = track_page
    page.get_by_role("button", name=f"Remove {EXAMPLE.name}").click()
    page.get_by_role("button", name="Keep it").click()
    page.locator("dialog").wait_for(state="detached")
    assert page.locator(".track-tab").count() == 1


def test_snapshots_bring_back_all_settings(track_page):
    page = track_page
    page.keyboard.press("s")
    page.get_by_role("button", name="Save snapshot").click()
    page.locator(".snapshot-name", has_text="Snapshot 1").wait_for()
    page.keyboard.press("Escape")
    intensity = page.get_by_label("Intensity in %")
    intensity.fill("40")
    intensity.press("Enter")
    assert intensity.input_value() == "40"
    idle(page)
    assert state(page)["intensity"] == pytest.approx(0.4)
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("s")
    page.locator(".snapshot-name", has_text="Snapshot 1").click()
    idle(page)
    assert state(page)["intensity"] == 1.0


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
    name, data = download(page, page.get_by_text("Save settings"))
    assert name.endswith(".json")
    path = tmp_path / "settings.json"
    tree = json.loads(data)
    tree["eq"]["bands"][0]["gain_db"] = 2.5
    path.write_text(json.dumps(tree))
    page.set_input_files(".menu input[type=file]", path)
    wait_until(page, "Math.abs(store.track.value.state.bands[0].gain_db - 2.5) < 1e-6")
    page.keyboard.press("Control+z")
    idle(page)
