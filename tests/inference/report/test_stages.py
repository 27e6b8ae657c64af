"""What the report says of the stages, from a file: numbers by NumPy and SciPy from the sound before and after each."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from nmjax.cli import main
from nmjax.dsp import Compressor, reduction_db
from nmjax.models.stages import settings_of
from tests.inference.report.test_page import Reader
from tests.inference.test_stages import BANDS, CHANGED, tree
from tests.music import music, write

PLAIN = ("--lufs", "none", "--true-peak", "none")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A stereo and a mono track."""
    root = tmp_path_factory.mktemp("stages")
    audio = music(7.0, 8_000, 2, seed=3)
    audio[:, 1] = 0.7 * audio[:, 0] + 0.3 * audio[:, 1]
    for channels, name in ((2, "two"), (1, "one")):
        write(root / f"{name}.wav", audio[:, :channels], 8_000, "FLOAT")
    return root


def told(place, track, tmp_path, settings, *words):
    """The page's text, its tags, and the settings that it is about."""
    (tmp_path / "s.json").write_text(json.dumps(settings))
    out = tmp_path / "m.wav"
    given = [place / f"{track}.wav", "--settings", tmp_path / "s.json", "-o", out, "--report", tmp_path / "r.html"]
    assert main(["infer", *map(str, given), *PLAIN, "--quiet", "--force", *words]) == 0
    page = (tmp_path / "r.html").read_text()
    visible = re.sub(r"base64,[^\"]*|<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"\b(nan|None)\b" if track == "silent" else r"\b(nan|inf|None)\b", visible)  # "-inf LUFS"
    return Reader(page), json.loads((tmp_path / "m.json").read_text()), soundfile.read(str(out), always_2d=True)[0]


def titles(reader):
    """Of the charts, without what stands for wide and what for narrow windows."""
    return {a["aria-labelledby"].split()[0].rsplit("-", 2)[0] for a in reader.all("svg", "chart")}


def number(pattern, words):
    return [float(x.replace("−", "-")) for x in re.search(pattern, words).groups()]


def test_every_stage_has_its_settings_and_charts(place, tmp_path):
    reader, _, _ = told(place, "two", tmp_path, tree())
    words = reader.text["body"]
    assert {"static-curve", "reduction", "width", "steps"} < titles(reader)
    for stage, values in CHANGED.items():
        for row in settings_of(stage):
            value = f"{values[row.name]:.3g}".replace("-", "−") + (f" {row.unit}" if row.unit else "")
            neutral = "" if row.neutral is None else f"{row.neutral:g} {row.unit}".strip()
            assert f"{row.name}{value}{neutral}" in words, row.name
    assert "What each part did" in words and "second network added" in words
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_gain_reduction_is_that_of_the_compressor(place, tmp_path):
    """Solo, so that the file is the compressor's output; the extremes are those of what it counts itself."""
    given = {**CHANGED["compressor"], "makeup_db": 1.5}
    reader, said, after = told(place, "two", tmp_path, tree(compressor=given), "--solo", "compressor")
    before, rate = soundfile.read(str(place / "two.wav"))
    changed, least, most = number(
        r"changed the level by (\S+) dB in all, and from moment to moment \(10 ms\) by (\S+) to (\S+) dB",
        reader.text["body"],
    )
    assert changed + 1.5 == pytest.approx(10.0 * np.log10(np.mean(after**2) / np.mean(before**2)), abs=0.06)
    settings = Compressor(**{k: jnp.full((1,), v, jnp.float32) for k, v in given.items()})
    levelled = jnp.asarray(before * 10.0 ** (said["input_gain_db"] / 20.0), jnp.float32)[None]
    reduced = np.asarray(jax.jit(reduction_db, static_argnums=2)(levelled, settings, rate)[0])[0]
    blocks = reduced[: len(reduced) // 20 * 20].reshape(-1, 20).mean(axis=1)  # a point every 4 samples at 8 kHz
    assert least == pytest.approx(-blocks.max(), abs=0.2)
    assert most == pytest.approx(-blocks.min(), abs=0.2)
    assert "width" not in titles(reader) and "eq" in titles(reader)


def test_the_widths_and_shares_are_those_of_the_file(place, tmp_path):
    reader, _, after = told(place, "two", tmp_path, tree(), "--solo", "width")
    words, (before, _) = reader.text["body"], soundfile.read(str(place / "two.wav"))
    losses = number(r"A mono sum loses\+?(\S+) dB\+?(\S+) dB", words)
    for loss, audio in zip(losses, (before, after), strict=True):
        wanted = -10.0 * np.log10(np.mean(audio.mean(axis=1) ** 2) / np.mean(audio**2))
        assert loss == pytest.approx(wanted, abs=0.1)
    gain = np.vdot(before, after) / np.vdot(before, before)
    rest = 10.0 * np.log10(np.sum((after - gain * before) ** 2) / np.sum(after**2))
    (found,) = number(r"Width\S+ dB(\S+) dB below its output", words)
    assert -found == pytest.approx(rest, abs=0.06)
    assert "Equaliser0.0 dBnothing" in words
    assert "static-curve" not in titles(reader)


def test_a_ratio_below_1_expands_and_mono_has_no_width(place, tmp_path):
    expander = {**CHANGED["compressor"], "ratio": 0.7}
    reader, _, _ = told(place, "one", tmp_path, tree(compressor=expander))
    words = reader.text["body"]
    least, most = number(r"\(10 ms\) by (\S+) to (\S+) dB", words)
    assert most > 1.0 and least >= -0.1
    assert "Only two channels have a width" in words
    assert "width" not in titles(reader)


def test_without_stages_there_is_no_word_of_them(place, tmp_path):
    reader, _, _ = told(place, "two", tmp_path, {"format": "nmjax settings 1", "eq": {"bands": BANDS}})
    assert "Stages behind" not in reader.text["body"] and not titles(reader) & {"steps", "static-curve"}
    reader, _, _ = told(place, "two", tmp_path, tree(), "--bypass", "compressor", "--bypass", "width")
    assert {"steps"} == titles(reader) & {"steps", "static-curve", "reduction", "width"}


def test_silence_is_told_as_silence(tmp_path):
    write(tmp_path / "silent.wav", np.zeros((30_000, 2)), 8_000, "FLOAT")
    reader, _, _ = told(tmp_path, "silent", tmp_path, tree())
    assert "It heard silence." in reader.text["body"]
