"""A curve of REW or a CSV becomes bands whose response, by SciPy, is the curve; what is no curve is reported."""

import json

import numpy as np
import pytest
import soundfile
from scipy.signal import sosfreqz

import nmjax
from nmjax.cli.main import main
from nmjax.mastering.settings.file import read_settings
from nmjax.mastering.settings.response_curve import is_curve, parse_curve
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos
from tests.synthetic_audio import music, write_audio

RATE = 44_100
ROWS = [(60.0, 4.0, 0.8), (400.0, -3.0, 1.5), (2_800.0, 2.5, 1.0), (9_000.0, -5.0, 0.7)]


def response_db(rows, freq_hz):
    """Of the cookbook's peaking filters, in double precision."""
    return 20 * np.log10(np.abs(sosfreqz(peaking_sos(*np.array(rows, np.float64).T, RATE), freq_hz, fs=RATE)[1]))


def stored_rows(path):
    eq = read_settings(path).prediction.settings.eq
    return np.stack([np.asarray(x, np.float64)[0] for x in (eq.freq_hz, eq.gain_db, eq.q)], axis=1)


def rew_text(freq_hz, level_db):
    """As REW exports a measurement: comments with an asterisk, then frequency, level and phase."""
    head = ["* Measurement data measured by REW V5.20", "*", "* Freq(Hz) SPL(dB) Phase(degrees)"]
    return "\n".join([*head, *(f"{f:.6f} {x:.3f} {0.0:.4f}" for f, x in zip(freq_hz, level_db, strict=True))]) + "\n"


def csv_text(freq_hz, level_db):
    return "Frequency (Hz),Gain (dB)\n" + "".join(f"{f:.4f},{x:.4f}\n" for f, x in zip(freq_hz, level_db, strict=True))


def german_text(freq_hz, level_db):
    """Semicolons, and decimal commas."""
    rows = (f"{f:.2f};{x:.3f}".replace(".", ",") for f, x in zip(freq_hz, level_db, strict=True))
    return "Frequenz;Pegel\n" + "\n".join(rows) + "\n"


def without_mean(x):
    return x - x.mean()


@pytest.mark.parametrize("write", [rew_text, csv_text, german_text])
def test_the_formats_hold_the_same_curve(write):
    at = np.geomspace(20.0, 20_000.0, 100)
    text = write(at, response_db(ROWS, at))
    assert is_curve(text)
    curve = parse_curve(text)
    np.testing.assert_allclose(curve.freq_hz, at, rtol=1e-3)
    np.testing.assert_allclose(curve.level_db, response_db(ROWS, at), atol=6e-4)


def test_the_bands_have_the_response_of_the_curve(tmp_path):
    at = np.geomspace(20.0, 20_000.0, 1_000)
    (tmp_path / "eq.txt").write_text(rew_text(at, 75.0 + response_db(ROWS, at)))
    rows = stored_rows(tmp_path / "eq.txt")
    inner = np.geomspace(25.0, 16_000.0, 300)
    difference_db = without_mean(response_db(rows, inner)) - without_mean(response_db(ROWS, inner))
    assert np.sqrt(np.mean(difference_db**2)) <= 0.3
    assert np.abs(difference_db).max() <= 0.8
    (note,) = read_settings(tmp_path / "eq.txt").notes
    assert f"{len(rows)} bands fit the curve to 0." in note


def test_a_narrow_range_is_fitted_and_leaves_the_rest_alone(tmp_path):
    at = np.geomspace(100.0, 1_000.0, 50)
    (tmp_path / "eq.csv").write_text(csv_text(at, response_db([(300.0, 6.0, 1.0)], at)))
    rows = stored_rows(tmp_path / "eq.csv")
    error_db = without_mean(response_db(rows, at)) - without_mean(response_db([(300.0, 6.0, 1.0)], at))
    assert np.abs(error_db).max() <= 0.8
    assert np.abs(response_db(rows, np.array([30.0, 10_000.0]))).max() <= 3.0


@pytest.mark.slow
def test_a_curve_masters_a_track(tmp_path):
    audio = music(4.0)
    write_audio(tmp_path / "track.wav", audio)
    at = np.geomspace(20.0, 20_000.0, 200)
    (tmp_path / "eq.csv").write_text(csv_text(at, response_db(ROWS, at)))
    arguments = ["infer", str(tmp_path / "track.wav"), "--settings", str(tmp_path / "eq.csv"), "--export"]
    assert main([*arguments, str(tmp_path / "out.txt"), "--bits", "float"]) == 0
    mastered, rate = soundfile.read(tmp_path / "track-mastered.wav")
    settings = json.loads((tmp_path / "track-mastered.wav.json").read_text())
    rows = [(x["freq_hz"], x["gain_db"], x["q"]) for x in settings["rendered_eq"]["bands"]]
    assert np.abs(response_db(rows, at[:160]) - response_db(stored_rows(tmp_path / "eq.csv"), at[:160])).max() <= 0.1
    again = nmjax.master(audio.astype(np.float32), rate, settings=tmp_path / "eq.csv")
    assert again.audio.shape == mastered.shape


CURVE = "20,0\n50,1\n200,2\n2000,0\n20000,-3\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("20,0\n40,loud\n", "line 2 is '40,loud'"),
        ("20,0\n40\n", "line 2 is '40'"),
        ("20,0\n40,nan\n", "line 2 is '40,nan'"),
        ("20,0\n10,1\n", "10 Hz follows 20 Hz; sort the lines"),
        ("0,0\n10,1\n", "line 1 has 0 Hz"),
        ("20,0\n30,900\n", "900 dB"),
        ("20,0\n30,1\n", "has 2 points; give 5"),
        ("20,0\n21,1\n22,1\n23,1\n24,2\n", "give at least 2 octaves"),
        ("30000,0\n40000,1\n60000,1\n90000,1\n150000,2\n", "give at least 2 octaves"),
    ],
)
def test_what_is_no_curve_is_reported_in_one_sentence(tmp_path, text, says):
    (tmp_path / "eq.csv").write_text(text)
    with pytest.raises(BadInputError) as error:
        read_settings(tmp_path / "eq.csv")
    assert says in str(error.value) and str(error.value).startswith("'eq.csv': ")
    assert len(str(error.value).split()) <= 25


def test_tables_of_bands_are_still_tables_of_bands(tmp_path):
    (tmp_path / "eq.csv").write_text("freq_hz,gain_db,q\n80,2,0.7\n")
    (tmp_path / "eq.txt").write_text("Filter 1: ON PK Fc 80 Hz Gain 2 dB Q 0.7\n")
    for name in ("eq.csv", "eq.txt"):
        np.testing.assert_allclose(stored_rows(tmp_path / name), [(80.0, 2.0, 0.7)], rtol=1e-6)


@pytest.mark.parametrize("text", ["80,2,0.7\n", 6 * "80,2,0.7\n", "hello\n", "", "freq_hz,gain_db,q\n1,2\n"])
def test_three_columns_without_a_header_could_be_bands(text):
    assert not is_curve(text)


def test_a_curve_with_a_bad_line_writes_nothing(tmp_path, capsys):
    write_audio(tmp_path / "track.wav", music(1.0))
    (tmp_path / "eq.csv").write_text(CURVE + "x,y\n")
    before = sorted(tmp_path.iterdir())
    assert main(["infer", str(tmp_path / "track.wav"), "--settings", str(tmp_path / "eq.csv")]) == 2
    assert "line 6 is 'x,y'" in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.iterdir()) == before
