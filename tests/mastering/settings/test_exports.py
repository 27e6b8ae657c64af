"""Exports have the rendered response: read back, and computed by SciPy, within 0.01 dB."""

import base64
import csv
import re
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp import Bands
from nmjax.dsp.rate_conversion import convert_bands_to_rate
from nmjax.mastering.settings.exports import WRITERS, export_eq, parse_apo, parse_csv, parse_sample_rate
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos, random_bands
from tests.mastering.settings.test_file import prediction


def make_random_bands(rng, count, gain_db=24.0):
    """Over the settings' whole range, float32."""
    rows = (
        10.0 * 2000.0 ** rng.uniform(size=count),
        rng.uniform(-gain_db, gain_db, count),
        0.1 * 400.0 ** rng.random(count),
    )
    return Bands(*(jnp.asarray(x[None], jnp.float32) for x in rows))


def curve_db(freq_hz, gain_db, q, rate):
    """The response of peaking filters from the cookbook, by SciPy, `[points]`."""
    at = np.geomspace(5.0, 0.4999 * rate, 3000)
    rows = (np.asarray(x, np.float64).reshape(-1) for x in (freq_hz, gain_db, q))
    return 20.0 * np.log10(np.abs(sosfreqz(peaking_sos(*rows, rate), worN=at, fs=rate)[1]))


def bands_curve_db(bands, rate):
    return curve_db(bands.freq_hz, bands.gain_db, bands.q, rate)


def max_difference_db(first, second):
    return np.abs(first - second).max()


def parse_apo_independently(text):
    """Frequency, gain and Q as a program that knows nothing of ours finds them."""
    return np.array(
        re.findall(r"^Filter \d+: ON PK Fc ([\d.]+) Hz Gain (-?[\d.]+) dB Q ([\d.]+)$", text, re.M), float
    ).T


def parse_csv_independently(text):
    rows = csv.DictReader(line for line in text.splitlines() if line[0] != "#")
    return np.array([(row["freq_hz"], row["gain_db"], row["q"]) for row in rows], float).T


def parse_reaeq(text):
    """Every field of the record, as public presets of REAPER have them; then frequency, gain and Q."""
    frame = re.fullmatch(
        r"<REAPER_PRESET_LIBRARY `VST: ReaEQ \(Cockos\)`\n  <PRESET `([^`\n]+)`\n((?:    \S+\n)+)  >\n>\n", text
    )
    lines = frame[2].split()
    assert all(len(line) == 128 for line in lines[:-1])
    data = base64.b64decode("".join(lines), validate=True)
    assert data[:4] == b"qeer"
    assert data[4:8] == bytes.fromhex("ee5eedfe")
    assert struct.unpack("<iqqiqq", data[8:48]) == (2, 1, 2, 2, 1, 2)
    size, one, flags = struct.unpack("<iii", data[48:60])
    state, program = data[60 : 60 + size], data[60 + size :]
    assert (one, flags) == (1, 0x100000)
    assert program == b"\0" + frame[1].encode() + b"\0\x10\0\0\0"
    stride, count = struct.unpack("<ii", state[:8])
    bands = [struct.unpack("<iidddB", state[8 + stride * i : 8 + stride * (i + 1)]) for i in range(count)]
    assert stride == 33
    assert {(kind, on, last) for kind, on, _, _, _, last in bands} == {(8, 1, 1)}
    assert struct.unpack("<iidi", state[8 + stride * count :]) == (1, 1, 1.0, 0)
    freq, gain, octaves = np.array([band[2:5] for band in bands]).T
    return freq, 20 * np.log10(gain), 1.0 / (2.0 * np.sinh(np.log(2.0) / 2.0 * octaves))


PARSERS = {".txt": (parse_apo, parse_apo_independently), ".csv": (parse_csv, parse_csv_independently)}


