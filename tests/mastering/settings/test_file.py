"""Settings files: bit-identical round trip, edits take effect, errors are reported."""

import dataclasses
import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Bands
from nmjax.dsp.rate_conversion import convert_bands_to_rate
from nmjax.mastering.render import equalize_stream
from nmjax.mastering.settings.file import read_settings, settings_to_json
from nmjax.mastering.settings.schema import ModelId
from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import noise, random_bands
from tests.random_networks import random_network

MODEL = ModelId(phase="1c", step=7, checkpoint="0123456789abcdef")


def prediction(bands=10, seed=0):
    """A batch of one with random values, as a decoder with gates gives them."""
    freq_hz, gain_db, q = random_bands(seed, 1, bands)
    rng = np.random.default_rng(seed)
    gate, z = rng.uniform(size=(1, bands)).astype(np.float32), rng.standard_normal((1, 512)).astype(np.float32)
    eq = EqSettings(*(jnp.asarray(x) for x in (freq_hz, gain_db, q, gate)))
    return Prediction(Settings(jnp.asarray([3.217], jnp.float32), eq), jnp.asarray(z))


def write_settings_file(path, settings_prediction=None, rate=44_100, model=MODEL, **more):
    """A settings file as the program writes it."""
    settings_prediction = settings_prediction or prediction()
    rendered = convert_bands_to_rate(settings_prediction.settings.eq.bands(), 44_100, rate)
    text = settings_to_json(
        track="track.wav",
        model=model,
        prediction=settings_prediction,
        rendered_bands=rendered,
        sample_rate=rate,
        delivery={"gain_db": -1.5},
        **more,
    )
    path.write_text(text)
    return path


def edit_settings(path, change):
    """The same file after somebody's change to its tree."""
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    return path


def leaves(decoded):
    eq = decoded.settings.eq
    return [np.asarray(x) for x in (eq.freq_hz, eq.gain_db, eq.q, eq.gate, decoded.z, decoded.settings.input_gain_db)]


def test_a_settings_file_round_trips_bit_identically(tmp_path):
    for seed in range(20):
        original = prediction(seed=seed)
        stored = read_settings(write_settings_file(tmp_path / "a.json", original, residual_amount=0.25))
        for before, after in zip(leaves(original), leaves(stored.prediction), strict=True):
            assert after.dtype == np.float32
            np.testing.assert_array_equal(before, after)
        assert (stored.model, stored.track, stored.residual_amount) == (MODEL, "track.wav", 0.25)
        assert (stored.sample_rate, stored.notes) == (44_100, ())


def test_every_float32_reads_back_from_its_fewest_digits(tmp_path):
    """Decimals are most likely to be rounded wrongly at powers of two and their neighbors."""
    powers = 2.0 ** np.arange(-60, 19, dtype=np.float32)
    values = np.concatenate([powers, np.nextafter(powers, np.float32(0)), -powers, np.zeros(3)])[:512]
    random = np.random.default_rng(3).integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    values = np.concatenate([values, random[np.abs(random) < 1e6]])
    for start in range(0, len(values) - 512, 20 * 512):
        z = jnp.asarray(values[start : start + 512].astype(np.float32))[None]
        stored = read_settings(write_settings_file(tmp_path / "a.json", prediction(1).replace(z=z)))
        np.testing.assert_array_equal(np.asarray(stored.prediction.z), np.asarray(z))


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_loaded_settings_render_bit_identically(tmp_path, rate):
    original = prediction(5)
    stored = read_settings(write_settings_file(tmp_path / "a.json", original, rate))
    audio, result = noise(1, 20_000, 2), []
    for p in (original, stored.prediction):
        bands = convert_bands_to_rate(p.settings.eq.bands(), stored.sample_rate, rate)
        result.append(np.concatenate(list(equalize_stream([audio], bands, rate))))
    np.testing.assert_array_equal(*result)
    assert np.abs(result[0] - audio).max() > 1e-2


def test_an_undecodable_name_keeps_the_file_valid(tmp_path):
    result = prediction(1)
    text = settings_to_json(
        track="a\udcff\n.wav",
        model=MODEL,
        prediction=result,
        rendered_bands=result.settings.eq.bands(),
        sample_rate=44_100,
        delivery={},
    )
    (tmp_path / "a.json").write_bytes(text.encode())
    assert read_settings(tmp_path / "a.json").track == "a  .wav"


