"""What a target brings with it, and references on disk."""

import pytest

from nmjax.mastering.pretrained import DEFAULT_MODEL
from nmjax.reference.styles import style_file
from nmjax.studio.state import FROM_NETWORK, Edits, ReferenceChoice, ReferenceSection
from nmjax.studio.targets import (
    build_target,
    follow_choices,
    new_reference_folder,
    store_reference,
    stored_references,
)

MOVED = {"bands": {0: {"gain_db": 1.0}}, "side_bands": {1: {"gain_db": 2.0}}, "processors": {"width": {"high": 1.2}}}


def edits(**values):
    return Edits(**{"model": DEFAULT_MODEL, "base": FROM_NETWORK, **values})


def test_the_first_target_brings_its_network_and_the_last_one_takes_it_away():
    plain = edits()
    warm = follow_choices(plain, plain.model_copy(update={"style": "warm"}))
    assert warm.model == "2"
    bright = follow_choices(warm, warm.model_copy(update={"style": "bright"}))
    assert bright.model == "2"
    assert follow_choices(bright, bright.model_copy(update={"style": None})) == plain


def test_a_network_that_a_person_chose_stays():
    chosen = edits(model="1b")
    warm = follow_choices(chosen, chosen.model_copy(update={"style": "warm"}))
    assert warm.model == "1b"
    assert follow_choices(warm, warm.model_copy(update={"style": None})).model == "1b"
    automatic = follow_choices(edits(), edits(style="warm"))
    back = follow_choices(automatic, automatic.model_copy(update={"model": "1b"}))
    assert follow_choices(back, back.model_copy(update={"style": None})).model == "1b"


@pytest.mark.parametrize("change", [{"style": "warm"}, {"references": [ReferenceChoice(id="a")]}, {"model": "2"}])
def test_another_target_or_network_drops_single_values(change):
    before = edits(**MOVED, base="loaded:x", intensity=0.5)
    after = follow_choices(before, before.model_copy(update=change))
    assert (after.bands, after.side_bands, after.processors, after.base) == ({}, {}, {}, FROM_NETWORK)
    assert after.intensity == 0.5


def test_a_weight_or_strength_keeps_single_values():
    before = edits(references=[ReferenceChoice(id="a")], **MOVED)
    change = {"references": [ReferenceChoice(id="a", weight=2.0)], "reference_strength": 0.5}
    after = before.model_copy(update=change)
    assert follow_choices(before, after) == after


def test_references_are_found_again_and_others_deleted(tmp_path):
    folders = [new_reference_folder(tmp_path) for _ in range(3)]
    files = []
    for folder, name in zip(folders, ("a.wav", "b.json", "c.wav"), strict=True):
        (folder / "file" / name).write_bytes(b"x")
        files.append(store_reference(folder, f"my {name}", folder / "file" / name))
    (folders[2] / "reference.json").write_text("{")
    found = stored_references(tmp_path, {folders[1].name, folders[2].name})
    assert found == {folders[1].name: files[1]} and not found[folders[1].name].is_music
    assert [path.name for path in (tmp_path / "references").iterdir()] == [folders[1].name]


def test_a_style_is_no_song():
    target = build_target(edits(style="warm", same_song=True, reference_weights={"width": 0.5}), {}, {})
    assert target.is_style and not target.same_song and target.width == 0.5 and target.tone == 1.0
    assert target.name in style_file("warm").read_text()


def test_a_section_is_measured_apart_from_its_file():
    whole, part = (ReferenceChoice(id="a", section=x) for x in (None, ReferenceSection(start=1.0, end=5.5)))
    assert (whole.key, part.key) == ("a", "a-1-5.5")