@pytest.mark.parametrize("suffix", PARSERS)
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_exports_round_trip_to_the_same_curve(tmp_path, suffix, rate):
    rng, path = np.random.default_rng(rate), tmp_path / f"eq{suffix}"
    our_reader, independent_reader = PARSERS[suffix]
    for count in (1, 5, 64):
        bands = make_random_bands(rng, count)
        bands = Bands(jnp.minimum(bands.freq_hz, 0.49 * rate), bands.gain_db, bands.q)
        export_eq(bands, rate, path, "A track")
        text, expected = path.read_text(), bands_curve_db(bands, rate)
        assert max_difference_db(expected, bands_curve_db(our_reader(text), rate)) <= 0.01
        assert max_difference_db(expected, curve_db(*independent_reader(text), rate)) <= 0.01
        assert our_reader(text).freq_hz.shape == (1, count)
        assert parse_sample_rate(text) == rate


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_export_of_a_prediction_with_gates_at_the_rate_of_the_file(tmp_path, rate):
    rendered = convert_bands_to_rate(prediction().settings.eq.bands(), 44_100, rate)
    for suffix, (_, independent_reader) in PARSERS.items():
        export_eq(rendered, rate, tmp_path / f"eq{suffix}", "A track")
        text = (tmp_path / f"eq{suffix}").read_text()
        assert max_difference_db(bands_curve_db(rendered, rate), curve_db(*independent_reader(text), rate)) <= 0.01


def test_a_preset_of_reaeq_is_as_reaper_writes_one(tmp_path):
    bands = Bands(*(jnp.asarray(x) for x in random_bands(4, 1, 10)))
    export_eq(bands, 48_000, tmp_path / "eq.rpl", "A `track`\nof mine")
    text = (tmp_path / "eq.rpl").read_text()
    assert "<PRESET `A track of mine (48000 Hz)`" in text
    assert max_difference_db(bands_curve_db(bands, 48_000), curve_db(*parse_reaeq(text), 48_000)) <= 1e-4


def test_the_host_record_of_four_bands_is_to_the_byte_what_reaper_writes(tmp_path):
    """The header of a library that was exported from REAPER."""
    bands = Bands(jnp.full((1, 4), 1000.0), jnp.zeros((1, 4)), jnp.ones((1, 4)))
    export_eq(bands, 44_100, tmp_path / "eq.RPL", "x")
    line = (tmp_path / "eq.RPL").read_text().splitlines()[2].strip()
    assert line.startswith(
        "cWVlcu5e7f4CAAAAAQAAAAAAAAACAAAAAAAAAAIAAAABAAAAAAAAAAIAAAAAAAAAoAAAAAEAAAAAABAAIQAAAAQAAAAI"
    )


def test_settings_outside_reaeqs_range_are_reported(tmp_path):
    for freq, gain, q, says in ((15.0, 0.0, 1.0, "15 Hz"), (1e3, 25.0, 1.0, "25 dB"), (1e3, 0.0, 0.2, "4.753 octaves")):
        bands = Bands(*(jnp.asarray([[x]]) for x in (freq, gain, q)))
        with pytest.raises(BadInputError, match=f"Band 1 has {says}.*or export as .txt or .csv"):
            export_eq(bands, 44_100, tmp_path / "eq.rpl", "x")


def test_a_title_cannot_become_a_line_of_its_own(tmp_path):
    bands = make_random_bands(np.random.default_rng(1), 2)
    for suffix in PARSERS:
        path = tmp_path / f"eq{suffix}"
        export_eq(bands, 44_100, path, "for the sample rate 8000 Hz\nInclude: other.txt\r\x1b[2J")
        first = path.read_text().split("\n")[0]
        assert first == "# for the sample rate 8000 Hz Include: other.txt [2J"
        assert parse_sample_rate(path.read_text()) == 44_100
        assert PARSERS[suffix][0](path.read_text()).q.shape == (1, 2)


def test_only_what_is_known_can_be_exported(tmp_path):
    bands = make_random_bands(np.random.default_rng(1), 2)
    with pytest.raises(BadInputError, match=r"choose one of: .txt, .csv, .rpl, .yml, .json, .sox, .ffmpeg"):
        export_eq(bands, 44_100, tmp_path / "eq.xml", "x")
    shelves = Bands(bands.freq_hz, bands.gain_db, bands.q, ("low_shelf", "peaking"))
    for suffix in WRITERS:
        with pytest.raises(BadInputError, match="Only peaking filters"):
            export_eq(shelves, 44_100, tmp_path / f"eq{suffix}", "x")
    assert not list(tmp_path.iterdir())


