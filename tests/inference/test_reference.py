"""`infer.py --reference`: files in, settings and files out; what cannot be used gets a sentence."""

import json
import re

import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import sosfilt, sosfreqz

import nmjax
from nmjax import io
from nmjax.cli import main
from nmjax.errors import BadInputError
from nmjax.evaluation.metrics import band_levels_db
from nmjax.inference.reference import profile_of_file
from nmjax.reference import target
from tests.dsp.oracles import peaking_sos
from tests.inference.networks import network, saved
from tests.music import music, write

RATE = 44_100


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder of phase 1A."""
    return saved("1a", tmp_path_factory.mktemp("run"))


def coloured(audio, rate=RATE):
    """Another tone: what a reference may have."""
    for freq_hz, gain_db, q in ((150.0, 5.0, 0.8), (3000.0, -5.0, 0.7)):
        audio = sosfilt(peaking_sos(freq_hz, gain_db, q, rate)[None], audio, axis=0)
    return audio


def tone_apart_db(one, other):
    levels = [band_levels_db(x.mean(axis=1), "thirds", RATE)[4:] for x in (one, other)]
    return np.std(levels[0] - levels[1])


def curve_db(bands):
    """Of a settings file's bells, less its mean over the octaves."""
    freq_hz = np.geomspace(40.0, 12_000.0, 60)
    sections = np.array([peaking_sos(x["freq_hz"], x["gain_db"], x["q"], RATE) for x in bands])
    found = 20.0 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=RATE)[1]))
    return found - found.mean()


def mastered(track, run, out, *words):
    """By the command line, without delivery; the audio."""
    plain = ["--lufs", "none", "--true-peak", "none", "--quiet", "--force"]
    assert main(["infer", str(track), "--ckpt", str(run), "-o", str(out), *plain, *words]) == 0
    return soundfile.read(str(out), always_2d=True)[0]


@pytest.mark.parametrize(("rate", "channels"), [(RATE, 2), (48_000, 1), (96_000, 6)])
def test_a_track_comes_near_to_a_reference_of_any_kind(tmp_path, run, rate, channels):
    track = write(tmp_path / "a.wav", music(12.0), RATE, "FLOAT")
    reference = io.resampled(coloured(music(10.0)), RATE, rate)  # of the track's own tone but for the filters
    reference = {1: reference.mean(axis=1, keepdims=True), 2: reference, 6: np.tile(reference, 3)}[channels]
    reference = write(tmp_path / "ref.wav", reference, rate, "FLOAT")
    given = ["--reference", str(reference)]
    before, out = soundfile.read(str(track))[0], tmp_path / "m.wav"
    wanted = coloured(before)
    blind, idle = mastered(track, run, out), tone_apart_db(before, wanted)
    found = mastered(track, run, out, *given)
    settings = json.loads(out.with_suffix(".json").read_text())
    assert 1 <= len(settings["eq"]["bands"]) <= 10
    assert settings["reference"] == "ref.wav, strength 1"
    again = mastered(track, run, tmp_path / "again.wav", "--settings", str(out.with_suffix(".json")))
    np.testing.assert_array_equal(again, found)
    assert tone_apart_db(found, wanted) < 0.3 * min(idle, tone_apart_db(blind, wanted))


def test_at_strength_0_it_is_the_networks_answer_to_the_bit(tmp_path, run):
    track = write(tmp_path / "a.wav", music(5.0), RATE, "FLOAT")
    reference = write(tmp_path / "ref.wav", coloured(music(5.0, seed=3)), RATE)
    out, given = tmp_path / "m.wav", ["--reference", str(reference)]
    blind = mastered(track, run, out)
    for words in (["--reference-strength", "0"], ["--reference-weights", "tone=0,dynamics=0,width=0"]):
        np.testing.assert_array_equal(mastered(track, run, out, *given, *words), blind)
    halves = [mastered(track, run, out, *given, "--reference-strength", x) for x in ("0.5", "1")]
    assert 0.0 < np.abs(halves[0] - blind).max() < np.abs(halves[1] - blind).max()


def test_a_target_is_as_good_as_its_reference(tmp_path, run):
    track = write(tmp_path / "a.wav", music(5.0), RATE, "FLOAT")
    files = [write(tmp_path / f"r{i}.wav", music(4.0, seed=i), RATE) for i in (3, 4)]
    out, kept = tmp_path / "m.wav", tmp_path / "house.json"
    given = ["--reference", str(files[0]), "--reference", f"{files[1]}=0.5"]
    wanted = mastered(track, run, out, *given, "--save-target", str(kept))
    found = mastered(track, run, out, "--target", str(kept))
    assert np.abs(found - wanted).max() < 2e-3 * np.abs(wanted).max()
    assert json.loads(kept.read_text())["name"] == "r3.wav, r4.wav"