def test_a_network_is_named_by_what_it_is(tmp_path):
    stored = read_settings(write_settings_file(tmp_path / "a.json", model=random_network("1b").model_id))
    assert stored.model == ModelId(phase="1b", step=7, checkpoint="0123456789abcdef")


def test_bands_may_be_changed_added_removed_and_reordered(tmp_path):
    def change(tree):
        first, second, *_ = tree["eq"]["bands"]
        tree["eq"]["bands"] = [second, {"freq_hz": 500, "gain_db": -3, "q": 1.5}, {**first, "gain_db": 2.5}]

    original = prediction()
    eq = read_settings(edit_settings(write_settings_file(tmp_path / "a.json", original), change)).prediction.settings.eq
    before = original.settings.eq
    np.testing.assert_array_equal(eq.freq_hz[0], [before.freq_hz[0, 1], 500.0, before.freq_hz[0, 0]])
    np.testing.assert_array_equal(eq.gain_db[0], [before.gain_db[0, 1], -3.0, 2.5])
    np.testing.assert_array_equal(eq.gate[0], [before.gate[0, 1], 1.0, before.gate[0, 0]])


def test_no_bands_is_a_flat_equalizer(tmp_path):
    stored = read_settings(
        edit_settings(write_settings_file(tmp_path / "a.json"), lambda tree: tree["eq"].update(bands=[]))
    )
    assert not np.asarray(stored.prediction.settings.eq.gain_db).any()


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree["rendered_eq"]["bands"][2].update(gain_db=1.25),
        lambda tree: tree["rendered_eq"].update(sample_rate=44_100),
        lambda tree: tree.update(input_gain_db=0.0),
        lambda tree: tree["delivery"].update(gain_db=0.0),
        lambda tree: tree.update(checksum=None),
    ],
)
def test_edits_of_read_only_fields_are_reported(tmp_path, change):
    path = edit_settings(write_settings_file(tmp_path / "a.json", rate=48_000), change)
    (note,) = read_settings(path).notes
    assert "Edit one of: repair, eq, eq_side, compressor, saturator, width, residual_amount." in note
    assert "rendered_eq" in note


def test_a_change_to_the_bands_that_count_is_no_reason_to_warn(tmp_path):
    path = edit_settings(
        write_settings_file(tmp_path / "a.json"), lambda tree: tree["eq"]["bands"][2].update(gain_db=1.25)
    )
    assert read_settings(path).notes == ()


def test_an_editor_that_orders_keys_and_shortens_numbers_changes_nothing(tmp_path):
    path = write_settings_file(tmp_path / "a.json", rate=48_000)
    tree = json.loads(path.read_text(), parse_float=lambda text: int(x) if (x := float(text)).is_integer() else x)
    path.write_text(json.dumps(tree, sort_keys=True))
    assert read_settings(path).notes == ()


def test_a_file_written_by_hand_needs_only_bands(tmp_path):
    path = tmp_path / "mine.json"
    bands = '[{"freq_hz": 80, "gain_db": 2, "q": 1}]'
    path.write_text(f'\ufeff{{"format": "nmjax settings 2", "eq": {{"sample_rate": 48000, "bands": {bands}}}}}')
    stored = read_settings(path)
    assert (stored.model, stored.prediction.z, stored.sample_rate) == (None, None, 48_000)
    np.testing.assert_array_equal(stored.prediction.settings.eq.gate, [[1.0]])
    assert "do not name the network" in stored.residual_obstacle("0123456789abcdef")


@pytest.mark.parametrize(
    ("model", "amount", "checkpoint", "has_residual", "says"),
    [
        (MODEL, 1.0, MODEL.checkpoint, True, ""),
        (MODEL, 1.0, None, True, f"(phase {MODEL.phase}, step {MODEL.step}); name it with --model or --ckpt"),
        (MODEL, 1.0, "ffff456789abcdef", True, "another network"),
        (MODEL, 0.0, None, False, "residual_amount of the settings is 0"),
        (
            ModelId(phase="1a", step=7, checkpoint="0123456789abcdef"),
            1.0,
            None,
            False,
            "phase 1a, which has no residual",
        ),
        (None, 1.0, MODEL.checkpoint, True, "do not name the network"),
    ],
)
def test_the_residual_needs_the_checkpoint_that_made_z(tmp_path, model, amount, checkpoint, has_residual, says):
    stored = read_settings(write_settings_file(tmp_path / "a.json", model=model, residual_amount=amount))
    obstacle = stored.residual_obstacle(checkpoint)
    assert stored.has_residual is has_residual
    assert bool(obstacle) is bool(says) and says in obstacle
    assert "456789abcdef" not in obstacle  # a digest says nothing to a reader