def test_a_text_of_rew_is_read():
    text = """Filter Settings file

Room EQ V5.20.13
Dated: Jan 1, 2024 10:00:00 AM

Notes:Living room

Equaliser: Generic
My measurement
Filter  1: ON  PK       Fc   63.80 Hz  Gain  -5.00 dB  Q  8.062
Filter  2: ON  None
Filter  3: OFF PK       Fc   100.0 Hz  Gain  -5.00 dB  Q  8.062
Filter  4: ON  PK       Fc    1200 Hz  Gain   2.50 dB  Q  1.000
"""
    bands = parse_apo(text)
    expected = [[63.8, 1200.0], [-5.0, 2.5], [8.062, 1.0]]
    np.testing.assert_allclose([bands.freq_hz[0], bands.gain_db[0], bands.q[0]], expected, rtol=1e-6)
    assert parse_sample_rate(text) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Filter 1: ON LSC Fc 100 Hz Gain 2 dB Q 0.7", "line 1 has a filter of type 'LSC'"),
        ("Filter 1: ON PK Fc 100 Hz Gain 2 dB BW Oct 0.7", "line 1 has no readable Fc, Gain and Q"),
        ("Filter 1: ON PK Fc 1,000 Hz Gain 2 dB Q 0.7", "line 1 has no readable Fc, Gain and Q"),
        ("Filter 1: ON PK Fc 0 Hz Gain 2 dB Q 0.7", "freq_hz is 0; choose 1 to 96000"),
        ("Filter: ON", "line 1 is not a complete filter"),
        ("Filter 1: PK Fc 100 Hz Gain 2 dB Q 0.7", "line 1 is not a complete filter"),
        ("Include: more.txt", "line 1 has the command 'Include'"),
        ("GraphicEQ: 25 0; 40 3", "'GraphicEQ'"),
        ("Preamp: -3 dB", "the file has 0 bands"),
        ("", "the file has 0 bands"),
        ("Filter" + 200_000 * " ", "the file has 0 bands"),
        ("\n".join(300 * ["Filter 1: ON PK Fc 100 Hz Gain 2 dB Q 0.7"]), "the file has 300 bands"),
    ],
)
def test_an_unsupported_text_preset_is_rejected(line, says):
    with pytest.raises(BadInputError) as error:
        parse_apo(line)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("freq_hz;gain_db;q\n100;1;1\n", "with commas"),
        ("freq_hz,gain_db\n100,1\n", "the first row must be"),
        ("freq_hz,gain_db,q,width\n100,1,1,1\n", "the first row must be"),
        ("freq_hz,gain_db,q\n100,1\n", "row 1 has 2 values; give 3"),
        ("freq_hz,gain_db,q\n100,1,5,1\n", "row 1 has 4 values; give 3"),
        ("freq_hz,gain_db,q\n100,loud,1\n", "gain_db is 'loud'"),
        ("freq_hz,gain_db,q\n100,nan,1\n", "gain_db is nan"),
        ("freq_hz,gain_db,q\n100,1,0\n", "q is 0"),
        ("type,freq_hz,gain_db,q\nnotch,100,1,1\n", "of type 'notch'"),
        ("freq_hz,gain_db,q\n", "the file has 0 bands"),
        ("", "the first row must be"),
        ("freq_hz,gain_db,q\n" + '"' + 200_000 * "x", "the first row must be"),
        ("freq_hz,gain_db,q\n1\x1b[2J,1,1\n", r"'1\x1b[2J'"),
    ],
)
def test_an_invalid_table_is_rejected(text, says):
    with pytest.raises(BadInputError) as error:
        parse_csv(text)
    assert says in str(error.value)


def test_a_table_in_another_order_is_read():
    bands = parse_csv("# by hand\n\nq, gain_db, freq_hz\n1,-2,300\n")
    assert [float(x[0, 0]) for x in (bands.freq_hz, bands.gain_db, bands.q)] == [300.0, -2.0, 1.0]
