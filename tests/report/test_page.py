"""The report as a parser reads it: no external requests, no injection, every number present."""

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.signal import sosfilt, sosfreqz

from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.repair.saturation import SaturationRepair
from nmjax.models.parameters import EqSettings, Prediction, at_model_level
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.features import track_features
from nmjax.reference.match import ReferenceMatch
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.reference.response import single_band_responses_db
from nmjax.report.audio_players import select_excerpts
from nmjax.report.limiting import DeliveryPoint, LimitingTradeoff
from nmjax.report.null_test import NullTest
from nmjax.report.page import FileMeasurements, ReportData, render_page, write_report
from nmjax.report.spectral_change import measure_residual
from nmjax.runtime.errors import CannotWriteError
from tests.report.test_spectral_change import analyze_audio, peaking_section
from tests.synthetic_audio import music

HOSTILE_NAME = "<script>alert(1)</script>\"'&.wav"
VOID_TAGS = {"meta", "input", "br"}


def chart_properties(parser):
    """What the charts of a page draw."""
    return [json.loads(a["data-properties"])["chart"] for a in parser.all("nm-chart")]


def curve_names(parser):
    return [curve["name"] for chart in chart_properties(parser) for curve in chart["curves"]]


def descriptions(parser):
    return [chart["description"] for chart in chart_properties(parser)]