def test_loaded_settings_can_be_saved_again(tmp_path):
    first = read_settings(write_settings_file(tmp_path / "a.json", residual_amount=0.5, eq_sample_rate=44_100))
    second = read_settings(
        write_settings_file(
            tmp_path / "b.json", first.prediction, model=first.model, residual_amount=first.residual_amount
        )
    )
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    assert dataclasses.replace(second, prediction=first.prediction) == first


def set_band(**values):
    return lambda tree: tree["eq"]["bands"][2].update(values)


def remove_key(*keys):
    def change(tree):
        for key in keys[:-1]:
            tree = tree[key]
        del tree[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_band(gain_db=30), "band 3 of eq: gain_db is 30 dB; choose -24 to 24 dB"),
        (set_band(freq_hz=5), "freq_hz is 5 Hz; choose 10 to 24000 Hz"),
        (set_band(freq_hz=23_000), "above half of eq.sample_rate, 22050 Hz"),
        (set_band(q=0), "q is 0; choose 0.1 to 40"),
        (set_band(q=10**400), "q is inf"),
        (set_band(gate=1.5), "gate is 1.5"),
        (set_band(gain_db="2"), 'gain_db is "2"; give a number'),
        (set_band(gain_db=True), "gain_db is true"),
        (set_band(gain_db=None), "gain_db is null"),
        (set_band(gian_db=1), "unknown key \"gian_db\"; did you mean 'gain_db'?"),
        (set_band(**{"\x1b[2J": 1}), r"\u001b[2J"),
        (remove_key("eq", "bands", 2, "q"), "band 3 of eq has no 'q'"),
        (remove_key("eq"), "has no 'eq'"),
        (remove_key("format"), "not a settings file"),
        (lambda tree: tree.update(format="nmjax settings 3"), "update nmjax"),
        (lambda tree: tree.update(format="nmjax settings 1"), "an older format; master the track again"),
        (lambda tree: tree.update(format="nmjax target 1"), "as --target"),
        (lambda tree: tree.update(eqs={}), "unknown key \"eqs\"; did you mean 'eq'?"),
        (lambda tree: tree["eq"].update(bands={}), "eq.bands is {}; give a list"),
        (lambda tree: tree["eq"].update(bands=7 * tree["eq"]["bands"]), "has 70 entries; give at most 64"),
        (lambda tree: tree["eq"].update(sample_rate=1000), "eq.sample_rate is 1000 Hz; choose 8000"),
        (lambda tree: tree["eq"].update(sample_rate=44_100.5), "whole number"),
        (lambda tree: tree["rendered_eq"]["bands"][0].update(gate=1), 'unknown key "gate"'),
        (lambda tree: tree.update(z=[1.0]), "z has 1 entries; give 512 numbers"),
        (lambda tree: tree["z"].__setitem__(4, 1e300), "number 5 of z"),
        (lambda tree: tree.update(residual_amount=3), "residual_amount is 3; choose 0 to 2"),
        (lambda tree: tree.update(model="1b"), 'model is "1b"; give keys'),
        (lambda tree: tree["model"].update(phase="3"), "the phases are 1a, 1b, 1c"),
        (lambda tree: tree["model"].update(step=-1), "model.step"),
        (lambda tree: tree["model"].update(checkpoint="../../etc"), "model.checkpoint"),
        (lambda tree: tree.update(track="a\ud800"), "track is"),
        (lambda tree: tree.update(input_gain_db=1e9), "input_gain_db"),
        (lambda tree: tree["rendered_eq"]["bands"][1].update(q="1"), "band 2 of rendered_eq: q"),
        (lambda tree: tree["delivery"].update(x=10**400), "not a settings file"),
        (set_band(**{"\ud800": 1}), "unknown key"),
        (set_band(gain_db={"a": 1}), 'gain_db is {"a": 1}; give a number'),
        (lambda tree: tree.update(compressor=5), "compressor is 5; give keys in braces: threshold_db"),
        (
            lambda tree: tree.update(compressor={"ratoi": 5}),
            "compressor has an unknown key \"ratoi\"; did you mean 'ratio'?",
        ),
    ],
)
def test_invalid_settings_are_reported_in_one_sentence(tmp_path, change, says):
    path = edit_settings(write_settings_file(tmp_path / "a.json"), change)
    with pytest.raises(BadInputError) as error:
        read_settings(path)
    sentence = str(error.value)
    assert says in sentence
    assert sentence.startswith("'a.json'")
    assert "\n" not in sentence
    assert len(sentence.split()) <= 35
    sentence.encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "'a.json' is empty; use a settings file"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not a settings file"),
        (b"1" * 5000, "not a settings file"),
        (b'"text"', "not a settings file"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b" " * 4_000_001, "larger than 4 MB"),
        (b'{"format": "nmjax settings 2", "eq": {"bands": [{"freq_hz": NaN, "gain_db": 0, "q": 1}]}}', "NaN"),
        (b'{"format": "nmjax settings 2", "eq": {"bands": [{"freq_hz": 1e999, "gain_db": 0, "q": 1}]}}', "inf"),
        (b'{"format": "nmjax settings 2", "eq": {"bands": []}, "eq": {"bands": []}}', '"eq" appears twice'),
    ],
)
def test_invalid_files_are_rejected(tmp_path, content, says):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=says):
        read_settings(path)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    text = write_settings_file(tmp_path / "a.json").read_text().rstrip()
    for end in range(0, len(text), 997):
        (tmp_path / "cut.json").write_text(text[:end])
        with pytest.raises(BadInputError, match=r"cut\.json"):
            read_settings(tmp_path / "cut.json")


