"""The page as a parser reads it: nothing from outside, nothing that a name could inject, every number there."""

import base64
import hashlib
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.signal import sosfilt, sosfreqz

from nmjax.models.parameters import EqSettings
from nmjax.report.audio_players import select_excerpts
from nmjax.report.figures import band_responses_db
from nmjax.report.null_test import NullTest
from nmjax.report.page import FileMeasurements, ReportData, render_page, write_report
from nmjax.report.spectral_change import measure_residual
from nmjax.report.track_analysis import SignalAnalyzer
from nmjax.runtime.errors import CannotWriteError
from tests.report.test_spectral_change import peaking_section
from tests.synthetic_audio import music

HOSTILE_NAME = "<script>alert(1)</script>\"'&.wav"
VOID_TAGS = {"meta", "input", "br"}


class PageParser(HTMLParser):
    """Tags with their attributes, and the text by tag; complains about what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], {}, []
        self.feed(text)
        self.close()
        assert self.open == []

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

    def all(self, tag, kind=None):
        return [a for t, a in self.tags if t == tag and (kind is None or kind in (a.get("class") or "").split())]


def analyze_audio(audio, rate):
    listener = SignalAnalyzer(rate, audio.shape[1])
    for _ in listener.watch([audio.astype(np.float32)]):
        pass
    return listener.result()


def settings(gains=(2.0, -3.0, 1.5, 0.0, 4.0), gate=1.0):
    rows = ([62.0, 250.0, 1000.0, 4000.0, 12_000.0], gains, [1.0, 1.2, 2.0, 1.0, 0.7], [gate] * 5)
    return EqSettings(*(np.array([row], np.float32) for row in rows))


def meters(audio, rate, lufs=-14.0):
    return FileMeasurements(lufs, -1.0, 6.2, 12.3, rate, audio.shape[1], len(audio) / rate, "WAV, 24 bits")


def make_facts(before, after, rate, **more):
    old, new = analyze_audio(before, rate), analyze_audio(after, rate)
    pieces = ([x.astype(np.float32)] for x in (before, after))
    defaults = {"track": "song.wav", "model": "Phase 1b", "eq": settings(), "excerpts": select_excerpts(*pieces, new)}
    measured = meters(before, rate, -20.0), meters(after, rate)
    return ReportData(
        **{**defaults, **more, "heard_before": old, "heard_after": new, "before": measured[0], "after": measured[1]}
    )


@pytest.fixture(scope="module")
def song():
    return music(25.0, 8000, 2, seed=1)


@pytest.fixture(scope="module")
def full_page(song):
    added = 0.05 * music(25.0, 8000, 2, seed=2)
    after = 1.5 * sosfilt(peaking_section(250.0, -3.0, 1.2, 8000)[None], song, axis=0) + added
    facts = make_facts(
        song, after, 8000, track=HOSTILE_NAME, model=HOSTILE_NAME, verdicts=[f"PASS {HOSTILE_NAME}"],
        notes=[HOSTILE_NAME, "\ud800 half\x00 \u202fspace"],
        residual=measure_residual(analyze_audio(song, 8000), analyze_audio(added, 8000)), target_lufs=-14.0,
        null_test=NullTest(-3.5, -21.0),
    )  # fmt: skip
    return render_page(facts)


def test_the_page_is_well_formed_and_asks_for_nothing_from_outside(full_page):
    reader = PageParser(full_page)
    for _, attributes in reader.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "poster", "action", "data", "xlink:href"):
                assert value.startswith("data:audio/flac;base64,")
    assert not {tag for tag, _ in reader.tags} & {"link", "iframe", "object", "embed", "img", "base"}
    outside = re.findall(r"[a-z]+://[^\s\"'<>]+", full_page)
    assert set(outside) <= {"http://www.w3.org/2000/svg"}  # a name, which nobody asks for anything
    assert not re.search(r"url\(|@import", reader.text["style"])
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_names_cannot_inject_scripts(full_page):
    reader = PageParser(full_page)
    assert len(reader.all("script")) == 1
    assert "alert" not in reader.text["script"]
    assert (
        HOSTILE_NAME in reader.text["h1"] and HOSTILE_NAME in reader.text["title"] and HOSTILE_NAME in reader.text["li"]
    )
    assert full_page.count("<script") == 1 and full_page.count("</script") == 1
    assert (
        "\ud800" not in full_page and "\x00" not in full_page and "\ufffd half\ufffd \u202fspace" in reader.text["li"]
    )


def test_the_policy_allows_this_script_and_style_alone(full_page):
    reader = PageParser(full_page)
    (policy,) = (a["content"] for a in reader.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        digest = base64.b64encode(hashlib.sha256(reader.text[tag].encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert not any("style" in a for _, a in reader.tags)


def test_every_section_is_present(full_page):
    reader = PageParser(full_page)
    assert len(reader.all("svg", "chart")) == 2 * 5  # for wide and for narrow windows
    assert len(reader.all("div", "player")) == 2
    assert len(reader.all("audio")) == 4
    body = reader.text["body"]
    for part in ("−20.0 LUFS", "+6.0", "−1.0 dBTP", "6.2 LU", "12.3 dB", "8,000 Hz", "0:25.0", "WAV, 24 bits", "250 Hz",
                 "−3.00 dB", "Target, −14 LUFS", "21.0 dB below the input", "The equaliser explains"):  # fmt: skip
        assert part in body, part
    residual_level = re.search(r"It lies ([\d.]+) dB below the signal to which it is added", body)
    assert float(residual_level[1]) == pytest.approx(20.0 * math.log10(20.0), abs=0.3)
    assert "Gate" not in body


def test_gates_have_a_column_of_their_own(song):
    body = PageParser(render_page(make_facts(song, song, 8000, eq=settings(gate=0.5)))).text["body"]
    assert "Gate" in body and "0.50" in body and "−1.50 dB" in body  # half of −3


def test_band_curves_match_scipy():
    freq_hz = np.geomspace(20.0, 20_000.0, 50)
    eq = settings()
    rows = zip(eq.freq_hz[0], eq.gain_db[0], eq.q[0], strict=True)
    for curve, (freq, gain_db, q) in zip(band_responses_db(eq, freq_hz), rows, strict=True):
        section = peaking_section(float(freq), float(gain_db), float(q))[None]
        expected = 20.0 * np.log10(np.abs(sosfreqz(section, freq_hz, fs=44_100)[1]))
        np.testing.assert_allclose(curve, expected, atol=0.005)


@pytest.mark.parametrize("gains", [(2.0, -3.0, 1.5, 0.0, 4.0), (0.0, 0.0, 0.0, 0.0, 0.0)])
def test_the_reported_share_is_that_of_the_curve(gains):
    audio, eq = music(5.0, 44_100, 1, seed=3), settings()
    rows = zip(eq.freq_hz[0], eq.gain_db[0], eq.q[0], strict=True)
    after = sosfilt(np.stack([peaking_section(*map(float, row)) for row in rows]), audio, axis=0)
    body = PageParser(render_page(make_facts(audio, after, 44_100, eq=settings(gains)))).text["body"]
    share = int(re.search(r"explains (\d+) % of", body)[1])
    assert share == 0 if not any(gains) else share >= 99


CASES = {
    "silence": (np.zeros((30_000, 2)), 44_100),
    "one second": (music(1.0, 44_100, 1, seed=4), 44_100),
    "two samples": (music(1.0, 44_100, 1, seed=4)[:2], 44_100),
    "mono": (music(4.0, 44_100, 1, seed=5), 44_100),
    "192 kHz": (music(1.5, 192_000, 2, seed=6), 192_000),
    "eight channels": (music(1.5, 8000, 8, seed=7), 8000),
}


@pytest.mark.parametrize("name", CASES)
def test_edges(name):
    audio, rate = CASES[name]
    nothing = {"lufs": math.nan, "true_peak_db": -math.inf, "loudness_range": math.nan, "crest_db": math.nan}
    facts = make_facts(audio, 0.5 * audio, rate)
    bare = FileMeasurements(
        **nothing, sample_rate=rate, channels=audio.shape[1], duration_s=len(audio) / rate, format_name="FLAC"
    )
    text = render_page(ReportData(**{**vars(facts), "before": bare, "after": bare}))
    reader = PageParser(text)
    assert len(reader.all("div", "player")) == 1
    assert len(reader.all("svg", "chart")) == 8
    assert "The spectrum did not change" in reader.text["body"]
    assert "every change is the equaliser's" in reader.text["body"]
    visible = re.sub(r"base64,[^\"]*|<script>.*?</script>", "", text, flags=re.S)
    assert not re.search(r"\b(nan|inf|None)\b", visible)


def test_the_file_is_small_written_whole_and_replaced(tmp_path, song):
    path = tmp_path / "a folder" / "report.html"
    facts = make_facts(song, 0.5 * song, 8000)
    write_report(path, facts)
    write_report(path, facts)
    assert path.read_bytes().decode("utf-8") == render_page(facts)
    assert path.stat().st_size < 6_000_000
    assert [x.name for x in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(CannotWriteError, match="cannot be written"):
        write_report(path / "below a file.html", facts)