class PageParser(HTMLParser):
    """Tags with their attributes, and the text by tag; fails if a tag is not closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], {}, []
        self._body_parts = []
        self.feed(text)
        self.close()
        assert self.open == []

    @property
    def body(self):
        """The visible text, with single spaces between words and elements."""
        return " ".join(" ".join(self._body_parts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        for tag in set(self.open):
            self.text[tag] = self.text.get(tag, "") + data
        if "body" in self.open and "script" not in self.open:
            self._body_parts.append(data)

    def all(self, tag, css_class=None):
        """The attributes of all elements of a tag, or of those with a class."""
        return [a for t, a in self.tags if t == tag and (css_class is None or css_class in a.get("class", "").split())]


def eq_settings(gains_db=(2.0, -3.0, 1.5, 0.0, 4.0), gate=1.0):
    rows = ([62.0, 250.0, 1000.0, 4000.0, 12_000.0], gains_db, [1.0, 1.2, 2.0, 1.0, 0.7], [gate] * 5)
    return EqSettings(*(np.array([row], np.float32) for row in rows))


def file_measurements(audio, rate, lufs=-14.0):
    return FileMeasurements(
        lufs=lufs,
        true_peak_db=-1.0,
        loudness_range_lu=6.2,
        crest_db=12.3,
        sample_rate=rate,
        channels=audio.shape[1],
        duration_s=len(audio) / rate,
        format_name="WAV, 24 bits",
    )


def make_finding(**fields):
    defaults = {"name": "hum", "value": -30.0, "unit": "dB", "severity": Severity.PROBLEM, "remedy": "Remove it."}
    return Finding(**(defaults | fields))


def report_data(before, after, rate, **fields):
    before_analysis, after_analysis = analyze_audio(before, rate), analyze_audio(after, rate)
    chunks = ([x.astype(np.float32)] for x in (before, after))
    defaults = {
        "track_name": "song.wav",
        "model_name": "Phase 1b",
        "eq": eq_settings(),
        "excerpts": select_excerpts(*chunks, after_analysis),
        "input_measurements": file_measurements(before, rate, -20.0),
        "master_measurements": file_measurements(after, rate),
        "input_analysis": before_analysis,
        "master_analysis": after_analysis,
    }
    return ReportData(**(defaults | fields))


@pytest.fixture(scope="module")
def song():
    return music(25.0, 8000, 2, seed=1)


@pytest.fixture(scope="module")
def full_page(song):
    added = 0.05 * music(25.0, 8000, 2, seed=2)
    after = 1.5 * sosfilt(peaking_section(250.0, -3.0, 1.2, 8000)[None], song, axis=0) + added
    data = report_data(
        song,
        after,
        8000,
        track_name=HOSTILE_NAME,
        model_name=HOSTILE_NAME,
        summary=["At most 0.6 dB of EQ."],
        findings=[
            make_finding(sentence=f"Hum in {HOSTILE_NAME}.", repaired="notches at 60 Hz."),
            make_finding(severity=Severity.WARNING, sentence="The bass is wide.", percentile=99.7),
        ],
        compliance_lines=[f"PASS {HOSTILE_NAME}"],
        notes=[HOSTILE_NAME, "\ud800 half\x00 \u202fspace"],
        residual=measure_residual(analyze_audio(song, 8000), analyze_audio(added, 8000)),
        target_lufs=-14.0,
        null_test=NullTest(-3.5, -21.0),
    )
    return render_page(data)


def test_findings_say_what_was_or_can_be_done(full_page):
    body = PageParser(full_page).body
    assert f"repaired Hum in {HOSTILE_NAME}. Repaired: notches at 60 Hz." in body
    assert "warning The bass is wide (higher than 99 % of songs). Remove it." in body


def test_the_page_is_well_formed_and_makes_no_external_requests(full_page):
    parser = PageParser(full_page)
    assert full_page.startswith("<!DOCTYPE html>")
    for _, attributes in parser.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "poster", "action", "data", "xlink:href"):
                assert value.startswith("data:audio/flac;base64,")
    assert not {tag for tag, _ in parser.tags} & {"link", "iframe", "object", "embed", "img", "base"}
    urls = re.findall(r"[a-z]+://[^\s\"'<>]+", full_page)
    assert set(urls) <= {"http://www.w3.org/2000/svg"}  # a namespace, which is never requested
    assert not re.search(r"url\(|@import", parser.text["style"])
    ids = [a["id"] for _, a in parser.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_names_cannot_inject_scripts(full_page):
    parser = PageParser(full_page)
    assert len(parser.all("script")) == 1
    assert "alert" not in parser.text["script"]
    assert all(HOSTILE_NAME in parser.text[tag] for tag in ("h1", "title", "li"))
    assert full_page.count("<script") == 1 and full_page.count("</script") == 1
    assert "\ud800" not in full_page and "\x00" not in full_page
    assert "\ufffd half\ufffd \u202fspace" in parser.text["li"]


def test_the_policy_allows_only_the_embedded_script_and_style(full_page):
    parser = PageParser(full_page)
    (policy,) = (a["content"] for a in parser.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        digest = base64.b64encode(hashlib.sha256(parser.text[tag].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not any("style" in a for _, a in parser.tags)


def test_every_section_is_present(full_page):
    parser = PageParser(full_page)
    assert (len(parser.all("nm-chart")), len(parser.all("nm-eq"))) == (4, 1)
    assert len(parser.all("nm-ab-player")) == 1  # shorter than an excerpt
    assert len(parser.all("audio")) == 2
    assert "Target, −14 LUFS" in curve_names(parser)
    for text in (
        "−20.0 LUFS",
        "+6.0",
        "−1.0 dBTP",
        "6.2 LU",
        "12.3 dB",
        "8,000 Hz",
        "0:25.0",
        "WAV, 24 bits",
        "250 Hz",
        "−3.00 dB",
        "21.0 dB below the input",
        "The equalizer explains",
    ):
        assert text in parser.body, text
    residual_level = re.search(r"The residual adds −([\d.]+) dB \(5 % of", parser.body)
    assert float(residual_level[1]) == pytest.approx(20.0 * math.log10(20.0), abs=0.3)
    assert "Gate" not in parser.body


def test_gates_have_a_column_of_their_own(song):
    body = PageParser(render_page(report_data(song, song, 8000, eq=eq_settings(gate=0.5)))).body
    assert "Gate" in body and "0.50" in body and "−1.50 dB" in body  # half of −3


def test_closed_bands_and_a_flat_equalizer_are_hidden(song):
    eq = eq_settings()
    gated = eq.replace(gate=np.array([[1.0, 0.0, 1.0, 0.0, 1.0]], np.float32))
    body = PageParser(render_page(report_data(song, song, 8000, eq=gated))).body
    assert "2 of 5 bands are closed." in body
    assert "62 Hz" in body and "250 Hz" not in body and "Gate" not in body
    flat = PageParser(render_page(report_data(song, song, 8000, eq=eq_settings(gains_db=[0.0] * 5))))
    assert "Equalizer" not in flat.body.split("Spectrum")[0]


def test_the_checkpoint_is_in_the_footer_and_the_summary_in_the_head(full_page):
    parser = PageParser(full_page)
    assert HOSTILE_NAME in parser.text["footer"]
    assert HOSTILE_NAME in parser.text["header"] and "At most 0.6 dB" in parser.text["header"]


def test_the_loudness_against_limiting_is_a_chart(song):
    depths_db = np.array([0.0, 6.0, 12.0])
    tradeoff = LimitingTradeoff(-1.0, depths_db, np.array([-18.0, -14.5, -12.5]), [DeliveryPoint("cd", 5.5, -14.7)])
    parser = PageParser(render_page(report_data(song, song, 8000, limiting=tradeoff)))
    assert {"At a ceiling of −1 dBTP", "cd: −14.7 LUFS"} <= set(curve_names(parser))
    assert "From −18.0 LUFS without limiting to −12.5 LUFS with 12 dB of it." in descriptions(parser)


def test_a_saturator_that_was_undone_is_a_chart(song):
    repair = SaturationRepair(levels=[0.1, 0.2], positive=[0.1, 0.4], negative=[0.1, 0.3])
    page = PageParser(render_page(report_data(song, song, 8000, saturation=repair)))
    assert repair.sentence in page.body
    assert "The highest peaks rise by +6.0 dB." in descriptions(page)
    clipper = SaturationRepair(levels=[0.1, 0.2], positive=[0.1, 0.2], negative=[0.1, 0.2], ceiling_positive=[0.2])
    for without in (None, clipper):  # the curve of a hard clipper is straight
        plain = PageParser(render_page(report_data(song, song, 8000, saturation=without)))
        assert not any("highest peaks" in text for text in descriptions(plain))


def test_band_responses_match_scipy():
    freq_hz = np.geomspace(20.0, 20_000.0, 50)
    eq = eq_settings()
    rows = zip(eq.freq_hz[0], eq.gain_db[0], eq.q[0], strict=True)
    for response, (freq, gain_db, q) in zip(single_band_responses_db(eq.bands(), freq_hz), rows, strict=True):
        section = peaking_section(float(freq), float(gain_db), float(q))[None]
        expected = 20.0 * np.log10(np.abs(sosfreqz(section, freq_hz, fs=44_100)[1]))
        np.testing.assert_allclose(response, expected, atol=0.005)


@pytest.mark.parametrize("gains_db", [(2.0, -3.0, 1.5, 0.0, 4.0), (0.0, 0.0, 0.0, 0.0, 0.0)])
def test_the_explained_share_is_that_of_the_response(gains_db):
    audio, eq = music(5.0, 44_100, 1, seed=3), eq_settings()
    rows = zip(eq.freq_hz[0], eq.gain_db[0], eq.q[0], strict=True)
    after = sosfilt(np.stack([peaking_section(*map(float, row)) for row in rows]), audio, axis=0)
    body = PageParser(render_page(report_data(audio, after, 44_100, eq=eq_settings(gains_db)))).body
    share = int(re.search(r"explains (\d+) % of", body)[1])
    assert share == 0 if not any(gains_db) else share >= 99


def test_a_reference_adds_its_target_and_its_spectrum_with_an_escaped_name():
    audio = music(4.0, 44_100, 2, seed=8)
    reference = ReferenceTarget(features=track_features([audio.astype(np.float32)]), name=HOSTILE_NAME)
    settings = at_model_level(eq_settings())
    match = ReferenceMatch(
        prediction=Prediction(settings=settings, z=np.zeros((1, 512), np.float32)),
        reference_target=reference,
        target_eq_db=np.linspace(-2.0, 2.0, len(CENTERS_HZ)),
    )
    text = render_page(report_data(audio, audio, 44_100, match=match))
    parser = PageParser(text)
    assert f"Target from {HOSTILE_NAME}" in parser.body and f"{HOSTILE_NAME}, mid" in curve_names(parser)
    assert text.count("<script") == 1


CASES = {
    "silence": (np.zeros((30_000, 2)), 44_100),
    "one second": (music(1.0, 44_100, 1, seed=4), 44_100),
    "two samples": (music(1.0, 44_100, 1, seed=4)[:2], 44_100),
    "mono": (music(4.0, 44_100, 1, seed=5), 44_100),
    "192 kHz": (music(0.5, 192_000, 2, seed=6), 192_000),
    "eight channels": (music(1.5, 8000, 8, seed=7), 8000),
}


@pytest.mark.parametrize("name", CASES)
def test_unusual_signals(name):
    audio, rate = CASES[name]
    unknown = FileMeasurements(
        lufs=math.nan,
        true_peak_db=-math.inf,
        loudness_range_lu=math.nan,
        crest_db=math.nan,
        sample_rate=rate,
        channels=audio.shape[1],
        duration_s=len(audio) / rate,
        format_name="FLAC",
    )
    data = report_data(audio, 0.5 * audio, rate, input_measurements=unknown, master_measurements=unknown)
    text = render_page(data)
    parser = PageParser(text)
    assert len(parser.all("nm-ab-player")) == 1
    assert len(parser.all("nm-chart")) == 3
    assert "The spectrum did not change" in parser.body
    assert "Residual network" not in parser.body and "Null test" not in parser.body
    visible = re.sub(r"base64,[^\"]*|<(script|style)>.*?</\1>", "", text, flags=re.S)
    assert not re.search(r"\b(nan|inf|None)\b", visible)


def test_the_file_is_written_atomically(tmp_path, song):
    path = tmp_path / "a folder" / "report.html"
    data = report_data(song, 0.5 * song, 8000)
    write_report(path, data)
    write_report(path, data)
    assert path.read_bytes().decode("utf-8") == render_page(data)
    assert [x.name for x in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(CannotWriteError, match="cannot be written"):
        write_report(path / "below a file.html", data)