def test_the_examples_of_the_docs_are_settings(tmp_path):
    text = "".join(
        (Path(__file__).parents[3] / "docs" / name).read_text()
        for name in ("reference/settings.md", "explanation/processors.md")
    )
    examples = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for example, bands in zip(examples, (2, 1, 1), strict=True):
        (tmp_path / "a.json").write_text(example)
        stored = read_settings(tmp_path / "a.json")
        assert stored.prediction.settings.eq.q.shape == (1, bands)
        assert stored.notes == ()


def test_missing_files_and_folders_are_reported(tmp_path):
    with pytest.raises(BadInputError, match="a folder"):
        read_settings(tmp_path)
    with pytest.raises(BadInputError, match="missing"):
        read_settings(tmp_path / "none.json")


def test_an_equalizer_preset_of_another_program_is_imported(tmp_path):
    path = tmp_path / "headphones.txt"
    path.write_text("# sample rate 48000 Hz\nPreamp: -6 dB\nFilter 1: ON PK Fc 105 Hz Gain -2.5 dB Q 0.71\n")
    stored = read_settings(path)
    eq = stored.prediction.settings.eq
    np.testing.assert_array_equal(
        [eq.freq_hz[0, 0], eq.gain_db[0, 0], eq.q[0, 0], eq.gate[0, 0]], np.float32([105, -2.5, 0.71, 1])
    )
    assert (stored.sample_rate, stored.notes, stored.model) == (48_000, (), None)


def test_an_import_without_a_rate_reports_the_assumed_one_and_checks_ranges(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("freq_hz,gain_db,q\n105,-2.5,0.71\n")
    assert "44100 Hz is assumed" in read_settings(path).notes[0]
    path.write_text("freq_hz,gain_db,q\n105,-2.5,0.71\n105,-32.5,0.71\n")
    with pytest.raises(BadInputError, match=r"'a\.csv': band 2: gain_db is -32\.5 dB"):
        read_settings(path)


def test_bands_of_another_kind_are_not_skipped_at_zero_gain():
    """A notch has no gain, but a response."""
    audio = noise(1, 5000, 1)
    notch = Bands(jnp.full((1, 1), 1000.0), jnp.zeros((1, 1)), jnp.ones((1, 1)), "notch")
    assert np.abs(np.concatenate(list(equalize_stream([audio], notch, 44_100))) - audio).max() > 1e-3