def test_the_report_the_picture_and_the_list_show_it(tmp_path, run, capsys):
    track = write(tmp_path / "a.wav", music(5.0), RATE)
    reference = write(tmp_path / "re$f<b>.wav", coloured(music(5.0, seed=3)), RATE)
    page, picture, kept = (tmp_path / name for name in ("r.html", "p.png", "t.json"))
    words = ["--report", str(page), "--plot", str(picture), "--save-target", str(kept)]
    mastered(track, run, tmp_path / "m.wav", "--reference", str(reference), *words)
    text = page.read_text()
    assert len(re.findall(r"Asked for by re\$f&lt;b&gt;\.wav", text)) == 1
    assert "re$f&lt;b&gt;.wav, mid" in text and "<b>.wav" not in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    drawn = tmp_path / "t.png"
    capsys.readouterr()
    assert main(["targets", str(kept), "--plot", str(drawn)]) == 0
    assert "t.json" in capsys.readouterr().out and drawn.read_bytes().startswith(b"\x89PNG")
    assert main(["targets", str(kept), "--plot", str(drawn)]) == 2
    assert "--force" in capsys.readouterr().err


def bad(tmp_path):
    """Files by name."""
    write(tmp_path / "a.wav", music(4.0), RATE)
    write(tmp_path / "good.wav", music(4.0, seed=1), RATE)
    write(tmp_path / "short.wav", music(2.0), RATE)
    write(tmp_path / "moment.wav", music(0.01, rate=48_000), 48_000)  # less than a resampler holds back
    write(tmp_path / "silent.wav", np.zeros((4 * RATE, 2)), RATE)
    (tmp_path / "text.wav").write_text("no music")
    (tmp_path / "t.json").write_text("{}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--reference", "short.wav"], "3 s"),
        (["--reference", "moment.wav"], "0.0 s long"),
        (["--reference", "silent.wav"], "silent"),
        (["--reference", "none.wav"], "missing"),
        (["--reference", "text.wav"], "audio"),
        (["--reference", "good.wav=0"], "weight"),
        (["--reference", "good.wav=inf"], "below a million"),
        (["--target", ""], "--target"),
        (["--reference", "good.wav", "--reference-strength", "2"], "0 to 1"),
        (["--reference", "good.wav", "--reference-strength", "much"], "0 to 1"),
        (["--reference", "good.wav", "--reference-strength", "nan"], "0 to 1"),
        (["--reference", "good.wav", "--reference-weights", "tome=1"], "tone"),
        (["--reference", "good.wav", "--reference-weights", "tone"], "0 to 1"),
        (["--reference", "good.wav", "--reference-weights", "tone=1,tone=0"], "two weights of tone"),
        (["--reference", "good.wav", "--save-target", "a-mastered.json"], "another file of this run"),
        (["--reference", "good.wav", "--save-target", "new.json", "--ckpt", "none"], "'none'"),
        (["--target", "t.json", "--save-target", "t.json", "--force"], "another"),
        (["--reference", "good.wav", "--target", "t.json"], "give one of them"),
        (["--reference", "good.wav", "--settings", "m.json"], "give one of them"),
        (["--settings", "m.json", "--lufs", "reference"], "give a number"),
        (["--reference", "good.wav", "--save-target", "t.json"], "--force"),
        (["--reference", "good.wav", "--save-target", "t.txt"], ".json"),
        (["--reference", "good.wav", "-o", "good.wav", "--force"], "good.wav"),
        (["--target", "t.json"], "t.json"),
        (["--target", "none.json"], "none.json"),
        (["--save-target", "x.json"], "--reference"),
        (["--same-song"], "--reference"),
        (["--lufs", "reference"], "--reference"),
        (["--reference-strength", "0.5"], "--reference"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(tmp_path, run, monkeypatch, capsys, words, said):
    bad(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["infer", "a.wav", "--ckpt", str(run), *words]) == 2
    said_of_it = capsys.readouterr().err
    assert said in said_of_it and said_of_it.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_part_that_plays_something_else_is_said_to_say_little(tmp_path, run, capsys):
    """Tones that come and go at other places in both; and then the very same."""
    time = np.arange(8 * RATE) / RATE
    parts = [
        0.1 * np.sin(2 * np.pi * freq_hz * time[:, None] * (1.0 + np.floor(time[:, None]) * step)) + 1e-4 * music(8.0)
        for freq_hz, step in ((140.0, 0.9), (2_100.0, -0.11))
    ]
    one, other = (write(tmp_path / f"{i}.wav", part, RATE, "FLOAT") for i, part in enumerate(parts))
    for reference, little in ((other, True), (one, False)):
        words = ["--ckpt", str(run), "--reference", str(reference), "--same-song", "--force"]
        assert main(["infer", str(one), *words]) == 0
        assert ("comes again" in capsys.readouterr().out) is little


def test_the_track_itself_is_named_and_little_changes(tmp_path, run, capsys):
    track = write(tmp_path / "a.wav", music(6.0), RATE, "FLOAT")
    assert main(["infer", str(track), "--ckpt", str(run), "--reference", str(track), "--lufs", "none"]) == 0
    assert "the track itself" in capsys.readouterr().out


@pytest.mark.parametrize("channels", [(2, 2), (1, 2)])
def test_an_album_is_brought_near_as_its_songs_in_a_row_are(tmp_path, run, capsys, channels):
    songs = [music(6.0, channels=c, seed=i) for i, c in enumerate(channels)]
    for i, song in enumerate(songs):
        write(tmp_path / "album" / f"{i}.wav", song, RATE, "FLOAT")
    row = np.concatenate([np.tile(song, 2 // song.shape[1]) for song in songs])
    row = write(tmp_path / "row.wav", row, RATE, "FLOAT")
    given = ["--reference", str(write(tmp_path / "ref.wav", coloured(music(10.0, seed=4)), RATE, "FLOAT"))]
    mastered(row, run, tmp_path / "m.wav", *given)
    mastered_album = ["infer", str(tmp_path / "album"), "--album", "--ckpt", str(run), "-o", str(tmp_path / "out")]
    assert main([*mastered_album, *given]) == 0
    one, *both = (
        json.loads(file.read_text())
        for file in (tmp_path / "m.json", *(tmp_path / "out" / f"{i}-mastered.json" for i in (0, 1)))
    )
    assert all(both[0].get(part) == both[1].get(part) for part in ("eq", "compressor", "width"))
    assert both[0]["reference"] == "ref.wav, strength 1"
    curves = [curve_db(x["eq"]["bands"]) for x in (one, both[0])]
    assert np.std(curves[0]) > 1.0
    assert np.std(curves[0] - curves[1]) < 0.1 * np.std(curves[0])


def test_an_album_is_as_wide_as_its_stereo_songs(tmp_path, run):
    """Mono songs beside it make the one that has a width no wider; a song that is cut short is no end."""
    stereo = music(8.0, seed=1)
    reference = write(tmp_path / "ref.wav", music(8.0, seed=2), RATE, "FLOAT")
    given = ["--reference", str(reference), "--reference-weights", "tone=0,dynamics=0", "--ckpt", str(run)]
    found = []
    for mono in (0, 3):
        folder, out = tmp_path / f"in{mono}", tmp_path / f"out{mono}"
        write(folder / "a.wav", stereo, RATE, "FLOAT")
        for i in range(mono):
            write(folder / f"m{i}.wav", music(8.0, channels=1, seed=10 + i), RATE, "FLOAT")
        assert main(["infer", str(folder), "--album", "-o", str(out), *given]) == 0
        found.append(json.loads((out / "a-mastered.json").read_text())["width"] or {"low": 1.0, "high": 1.0})
    assert [found[1][x] for x in ("low", "high")] == pytest.approx([found[0][x] for x in ("low", "high")], abs=0.08)


def test_what_an_albums_reference_lacks_is_said_for_each_song(tmp_path, run, capsys):
    write(tmp_path / "in" / "a.wav", music(4.0), RATE)
    write(tmp_path / "in" / "b.wav", music(4.0, seed=1), RATE)
    low = write(tmp_path / "low.wav", io.resampled(music(5.0), RATE, 8_000), 8_000)
    words = ["--album", "--json", "-o", str(tmp_path / "out"), "--ckpt", str(run), "--reference", str(low)]
    assert main(["infer", str(tmp_path / "in"), *words]) == 0
    songs = json.loads(capsys.readouterr().out)["done"]
    assert [["4,000 Hz" in note for note in song["notes"]] for song in songs] == [[True], [True]]


def test_the_master_is_as_loud_as_the_reference(tmp_path, run):
    track = write(tmp_path / "a.wav", music(6.0), RATE, "FLOAT")
    loud, quiet = (write(tmp_path / f"{x}.wav", x * music(6.0, seed=4), RATE, "FLOAT") for x in (0.5, 0.1))
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    two = [meter.integrated_loudness(soundfile.read(file)[0]) for file in (loud, quiet)]
    for files, wanted in (([quiet], two[1]), ([loud, f"{quiet}=3"], 0.25 * two[0] + 0.75 * two[1])):
        words = [word for file in files for word in ("--reference", str(file))]
        out = tmp_path / "m.wav"
        assert (
            main(["infer", str(track), "--ckpt", str(run), "-o", str(out), "--force", *words, "--lufs", "reference"])
            == 0
        )
        assert meter.integrated_loudness(soundfile.read(out)[0]) == pytest.approx(wanted, abs=0.1)
    found = nmjax.master(music(6.0), RATE, ckpt=network("1a"), reference=str(quiet), lufs="reference")
    assert found.measurements.lufs == pytest.approx(two[1], abs=0.1)


def test_a_target_is_kept_by_many_tracks_and_by_the_same_command_again(tmp_path, run, capsys):
    write(tmp_path / "in" / "a.wav", music(4.0), RATE)
    reference, kept, out = write(tmp_path / "ref.wav", music(4.0, seed=3), RATE), tmp_path / "t.json", tmp_path / "out"
    words = ["infer", str(tmp_path / "in"), "--ckpt", str(run), "-o", str(out), "--reference", str(reference)]
    for _ in range(2):
        assert main([*words, "--save-target", str(kept)]) == 0
    assert target.read(kept)[1] == "ref.wav"
    kept.write_text(kept.read_text().replace("ref.wav", "other"))
    assert main([*words, "--save-target", str(kept)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*words, "--save-target", str(out / "a-mastered.json"), "--force"]) == 2
    assert "another file of this run" in capsys.readouterr().err
    write(out / "b-mastered.wav", music(1.0), RATE)  # that no run wrote
    write(tmp_path / "in" / "b.wav", music(4.0), RATE)
    assert main([*words, "--save-target", str(tmp_path / "new.json")]) == 2
    assert not (tmp_path / "new.json").exists()


def test_an_older_target_file_does_not_say_how_loud_it_is(tmp_path, run, capsys):
    track = write(tmp_path / "a.wav", music(4.0), RATE)
    kept = tmp_path / "t.json"
    target.save(kept, profile_of_file(write(tmp_path / "ref.wav", music(4.0, seed=1), RATE)), "it")
    kept.write_text("".join(x for x in kept.read_text().splitlines(True) if '"lufs"' not in x))
    assert main(["infer", str(track), "--ckpt", str(run), "--target", str(kept), "--lufs", "reference"]) == 2
    assert "not known" in capsys.readouterr().err
    assert main(["infer", str(track), "--ckpt", str(run), "--target", str(kept)]) == 0


def test_a_silent_track_stays_silent(tmp_path, run):
    track = write(tmp_path / "a.wav", np.zeros((4 * RATE, 2)), RATE)
    reference = write(tmp_path / "ref.wav", music(4.0), RATE)
    assert not mastered(track, run, tmp_path / "m.wav", "--reference", str(reference)).any()


@pytest.mark.parametrize("frames", [2, 1_000, 20_000])
def test_a_track_that_is_hardly_one_works(tmp_path, run, frames):
    track = write(tmp_path / "a.wav", music(1.0)[:frames], RATE, "FLOAT")
    reference = write(tmp_path / "ref.wav", music(4.0, seed=3), RATE)
    found = mastered(track, run, tmp_path / "m.wav", "--reference", str(reference))
    assert found.shape == (frames, 2) and np.isfinite(found).all()


def test_from_python_it_is_the_same(tmp_path, run):
    audio, reference = music(5.0).astype(np.float32), coloured(music(5.0, seed=3)).astype(np.float32)
    track = write(tmp_path / "a.wav", audio, RATE, "FLOAT")
    file = write(tmp_path / "ref.wav", reference, RATE, "FLOAT")
    wanted = mastered(track, run, tmp_path / "m.wav", "--reference", str(file), "--reference-strength", "0.7")
    plain = {"ckpt": network("1a"), "lufs": "none", "true_peak": "none", "reference_strength": 0.7}
    for given in (file, str(file), (reference, RATE), [file]):
        found = nmjax.master(audio, RATE, reference=given, **plain).audio
        assert np.abs(found - wanted).max() < 1e-5
    for given, said in (((reference[:RATE], RATE), "3 s"), ([], "empty"), ((0 * reference, RATE), "silent")):
        with pytest.raises(BadInputError, match=said):
            nmjax.master(audio, RATE, reference=given, **plain)
    with pytest.raises(BadInputError, match="feature"):
        nmjax.master(audio, RATE, reference=file, reference_weights={"tome": 1.0}, **plain)


def test_a_folder_is_mastered_again_when_the_reference_changes(tmp_path, run, capsys):
    write(tmp_path / "in" / "a.wav", music(4.0), RATE)
    reference = write(tmp_path / "ref.wav", music(4.0, seed=3), RATE)
    words = ["infer", str(tmp_path / "in"), "--ckpt", str(run), "-o", str(tmp_path / "out"), "--json"]
    done = []
    for more in ([], [], ["--reference", str(reference)], ["--reference", str(reference)]):
        assert main([*words, *more]) == 0
        done.append(len(json.loads(capsys.readouterr().out)["done"]))
    write(reference, music(4.0, seed=4), RATE)
    assert main([*words, "--reference", str(reference)]) == 0
    done.append(len(json.loads(capsys.readouterr().out)["done"]))
    assert done == [1, 0, 1, 0, 1]
