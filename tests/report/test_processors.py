"""What the report says of the stages, from a file: numbers by NumPy and SciPy from the sound before and after each."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from nmjax.cli.main import main
from nmjax.dsp import Compressor, gain_reduction_db
from nmjax.models.processors import processor_settings
from tests.mastering.test_processors import BANDS, PROCESSOR_VALUES, settings_json
from tests.report.test_page import PageParser
from tests.synthetic_audio import music, write_audio

PLAIN = ("--lufs", "none", "--true-peak", "none")


@pytest.fixture(scope="module")
def track_dir(tmp_path_factory):
    """A stereo and a mono track."""
    root = tmp_path_factory.mktemp("stages")
    audio = music(7.0, 8_000, 2, seed=3)
    audio[:, 1] = 0.7 * audio[:, 0] + 0.3 * audio[:, 1]
    for channels, name in ((2, "two"), (1, "one")):
        write_audio(root / f"{name}.wav", audio[:, :channels], 8_000, "FLOAT")
    return root


def render_report(track_dir, track, tmp_path, settings, *arguments):
    """The page's text, its tags, and the settings that it is about."""
    (tmp_path / "s.json").write_text(json.dumps(settings))
    out = tmp_path / "m.wav"
    command = [
        track_dir / f"{track}.wav",
        "--settings",
        tmp_path / "s.json",
        "-o",
        out,
        "--report",
        tmp_path / "r.html",
    ]
    assert main(["infer", *map(str, command), *PLAIN, "--quiet", "--force", *arguments]) == 0
    page = (tmp_path / "r.html").read_text()
    visible = re.sub(r"base64,[^\"]*|<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"\b(nan|None)\b" if track == "silent" else r"\b(nan|inf|None)\b", visible)  # "-inf LUFS"
    return PageParser(page), json.loads((tmp_path / "m.json").read_text()), soundfile.read(str(out), always_2d=True)[0]


def chart_ids(reader):
    """Of the charts, without what stands for wide and what for narrow windows."""
    return {a["aria-labelledby"].split()[0].rsplit("-", 2)[0] for a in reader.all("svg", "chart")}


def parse_numbers(pattern, text):
    return [float(x.replace("−", "-")) for x in re.search(pattern, text).groups()]


def test_every_processor_has_its_settings_and_charts(track_dir, tmp_path):
    reader, _, _ = render_report(track_dir, "two", tmp_path, settings_json())
    body = reader.text["body"]
    assert {"static-curve", "reduction", "width", "steps"} < chart_ids(reader)
    for stage, values in PROCESSOR_VALUES.items():
        for row in processor_settings(stage):
            value = f"{values[row.name]:.3g}".replace("-", "−") + (f" {row.unit}" if row.unit else "")
            neutral = "" if row.neutral is None else f"{row.neutral:g} {row.unit}".strip()
            assert f"{row.name}{value}{neutral}" in body, row.name
    assert "What each part did" in body and "second network added" in body
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_gain_reduction_is_that_of_the_compressor(track_dir, tmp_path):
    """Solo, so that the file is the compressor's output; the extremes are those of what it counts itself."""
    values = {**PROCESSOR_VALUES["compressor"], "makeup_db": 1.5}
    reader, settings_written, after = render_report(
        track_dir, "two", tmp_path, settings_json(compressor=values), "--solo", "compressor"
    )
    before, rate = soundfile.read(str(track_dir / "two.wav"))
    changed, min_db, max_db = parse_numbers(
        r"changed the level by (\S+) dB in all, and from moment to moment \(10 ms\) by (\S+) to (\S+) dB",
        reader.text["body"],
    )
    assert changed + 1.5 == pytest.approx(10.0 * np.log10(np.mean(after**2) / np.mean(before**2)), abs=0.06)
    settings = Compressor(**{k: jnp.full((1,), v, jnp.float32) for k, v in values.items()})
    levelled = jnp.asarray(before * 10.0 ** (settings_written["input_gain_db"] / 20.0), jnp.float32)[None]
    reduced = np.asarray(jax.jit(gain_reduction_db, static_argnums=2)(levelled, settings, rate)[0])[0]
    blocks = reduced[: len(reduced) // 20 * 20].reshape(-1, 20).mean(axis=1)  # a point every 4 samples at 8 kHz
    assert min_db == pytest.approx(-blocks.max(), abs=0.2)
    assert max_db == pytest.approx(-blocks.min(), abs=0.2)
    assert "width" not in chart_ids(reader) and "eq" in chart_ids(reader)


def test_the_widths_and_shares_are_those_of_the_file(track_dir, tmp_path):
    reader, _, after = render_report(track_dir, "two", tmp_path, settings_json(), "--solo", "width")
    body, (before, _) = reader.text["body"], soundfile.read(str(track_dir / "two.wav"))
    losses = parse_numbers(r"A mono sum loses\+?(\S+) dB\+?(\S+) dB", body)
    for loss, audio in zip(losses, (before, after), strict=True):
        expected = -10.0 * np.log10(np.mean(audio.mean(axis=1) ** 2) / np.mean(audio**2))
        assert loss == pytest.approx(expected, abs=0.1)
    gain = np.vdot(before, after) / np.vdot(before, before)
    residual_db = 10.0 * np.log10(np.sum((after - gain * before) ** 2) / np.sum(after**2))
    (result,) = parse_numbers(r"Width\S+ dB(\S+) dB below its output", body)
    assert -result == pytest.approx(residual_db, abs=0.06)
    assert "Equaliser0.0 dBnothing" in body
    assert "static-curve" not in chart_ids(reader)


def test_a_ratio_below_1_expands_and_mono_has_no_width(track_dir, tmp_path):
    expander = {**PROCESSOR_VALUES["compressor"], "ratio": 0.7}
    reader, _, _ = render_report(track_dir, "one", tmp_path, settings_json(compressor=expander))
    body = reader.text["body"]
    min_db, max_db = parse_numbers(r"\(10 ms\) by (\S+) to (\S+) dB", body)
    assert max_db > 1.0 and min_db >= -0.1
    assert "Only two channels have a width" in body
    assert "width" not in chart_ids(reader)


def test_without_processors_the_report_omits_them(track_dir, tmp_path):
    reader, _, _ = render_report(track_dir, "two", tmp_path, {"format": "nmjax settings 1", "eq": {"bands": BANDS}})
    assert "Stages behind" not in reader.text["body"] and not chart_ids(reader) & {"steps", "static-curve"}
    reader, _, _ = render_report(
        track_dir, "two", tmp_path, settings_json(), "--bypass", "compressor", "--bypass", "width"
    )
    assert {"steps"} == chart_ids(reader) & {"steps", "static-curve", "reduction", "width"}


def test_silence_is_reported_as_silence(tmp_path):
    write_audio(tmp_path / "silent.wav", np.zeros((30_000, 2)), 8_000, "FLOAT")
    reader, _, _ = render_report(tmp_path, "silent", tmp_path, settings_json())
    assert "It heard silence." in reader.text["body"]
