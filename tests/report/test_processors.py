"""The report's section about the processors, from files: numbers by NumPy and SciPy from each input and output."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from nmjax.cli.main import main
from nmjax.dsp import Compressor, gain_reduction_db
from nmjax.models.processors import PROCESSORS
from tests.mastering.test_processors import BANDS, PROCESSOR_VALUES, settings_json
from tests.report.test_page import PageParser, chart_properties
from tests.synthetic_audio import music, write_audio

NO_DELIVERY = ("--lufs", "none", "--true-peak", "none")
LABELS = {
    **{name: name for name in ("ratio", "mix", "asymmetry")},
    **{"threshold_db": "threshold", "attack_ms": "attack", "release_ms": "release", "knee_db": "knee"},
    **{"makeup_db": "make-up", "drive_db": "drive", "low": "side below 200 Hz", "high": "side above 200 Hz"},
}
STATIC_CURVE, REDUCTION = "Static curve of the compressor", "Gain reduction of the compressor over time"
WIDTH, CHAIN = "Width over frequency", "Change of the spectrum by each processor"
PROCESSOR_CHARTS = {STATIC_CURVE, REDUCTION, WIDTH, CHAIN}


@dataclasses.dataclass
class Rendered:
    """A report as text and elements, the settings file and the master."""

    parser: PageParser
    settings: dict
    master: np.ndarray

    @property
    def body(self):
        return self.parser.body

    @property
    def charts(self):
        """The titles of the charts."""
        return {chart["title"] for chart in chart_properties(self.parser)}


@pytest.fixture(scope="module")
def track_dir(tmp_path_factory):
    """A stereo and a mono track."""
    root = tmp_path_factory.mktemp("processors")
    audio = music(7.0, 8_000, 2, seed=3)
    audio[:, 1] = 0.7 * audio[:, 0] + 0.3 * audio[:, 1]
    for channels, name in ((2, "stereo"), (1, "mono")):
        write_audio(root / f"{name}.wav", audio[:, :channels], 8_000, "FLOAT")
    return root


def render(track, out_dir, settings, *arguments):
    (out_dir / "s.json").write_text(json.dumps(settings))
    command = [track, "--settings", out_dir / "s.json", "-o", out_dir / "m.wav", "--report", out_dir / "r.html"]
    assert main(["infer", *map(str, command), *NO_DELIVERY, "--quiet", "--force", *arguments]) == 0
    page = (out_dir / "r.html").read_text()
    visible = re.sub(r"base64,[^\"]*|<script>.*?</script>", "", page, flags=re.S)
    is_silent = track.stem == "silent"  # its compliance line says "-inf LUFS"
    assert not re.search(r"\b(nan|None)\b" if is_silent else r"\b(nan|inf|None)\b", visible)
    (settings_path,) = out_dir.glob("m*.json")
    master = soundfile.read(str(out_dir / "m.wav"), always_2d=True)[0]
    return Rendered(PageParser(page), json.loads(settings_path.read_text()), master)


def parse_numbers(pattern, text):
    return [float(x.replace("−", "-")) for x in re.search(pattern, text).groups()]


def test_every_processor_has_its_settings_and_charts(track_dir, tmp_path):
    report = render(track_dir / "stereo.wav", tmp_path, settings_json())
    assert report.charts > PROCESSOR_CHARTS
    for processor, values in PROCESSOR_VALUES.items():
        for spec in PROCESSORS[processor].settings:
            factor = "× " if processor == "width" else ""
            value = f"{factor}{values[spec.name]:.3g} {spec.unit}".replace("-", "−").strip()
            neutral = "" if spec.neutral is None else f"{factor}{spec.neutral:g} {spec.unit}"
            assert f"{LABELS[spec.name]} {value} {neutral}".strip() in report.body, spec.name
    assert "Contribution of each processor" in report.body and "Residual network" not in report.body
    ids = [a["id"] for _, a in report.parser.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_gain_reduction_is_that_of_the_compressor(track_dir, tmp_path):
    """Solo, so that the file is the compressor's output; the extremes are those of the compressor's own gain."""
    values = {**PROCESSOR_VALUES["compressor"], "makeup_db": 1.5}
    stereo = track_dir / "stereo.wav"
    report = render(stereo, tmp_path, settings_json(compressor=values), "--solo", "compressor")
    before, rate = soundfile.read(str(stereo))
    level_change_db, min_db, max_db = parse_numbers(
        r"changed the level by (\S+) dB over the whole track, and by (\S+) to (\S+) dB over blocks of 10 ms",
        report.body,
    )
    expected_db = 10.0 * np.log10(np.mean(report.master**2) / np.mean(before**2))
    assert level_change_db + 1.5 == pytest.approx(expected_db, abs=0.06)
    settings = Compressor(**{k: jnp.full((1,), v, jnp.float32) for k, v in values.items()})
    leveled = jnp.asarray(before * 10.0 ** (report.settings["input_gain_db"] / 20.0), jnp.float32)[None]
    reduction_db = np.asarray(jax.jit(gain_reduction_db, static_argnums=2)(leveled, settings, rate)[0])[0]
    blocks = reduction_db[: len(reduction_db) // 20 * 20].reshape(-1, 20).mean(axis=1)  # a value per 4 samples at 8 kHz
    assert min_db == pytest.approx(-blocks.max(), abs=0.2)
    assert max_db == pytest.approx(-blocks.min(), abs=0.2)
    assert WIDTH not in report.charts and not report.parser.all("nm-eq")


def test_width_and_contributions_are_those_of_the_file(track_dir, tmp_path):
    stereo = track_dir / "stereo.wav"
    report = render(stereo, tmp_path, settings_json(), "--solo", "width")
    before, _ = soundfile.read(str(stereo))
    losses_db = parse_numbers(r"Loss in mono \+?(\S+) dB \+?(\S+) dB", report.body)
    for loss_db, audio in zip(losses_db, (before, report.master), strict=True):
        expected_db = -10.0 * np.log10(np.mean(audio.mean(axis=1) ** 2) / np.mean(audio**2))
        assert loss_db == pytest.approx(expected_db, abs=0.1)
    gain = np.vdot(before, report.master) / np.vdot(before, before)
    null_db = 10.0 * np.log10(np.sum((report.master - gain * before) ** 2) / np.sum(report.master**2))
    (reported_db,) = parse_numbers(r"Width \S+ dB (\S+) dB below its output", report.body)
    assert -reported_db == pytest.approx(null_db, abs=0.06)
    assert "Equalizer 0.0 dB nothing" in report.body
    assert STATIC_CURVE not in report.charts


def test_a_ratio_below_1_expands_and_mono_has_no_width(track_dir, tmp_path):
    expander = {**PROCESSOR_VALUES["compressor"], "ratio": 0.7}
    report = render(track_dir / "mono.wav", tmp_path, settings_json(compressor=expander))
    min_db, max_db = parse_numbers(r"and by (\S+) to (\S+) dB over blocks", report.body)
    assert max_db > 1.0 and min_db >= -0.1
    assert "Only stereo tracks have a width" in report.body
    assert WIDTH not in report.charts


def test_without_processors_the_report_omits_them(track_dir, tmp_path):
    eq_only = {"format": "nmjax settings 2", "eq": {"bands": BANDS}}
    report = render(track_dir / "stereo.wav", tmp_path, eq_only)
    assert "Processors after" not in report.body and not report.charts & PROCESSOR_CHARTS
    bypassed = ("--bypass", "compressor", "--bypass", "width")
    report = render(track_dir / "stereo.wav", tmp_path, settings_json(), *bypassed)
    assert report.charts & PROCESSOR_CHARTS == {CHAIN}


def test_silence_is_reported_as_silence(tmp_path):
    write_audio(tmp_path / "silent.wav", np.zeros((30_000, 2)), 8_000, "FLOAT")
    report = render(tmp_path / "silent.wav", tmp_path, settings_json())
    assert "The input is silent." in report.body
