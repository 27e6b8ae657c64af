"""The side's equalizer: rendered exactly in mid and side, read from files and from the command line."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from scipy.signal import sosfilt

import nmjax
from nmjax.cli.main import main
from nmjax.dsp import Bands
from nmjax.mastering.render import equalize_side_stream
from nmjax.mastering.settings import exports
from nmjax.mastering.settings.file import settings_from_json
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos
from tests.synthetic_audio import music, write_audio

RATE = 44_100
ROWS = [(300.0, -4.0, 1.0), (5_000.0, 3.0, 0.8)]
BANDS = Bands(*(jnp.asarray([x], jnp.float32) for x in zip(*ROWS, strict=True)))
FLAT_EQ = {"format": "nmjax settings 2", "eq": {"bands": []}}
SIDE_EQ = {"bands": [dict(zip(("freq_hz", "gain_db", "q"), row, strict=True)) for row in ROWS]}


def expected_audio(audio, rows=ROWS):
    """The side alone through SciPy's filters."""
    mid, side = audio.mean(axis=1), 0.5 * (audio[:, 0] - audio[:, 1])
    for row in rows:
        side = sosfilt(peaking_sos(*row, RATE)[None], side)
    return np.stack([mid + side, mid - side], axis=1)


def test_the_side_is_filtered_and_the_mid_is_not():
    audio = music(4.0).astype(np.float32)
    for size in (len(audio), 50_000):
        chunks = [audio[i : i + size] for i in range(0, len(audio), size)]
        result = np.concatenate(list(equalize_side_stream(chunks, BANDS, RATE)))
        np.testing.assert_allclose(result, expected_audio(audio.astype(np.float64)), atol=2e-7)
        np.testing.assert_allclose(result.mean(axis=1), audio.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_without_gain_or_without_two_channels_the_audio_is_bit_identical(channels):
    audio = music(1.0, channels=channels).astype(np.float32)
    flat = Bands(BANDS.freq_hz, jnp.zeros((1, 2)), BANDS.q)
    for bands in (None, flat, *([BANDS] if channels != 2 else [])):
        np.testing.assert_array_equal(np.concatenate(list(equalize_side_stream([audio], bands, RATE))), audio)


def test_a_settings_file_with_a_side_equalizer_is_rendered_and_written_again(tmp_path):
    audio = music(3.0).astype(np.float32)
    plain = {"lufs": "none", "true_peak": "none"}
    result = nmjax.master(audio, RATE, settings={**FLAT_EQ, "eq_side": SIDE_EQ}, **plain)
    np.testing.assert_allclose(result.audio, expected_audio(audio.astype(np.float64)), atol=2e-7)
    assert [x["gain_db"] for x in result.settings["eq_side"]["bands"]] == [-4.0, 3.0]
    again = nmjax.master(audio, RATE, settings=result.settings, **plain)
    np.testing.assert_array_equal(again.audio, result.audio)
    assert again.settings["eq_side"] == result.settings["eq_side"]
    without = nmjax.master(audio, RATE, settings=FLAT_EQ, **plain)
    assert "eq_side" not in without.settings and "rendered_eq_side" not in without.settings
    np.testing.assert_array_equal(without.audio, audio)
    bypassed = nmjax.master(audio, RATE, settings=result.settings, bypass="eq", **plain)
    np.testing.assert_array_equal(bypassed.audio, audio)


@pytest.mark.parametrize(
    ("eq_side", "message"),
    [
        ({"bands": 7 * SIDE_EQ["bands"][:1]}, "eq_side"),
        ({"bands": [{"freq_hz": 23_000.0, "gain_db": 1.0, "q": 1.0}]}, "band 1 of eq_side"),
        ({"bands": [{"freq_hz": 100.0, "gain_db": 1.0, "q": 1.0, "quality": 1.0}]}, '"quality"'),
        ({"sample_rate": 44_100, "bands": []}, "sample_rate"),
    ],
)
def test_invalid_side_equalizers_are_reported(eq_side, message):
    with pytest.raises(BadInputError, match=message):
        settings_from_json(json.dumps({**FLAT_EQ, "eq_side": eq_side}), "s.json")


def test_bands_of_the_side_are_set_by_hand_and_shown_everywhere(tmp_path, capsys):
    track = write_audio(tmp_path / "a.wav", music(4.0), RATE, "FLOAT")
    settings = tmp_path / "s.json"
    settings.write_text(json.dumps(FLAT_EQ))
    out, page, plot, export = (tmp_path / name for name in ("m.wav", "r.html", "p.png", "eq.txt"))
    arguments = ["infer", str(track), "--settings", str(settings), "-o", str(out), "--lufs", "none"]
    arguments += ["--true-peak", "none", "--report", str(page), "--plot", str(plot), "--export", str(export)]
    bands = ["--band", "side.2.gain_db=-6", "--band", "side.2.q=2", "--band", "side.1.freq_hz=200"]
    assert main([*arguments, *bands]) == 0
    expected = expected_audio(soundfile.read(track)[0], [(400.0, -6.0, 2.0)])
    np.testing.assert_allclose(soundfile.read(out)[0], expected, atol=2e-6)
    output = capsys.readouterr().out
    assert "side.2" in output and "On the side alone" in output
    assert ">side.2</th>" in page.read_text() and "Side alone" in page.read_text()
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "Channel: SIDE" in export.read_text() and "Fc 400.0000 Hz Gain -6.0000 dB Q 2.000000" in export.read_text()
    for band, message in (("side.7.gain_db=1", "side band 7"), ("side.0.q=1", "side band 0"), ("side.x.q=1", "side.3")):
        assert main([*arguments, "--force", "--band", band]) == 2
        assert message in capsys.readouterr().err


def test_exports_hold_the_bands_of_the_side_or_say_that_they_do_not(tmp_path):
    csv, rpl = tmp_path / "eq.csv", tmp_path / "eq.rpl"
    exports.export_eq(BANDS, RATE, csv, "a", side_bands=BANDS)
    assert "side.1,peaking,300.0000,-4.0000,1.000000" in csv.read_text()
    with pytest.raises(BadInputError, match="band of the side"):
        exports.parse_csv(csv.read_text())
    assert exports.missing_side_note(csv, BANDS) == "" and exports.missing_side_note(rpl, None) == ""
    assert "lacks the bands of the side" in exports.missing_side_note(rpl, BANDS)
