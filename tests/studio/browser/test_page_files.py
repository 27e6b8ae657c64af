"""Files at the page: a bad one, references, a style, deliveries and downloads."""

from __future__ import annotations

import io

import pytest
import soundfile

from tests.studio.browser.conftest import EXAMPLE
from tests.studio.browser.harness import wait_until
from tests.studio.browser.page_actions import download, drop, music, state

pytestmark = pytest.mark.slow


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
    drop(page, ".drop-small", "bright.wav", music())
    page.get_by_label("Strength in %").wait_for(timeout=180_000)
    wait_until(page, "store.track.value.status === 'ready' && store.references.value.length === 1")
    matched = state(page)["bands"]
    page.keyboard.press("r")
    assert page.locator(".side[aria-checked=true]").inner_text().startswith("Reference")
    assert page.get_by_label("Weight of bright.wav", exact=True).count() == 0  # it is alone
    page.set_input_files(
        ".drop-small input[type=file]", {"name": "long.wav", "mimeType": "audio/wav", "buffer": music(9.0)}
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
    before = state(page)["bands"]
    page.get_by_label("Style", exact=True).select_option("bright")
    wait_until(page, "store.track.value.status === 'ready' && store.track.value.state.model === '2'")
    assert page.get_by_label("It is the same song").count() == 0  # a style is no song
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("Control+z")
    wait_until(page, "store.track.value.status === 'ready' && store.track.value.state.style === null")
    wait_until(page, "store.track.value.state.model === '1a'")
    assert state(page)["bands"] == before
    assert page.get_by_label("Style", exact=True).input_value() == ""


def test_deliveries_pass_and_are_downloaded(track_page):
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
    assert measured[0].startswith("Streaming: PASS")  # the target of the CD would need more limiting than is allowed
    name, data = download(page, page.locator(".delivered a", has_text=".flac").first)
    assert name.endswith("-mastered-streaming.flac")
    assert soundfile.info(io.BytesIO(data)).frames == soundfile.info(EXAMPLE).frames
    assert page.get_by_text("Open the report").get_attribute("href").endswith(".html")


def test_a_delivery_can_be_canceled(track_page):
    page = track_page
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("d")
    assert page.get_by_role("heading", name="Delivered before").count() == 1
    page.locator(".deliver-form button[type=submit]").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator(".deliver-form").wait_for(timeout=60_000)
