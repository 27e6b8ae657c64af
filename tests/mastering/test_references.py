"""`infer --reference`: settings and files for references of all kinds; invalid references are reported."""

import json
import re

import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import fftconvolve, firwin, sosfilt, sosfreqz

import nmjax
from nmjax.audio import reader
from nmjax.cli.main import main
from nmjax.evaluation.metrics import band_levels_db
from nmjax.mastering.analysis import SourceSignal
from nmjax.mastering.reference_features import features_from_file, read_reference_features
from nmjax.mastering.references import read_excerpts
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.request_readers import read_section_of_file, read_weighted_file
from nmjax.mastering.resolve import resolve_options
from nmjax.models import MODEL_LUFS
from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import peaking_sos
from tests.random_networks import random_network, save_network
from tests.synthetic_audio import music, write_audio

OPTIMIZED_PROGRAMS = True  # see conftest.py
RATE = 44_100


@pytest.fixture(scope="module")
def checkpoint_dir(tmp_path_factory):
    """Run folder of phase 1a."""
    return save_network("1a", tmp_path_factory.mktemp("run"))


def color_audio(audio, rate=RATE):
    """The audio with the tone of a reference."""
    for freq_hz, gain_db, q in ((150.0, 5.0, 0.8), (3000.0, -5.0, 0.7)):
        audio = sosfilt(peaking_sos(freq_hz, gain_db, q, rate)[None], audio, axis=0)
    return audio


def tone_distance_db(one, other):
    levels = [band_levels_db(x.mean(axis=1), "thirds", RATE)[4:] for x in (one, other)]
    return np.std(levels[0] - levels[1])


def curve_db(bands):
    """Response of the bands of a settings file, minus its mean over log frequency."""
    freq_hz = np.geomspace(40.0, 12_000.0, 60)
    sections = np.array([peaking_sos(x["freq_hz"], x["gain_db"], x["q"], RATE) for x in bands])
    result = 20.0 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=RATE)[1]))
    return result - result.mean()


def master_to_audio(track, checkpoint_dir, out, *arguments):
    """Master without delivery by the command line; returns the audio."""
    plain = ["--lufs", "none", "--true-peak", "none", "--quiet", "--force"]
    assert main(["infer", str(track), "--ckpt", str(checkpoint_dir), "-o", str(out), *plain, *arguments]) == 0
    return soundfile.read(str(out), always_2d=True)[0]


@pytest.mark.parametrize(("rate", "channels"), [(RATE, 2), (48_000, 1), (96_000, 6)])
def test_a_track_is_matched_to_a_reference_of_any_format(tmp_path, checkpoint_dir, rate, channels):
    track = write_audio(tmp_path / "a.wav", music(12.0), RATE, "FLOAT")
    reference = reader.resample(color_audio(music(10.0)), RATE, rate)  # the track's tone except for the filters
    reference = {1: reference.mean(axis=1, keepdims=True), 2: reference, 6: np.tile(reference, 3)}[channels]
    reference = write_audio(tmp_path / "ref.wav", reference, rate, "FLOAT")
    reference_arguments = ["--reference", str(reference)]
    before, out = soundfile.read(str(track))[0], tmp_path / "m.wav"
    expected = color_audio(before)
    unmatched = master_to_audio(track, checkpoint_dir, out)
    input_distance_db = tone_distance_db(before, expected)
    result = master_to_audio(track, checkpoint_dir, out, *reference_arguments)
    settings = json.loads(out.with_name(f"{out.name}.json").read_text())
    assert 1 <= len(settings["eq"]["bands"]) <= 10
    assert settings["reference"] == "ref.wav, the same passage, strength 1"
    settings_file = str(out.with_name(f"{out.name}.json"))
    again = master_to_audio(track, checkpoint_dir, tmp_path / "again.wav", "--settings", settings_file)
    np.testing.assert_array_equal(again, result)
    assert tone_distance_db(result, expected) < 0.3 * min(input_distance_db, tone_distance_db(unmatched, expected))


def test_strength_0_is_bit_identical_to_the_prediction(tmp_path, checkpoint_dir):
    track = write_audio(tmp_path / "a.wav", music(5.0), RATE, "FLOAT")
    reference = write_audio(tmp_path / "ref.wav", color_audio(music(5.0, seed=3)), RATE)
    out, reference_arguments = tmp_path / "m.wav", ["--reference", str(reference)]
    unmatched = master_to_audio(track, checkpoint_dir, out)
    for arguments in (["--reference-strength", "0"], ["--reference-weights", "tone=0,dynamics=0,width=0"]):
        np.testing.assert_array_equal(
            master_to_audio(track, checkpoint_dir, out, *reference_arguments, *arguments), unmatched
        )
    half, full = (
        master_to_audio(track, checkpoint_dir, out, *reference_arguments, "--reference-strength", x)
        for x in ("0.5", "1")
    )
    assert 0.0 < np.abs(half - unmatched).max() < np.abs(full - unmatched).max()


def test_a_saved_target_gives_the_same_master_as_its_references(tmp_path, checkpoint_dir):
    track = write_audio(tmp_path / "a.wav", music(5.0), RATE, "FLOAT")
    files = [write_audio(tmp_path / f"r{i}.wav", music(4.0, seed=i), RATE) for i in (3, 4)]
    out, target_path = tmp_path / "m.wav", tmp_path / "house.json"
    reference_arguments = ["--reference", str(files[0]), "--reference", f"{files[1]}=0.5"]
    expected = master_to_audio(track, checkpoint_dir, out, *reference_arguments, "--save-target", str(target_path))
    result = master_to_audio(track, checkpoint_dir, out, "--target", str(target_path))
    assert np.abs(result - expected).max() < 2e-3 * np.abs(expected).max()
    assert json.loads(target_path.read_text())["name"] == "r3.wav, r4.wav"


def test_report_plot_and_target_list_show_the_reference(tmp_path, checkpoint_dir, capsys):
    track = write_audio(tmp_path / "a.wav", music(5.0), RATE)
    reference = write_audio(tmp_path / "re$f<b>.wav", color_audio(music(5.0, seed=3)), RATE)
    page, plot_path, target_path = (tmp_path / name for name in ("r.html", "p.png", "t.json"))
    arguments = ["--report", str(page), "--plot", str(plot_path), "--save-target", str(target_path)]
    master_to_audio(track, checkpoint_dir, tmp_path / "m.wav", "--reference", str(reference), *arguments)
    text = page.read_text()
    assert len(re.findall(r"Target from re\$f&lt;b&gt;\.wav", text)) == 2  # in the chart and its legend
    assert "re$f&lt;b&gt;.wav, mid" in text and "<b>.wav" not in text
    assert plot_path.read_bytes().startswith(b"\x89PNG")
    target_plot = tmp_path / "t.png"
    capsys.readouterr()
    assert main(["targets", str(target_path), "--plot", str(target_plot)]) == 0
    assert "t.json" in capsys.readouterr().out and target_plot.read_bytes().startswith(b"\x89PNG")
    assert main(["targets", str(target_path), "--plot", str(target_plot)]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.fixture(scope="module")
def invalid_files(tmp_path_factory):
    """Folder with a track and with references of which only good.wav is valid; no test writes to it."""
    folder = tmp_path_factory.mktemp("invalid")
    write_audio(folder / "a.wav", music(4.0), RATE)
    write_audio(folder / "good.wav", music(4.0, seed=1), RATE)
    write_audio(folder / "short.wav", music(2.0), RATE)
    write_audio(folder / "moment.wav", music(0.01, rate=48_000), 48_000)  # shorter than a resampler's delay
    write_audio(folder / "silent.wav", np.zeros((4 * RATE, 2)), RATE)
    (folder / "text.wav").write_text("no music")
    (folder / "t.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
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
        (["--reference", "good.wav", "--reference-strength", "much"], "must be a number"),
        (["--reference", "good.wav", "--reference-strength", "nan"], "0 to 1"),
        (["--reference", "good.wav", "--reference-weights", "tome=1"], "tone"),
        (["--reference", "good.wav", "--reference-weights", "tone"], "0 to 1"),
        (["--reference", "good.wav", "--reference-weights", "tone=1,tone=0"], "two weights of tone"),
        (["--reference", "good.wav", "--save-target", "a-mastered.wav.json"], "another file of this run"),
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
        (["--max-boost", "3"], "--reference"),
        (["--reference", "good.wav@3-2"], "end after its start"),
        (["--reference", "good.wav@5:00-5:30"], "4.0 s long"),
        (["--reference", "good.wav@0-2"], "3 s"),
        (["--lufs-from", "none.wav"], "none.wav"),
        (["--lufs", "-9", "--lufs-from", "good.wav"], "give one of them"),
        (["--lufs-from", "good.wav=2"], "weight"),
        (["--lufs-from", "silent.wav"], "silent"),
        (["--allow", "expansion"], "--reference"),
        (["--reference", "good.wav", "--max-boost", "19"], "0 to 18"),
        (["--reference", "good.wav", "--allow", "expander"], "expansion"),
        (["--reference", "good.wav", "--reference-strength", "0", "--max-boost", "3"], "--max-boost"),
        (["--style", "warmm"], "warm"),
        (["--style", "warm", "--reference", "good.wav"], "--reference and --style both name a target"),
        (["--style", "warm", "--target", "t.json"], "--target and --style both name a target"),
        (["--style", "warm", "--same-song"], "no song"),
        (["--style", "warm", "--lufs", "reference"], "no loudness"),
        (["--style", "warm", "--save-target", "x.json"], "nmjax targets"),
    ],
)
def test_invalid_arguments_are_reported(invalid_files, checkpoint_dir, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(invalid_files)
    before = sorted(invalid_files.iterdir())
    assert main(["infer", "a.wav", "--ckpt", str(checkpoint_dir), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(invalid_files.iterdir()) == before


def test_a_dissimilar_section_of_the_song_is_reported(tmp_path, checkpoint_dir, capsys):
    """Tones that differ at all times; then the same section."""
    time = np.arange(8 * RATE) / RATE
    sections = [
        0.1 * np.sin(2 * np.pi * freq_hz * time[:, None] * (1.0 + np.floor(time[:, None]) * step)) + 1e-4 * music(8.0)
        for freq_hz, step in ((140.0, 0.9), (2_100.0, -0.11))
    ]
    one, other = (write_audio(tmp_path / f"{i}.wav", section, RATE, "FLOAT") for i, section in enumerate(sections))
    for reference, is_dissimilar in ((other, True), (one, False)):
        arguments = ["--ckpt", str(checkpoint_dir), "--reference", str(reference), "--same-song", "--force"]
        assert main(["infer", str(one), *arguments]) in (0, 3)
        output = capsys.readouterr().out
        assert ("Low-confidence match: only" in output) is is_dissimilar
        assert ("Choose a section" in output) is is_dissimilar


def test_the_track_itself_is_told_from_a_clean_mix_of_it(tmp_path, checkpoint_dir, capsys):
    """The clean mix differs in the side only, so that its mid has the same levels."""
    audio = music(4.0)
    mid = audio.mean(axis=1, keepdims=True)
    track = write_audio(tmp_path / "a.wav", mid + 0.6 * (audio - mid), RATE, "FLOAT")
    clean_mix = write_audio(tmp_path / "clean.wav", audio, RATE, "FLOAT")
    for reference, is_track in ((track, True), (clean_mix, False)):
        arguments = ["--ckpt", str(checkpoint_dir), "--reference", str(reference), "--same-song", "--force"]
        assert main(["infer", str(track), *arguments, "--lufs", "none"]) == 0
        output = " ".join(capsys.readouterr().out.split())
        assert ("the track itself" in output) is is_track
        assert ("another mix of the same passage" in output) is not is_track


def test_a_mix_of_the_passage_that_begins_at_another_time(tmp_path, checkpoint_dir):
    """The clean mix has other audio before and after the passage; the track begins earlier too."""
    song = music(12.0, seed=1)
    clean = np.concatenate([music(5.0, seed=2), color_audio(song)[2 * RATE :], music(4.0, seed=3)])
    track = write_audio(tmp_path / "a.wav", song, RATE, "FLOAT")
    reference = write_audio(tmp_path / "clean.wav", clean, RATE, "FLOAT")
    result = master_to_audio(track, checkpoint_dir, tmp_path / "m.wav", "--reference", str(reference))
    assert "the same passage" in json.loads((tmp_path / "m.wav.json").read_text())["reference"]
    distances_db = [tone_distance_db(x, color_audio(song)) for x in (song, result)]
    assert distances_db[1] < 0.15 * distances_db[0]


def test_a_style_from_the_command_line_and_from_python(tmp_path, checkpoint_dir):
    audio = music(5.0).astype(np.float32)
    track = write_audio(tmp_path / "a.wav", audio, RATE, "FLOAT")
    result = master_to_audio(track, checkpoint_dir, tmp_path / "m.wav", "--style", "warm")
    settings = json.loads((tmp_path / "m.wav.json").read_text())
    assert settings["reference"] == "the style warm, strength 1"
    again = nmjax.master(audio, RATE, ckpt=checkpoint_dir, style="warm", lufs="none", true_peak="none")
    np.testing.assert_allclose(again.audio, result, atol=1e-6)
    with pytest.raises(BadInputError, match="both name a target"):
        nmjax.master(audio, RATE, ckpt=checkpoint_dir, style="warm", reference=(audio, RATE))


@pytest.mark.parametrize("channels", [(2, 2), (1, 2)])
def test_an_album_is_matched_as_its_concatenated_songs_are(tmp_path, checkpoint_dir, capsys, channels):
    songs = [music(4.0, channels=c, seed=i) for i, c in enumerate(channels)]
    for i, song in enumerate(songs):
        write_audio(tmp_path / "album" / f"{i}.wav", song, RATE, "FLOAT")
    whole = np.concatenate([np.tile(song, 2 // song.shape[1]) for song in songs])
    whole = write_audio(tmp_path / "whole.wav", whole, RATE, "FLOAT")
    reference = write_audio(tmp_path / "ref.wav", color_audio(music(5.0, seed=4)), RATE, "FLOAT")
    master_to_audio(whole, checkpoint_dir, tmp_path / "m.wav", "--reference", str(reference))
    folders = [str(tmp_path / "album"), "--album", "-o", str(tmp_path / "out")]
    assert main(["infer", *folders, "--ckpt", str(checkpoint_dir), "--reference", str(reference)]) in (0, 3)
    one, *both = (
        json.loads(file.read_text())
        for file in (tmp_path / "m.wav.json", *(tmp_path / "out" / f"{i}-mastered.wav.json" for i in (0, 1)))
    )
    assert all(both[0].get(processor) == both[1].get(processor) for processor in ("eq", "compressor", "width"))
    assert both[0]["reference"] == "ref.wav, strength 1"
    curves = [curve_db(x["eq"]["bands"]) for x in (one, both[0])]
    assert np.std(curves[0]) > 1.0
    assert np.std(curves[0] - curves[1]) < 0.1 * np.std(curves[0])


def test_an_album_is_as_wide_as_its_stereo_songs(tmp_path, checkpoint_dir):
    """Mono songs in an album do not make its stereo song wider."""
    stereo = music(4.0, seed=1)
    reference = write_audio(tmp_path / "ref.wav", music(4.0, seed=2), RATE, "FLOAT")
    reference_arguments = ["--reference", str(reference), "--reference-weights", "tone=0,dynamics=0"]
    result = []
    for mono in (0, 3):
        folder, out = tmp_path / f"in{mono}", tmp_path / f"out{mono}"
        write_audio(folder / "a.wav", stereo, RATE, "FLOAT")
        for i in range(mono):
            write_audio(folder / f"m{i}.wav", music(4.0, channels=1, seed=10 + i), RATE, "FLOAT")
        arguments = ["--album", "-o", str(out), "--ckpt", str(checkpoint_dir), *reference_arguments]
        assert main(["infer", str(folder), *arguments]) in (0, 3)
        result.append(json.loads((out / "a-mastered.wav.json").read_text())["width"] or {"low": 1.0, "high": 1.0})
    assert [result[1][x] for x in ("low", "high")] == pytest.approx([result[0][x] for x in ("low", "high")], abs=0.08)


def test_missing_bands_of_the_reference_are_reported_for_each_album_song(tmp_path, checkpoint_dir, capsys):
    write_audio(tmp_path / "in" / "a.wav", music(4.0), RATE)
    write_audio(tmp_path / "in" / "b.wav", music(4.0, seed=1), RATE)
    low = write_audio(tmp_path / "low.wav", reader.resample(music(5.0), RATE, 8_000), 8_000)
    arguments = ["--album", "--json", "-o", str(tmp_path / "out"), "--ckpt", str(checkpoint_dir)]
    assert main(["infer", str(tmp_path / "in"), *arguments, "--reference", str(low)]) in (0, 3)
    songs = json.loads(capsys.readouterr().out)["tracks"]
    assert [sum("4,000 Hz" in note for note in song["notes"]) for song in songs] == [1, 1]


def test_the_master_is_as_loud_as_the_reference(tmp_path, checkpoint_dir):
    track = write_audio(tmp_path / "a.wav", music(4.0), RATE, "FLOAT")
    loud, quiet = (write_audio(tmp_path / f"{x}.wav", x * music(4.0, seed=4), RATE, "FLOAT") for x in (0.5, 0.1))
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    loud_lufs, quiet_lufs = (meter.integrated_loudness(soundfile.read(file)[0]) for file in (loud, quiet))
    out = tmp_path / "m.wav"
    plain = ["--ckpt", str(checkpoint_dir), "-o", str(out), "--force", "--lufs", "reference"]
    for files, expected in (([quiet], quiet_lufs), ([loud, f"{quiet}=3"], 0.25 * loud_lufs + 0.75 * quiet_lufs)):
        references = [argument for file in files for argument in ("--reference", str(file))]
        assert main(["infer", str(track), *plain, *references]) == 0
        assert meter.integrated_loudness(soundfile.read(out)[0]) == pytest.approx(expected, abs=0.1)
    result = nmjax.master(music(4.0), RATE, ckpt=random_network("1a"), reference=str(quiet), lufs="reference")
    assert result.measurements.lufs == pytest.approx(quiet_lufs, abs=0.1)


def test_save_target_with_many_tracks_and_repeated_commands(tmp_path, checkpoint_dir, capsys):
    write_audio(tmp_path / "in" / "a.wav", music(4.0), RATE)
    reference = write_audio(tmp_path / "ref.wav", music(4.0, seed=3), RATE)
    target_path, out = tmp_path / "t.json", tmp_path / "out"
    arguments = ["infer", str(tmp_path / "in"), "--ckpt", str(checkpoint_dir), "-o", str(out)]
    arguments += ["--reference", str(reference)]
    for _ in range(2):
        assert main([*arguments, "--save-target", str(target_path)]) in (0, 3)
    assert target_file.read(target_path)[1] == "ref.wav"
    target_path.write_text(target_path.read_text().replace("ref.wav", "other"))
    assert main([*arguments, "--save-target", str(target_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*arguments, "--save-target", str(out / "a-mastered.wav.json"), "--force"]) == 2
    assert "another file of this run" in capsys.readouterr().err
    write_audio(out / "b-mastered.wav", music(1.0), RATE)  # not written by any run
    write_audio(tmp_path / "in" / "b.wav", music(4.0), RATE)
    assert main([*arguments, "--save-target", str(tmp_path / "new.json")]) == 2
    assert not (tmp_path / "new.json").exists()


def test_a_target_file_without_loudness(tmp_path, checkpoint_dir, capsys):
    track = write_audio(tmp_path / "a.wav", music(4.0), RATE)
    target_path = tmp_path / "t.json"
    target_file.save(target_path, features_from_file(write_audio(tmp_path / "ref.wav", music(4.0, seed=1), RATE)), "it")
    target_path.write_text("".join(x for x in target_path.read_text().splitlines(True) if '"lufs"' not in x))
    arguments = ["infer", str(track), "--ckpt", str(checkpoint_dir), "--target", str(target_path)]
    assert main([*arguments, "--lufs", "reference"]) == 2
    assert "not known" in capsys.readouterr().err
    assert main(arguments) in (0, 3)


def test_a_section_of_a_reference_is_analyzed_alone(tmp_path):
    """Two halves of different tone: a section has the features of its own audio."""
    halves = [music(4.0), color_audio(music(4.0, seed=3))]
    path = write_audio(tmp_path / "ref.wav", np.concatenate(halves), RATE, "FLOAT")
    alone = write_audio(tmp_path / "alone.wav", halves[1], RATE, "FLOAT")
    features, name = read_reference_features(read_weighted_file(f"{path}@0:04-0:08"))
    assert name == "ref.wav@0:04-0:08" and features.seconds == pytest.approx(4.0)
    np.testing.assert_allclose(features.mid_db, features_from_file(alone).mid_db, atol=1e-3)
    target = tmp_path / "t.json"
    target_file.save(target, features, name)
    with pytest.raises(BadInputError, match="no sections"):
        read_reference_features(read_weighted_file(f"{target}@0:04-1:00"))
    for times, verb in (("0:04-1:00", "end by then"), ("1:00-1:10", "begin before that")):
        with pytest.raises(BadInputError, match=f"is 8.0 s long; its section must {verb}"):
            read_reference_features(read_weighted_file(f"{path}@{times}"))


def test_a_section_must_end_where_the_audio_does_whatever_the_header_says(tmp_path):
    path = tmp_path / "ref.mp3"
    soundfile.write(path, music(12.0), RATE, format="MP3")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert read_reference_features(read_weighted_file(f"{path}@0-3"))[0].seconds == pytest.approx(3.0)
    with pytest.raises(BadInputError, match=r"is [34]\.\d s long; its section must end by then"):
        read_reference_features(read_weighted_file(f"{path}@0:01-0:08"))
    with pytest.raises(BadInputError, match=r"ends before its section begins|must begin before that"):
        read_reference_features(read_weighted_file(f"{path}@0:06-0:10"))


@pytest.mark.slow
def test_a_match_of_strength_0_does_not_name_its_reference(tmp_path, capsys):
    track, reference = (
        write_audio(tmp_path / f"{name}.wav", music(6.0, seed=seed), RATE) for seed, name in enumerate("ab")
    )
    assert main(["infer", str(track), "--reference", str(reference), "--reference-strength", "0"]) in (0, 3)
    assert "toward b.wav" not in capsys.readouterr().out


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_bands_above_the_cut_off_of_a_lossy_reference_are_unknown(tmp_path, rate):
    audio = music(8.0, rate=rate)
    taps = firwin(1023, 9_000.0, window=("kaiser", 8.0), fs=rate)
    lossy = fftconvolve(audio, taps[:, None], mode="same", axes=0)
    full, limited = (
        features_from_file(write_audio(tmp_path / f"{i}.wav", x, rate, "FLOAT")) for i, x in enumerate((audio, lossy))
    )
    assert full.max_hz > 21_500.0 and full.known_bands.all()
    assert limited.max_hz == pytest.approx(9_000.0, abs=300.0)
    assert not limited.known_bands[CENTERS_HZ > 10_000.0].any() and limited.known_bands[CENTERS_HZ < 8_000.0].all()


def test_the_tone_of_one_reference_with_the_loudness_of_another(tmp_path):
    loud = write_audio(tmp_path / "loud.wav", 0.7 * music(4.0, seed=2), RATE, "FLOAT")
    expected = pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(soundfile.read(loud)[0])
    options = resolve_options(MasteringRequest(lufs_from=read_section_of_file(f"{loud}@0-4")))
    (spec,) = options.delivery_specs
    assert spec.lufs == pytest.approx(expected, abs=0.1) and spec.name == "custom"


@pytest.mark.slow
def test_a_far_reference_stays_within_the_limits_unless_they_are_raised(tmp_path, checkpoint_dir, capsys):
    """A dull track and a bright, wide reference whose bass is mono: the EQ is measured by SciPy at equal loudness."""
    time = np.arange(6 * RATE) / RATE
    dull = sosfilt(peaking_sos(9_000.0, -14.0, 0.6, RATE)[None], music(6.0), axis=0)
    bright = sosfilt(peaking_sos(9_000.0, 14.0, 0.6, RATE)[None], music(6.0, seed=5), axis=0)
    bright = bright * (0.3 + 0.7 * (np.sin(2.0 * np.pi * time) > 0.9))[:, None]  # far more dynamic
    track = write_audio(tmp_path / "a.wav", dull, RATE, "FLOAT")
    reference = write_audio(tmp_path / "ref.wav", 0.3 * bright, RATE, "FLOAT")
    arguments = ["infer", str(track), "--ckpt", str(checkpoint_dir), "-o", str(tmp_path / "m.wav"), "--force", "--json"]
    freq_hz, tracks = np.geomspace(15.0, 20_000.0, 2_000), []
    for extra in ([], ["--max-boost", "15"]):
        assert main([*arguments, "--reference", str(reference), *extra]) in (0, 3)
        (entry,) = json.loads(capsys.readouterr().out)["tracks"]
        bands = entry["settings"]["eq"]["bands"]
        sections = np.array([peaking_sos(x["freq_hz"], x["gain_db"], x["q"], RATE) for x in bands])
        meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
        change_lu = meter.integrated_loudness(sosfilt(sections, dull, axis=0)) - meter.integrated_loudness(dull)
        response_db = 20.0 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=RATE)[1])) - change_lu
        assert entry["reference"]["boost_db"] == pytest.approx(response_db.max(), abs=0.6)
        tracks.append((entry, response_db))
    (entry, response_db), (_, raised_db) = tracks
    assert response_db.max() <= 6.0 + 1e-3 and response_db[freq_hz < 60.0].max() <= 3.0 + 1e-3
    assert 8.0 < raised_db.max() <= 15.0 + 1e-3
    assert "boost" in entry["reference"]["limits_reached"]
    assert entry["reference"]["after_db"] < 0.8 * entry["reference"]["before_db"]
    assert any("The tone is" in x and "held back by the limits: more boost" in x for x in entry["summary"])
    assert any("--reference-strength" in note for note in entry["notes"])
    assert (entry["settings"]["compressor"] or {"ratio": 1.0})["ratio"] >= 1.0
    assert (entry["settings"]["width"] or {"low": 1.0})["low"] >= 1.0


@pytest.mark.slow
def test_the_side_of_a_reference_is_matched_unless_the_width_is_switched_off(tmp_path, checkpoint_dir):
    """A reference with the track's own mid and a brighter side."""
    audio = music(8.0)
    mid, side = audio.mean(axis=1), 0.5 * (audio[:, 0] - audio[:, 1])
    side = sosfilt(peaking_sos(4_000.0, 8.0, 0.7, RATE)[None], side)
    track = write_audio(tmp_path / "a.wav", audio, RATE, "FLOAT")
    reference = write_audio(tmp_path / "ref.wav", np.stack([mid + side, mid - side], axis=1), RATE, "FLOAT")
    arguments = ["--reference", str(reference)]

    def side_tone_db(x):
        levels = band_levels_db(0.5 * (x[:, 0] - x[:, 1]), "thirds", RATE)[4:]
        return levels - levels.mean()

    target_db = side_tone_db(soundfile.read(reference)[0])
    before_db = np.std(side_tone_db(audio) - target_db)
    result = master_to_audio(track, checkpoint_dir, tmp_path / "m.wav", *arguments)
    assert np.std(side_tone_db(result) - target_db) < 0.5 * before_db
    settings = json.loads((tmp_path / "m.wav.json").read_text())
    assert 1 <= len(settings["eq_side"]["bands"]) <= 6
    master_to_audio(track, checkpoint_dir, tmp_path / "m.wav", *arguments, "--reference-weights", "width=0")
    assert "eq_side" not in json.loads((tmp_path / "m.wav.json").read_text())


def test_a_stage_that_is_left_out_is_not_matched():
    """The side EQ would otherwise make up for a width that is not rendered."""
    for name, aspect in (("eq", "tone"), ("compressor", "dynamics"), ("width", "width")):
        target = resolve_options(MasteringRequest(style="folk", bypass=(name,))).reference_target
        assert {x: getattr(target, x) for x in ("tone", "dynamics", "width")} == {
            x: float(x != aspect) for x in ("tone", "dynamics", "width")
        }


def test_a_silent_track_stays_silent(tmp_path, checkpoint_dir):
    track = write_audio(tmp_path / "a.wav", np.zeros((4 * RATE, 2)), RATE)
    reference = write_audio(tmp_path / "ref.wav", music(4.0), RATE)
    assert not master_to_audio(track, checkpoint_dir, tmp_path / "m.wav", "--reference", str(reference)).any()


@pytest.mark.parametrize("frames", [2, 1_000, 20_000])
def test_very_short_tracks(tmp_path, checkpoint_dir, frames):
    track = write_audio(tmp_path / "a.wav", music(1.0)[:frames], RATE, "FLOAT")
    reference = write_audio(tmp_path / "ref.wav", music(4.0, seed=3), RATE)
    result = master_to_audio(track, checkpoint_dir, tmp_path / "m.wav", "--reference", str(reference))
    assert result.shape == (frames, 2) and np.isfinite(result).all()


def test_the_python_api_gives_the_same_master(tmp_path, checkpoint_dir):
    audio, reference = music(5.0).astype(np.float32), color_audio(music(5.0, seed=3)).astype(np.float32)
    track = write_audio(tmp_path / "a.wav", audio, RATE, "FLOAT")
    file = write_audio(tmp_path / "ref.wav", reference, RATE, "FLOAT")
    expected = master_to_audio(
        track, checkpoint_dir, tmp_path / "m.wav", "--reference", str(file), "--reference-strength", "0.7"
    )
    plain = {"ckpt": random_network("1a"), "lufs": "none", "true_peak": "none", "reference_strength": 0.7}
    for reference_input in (file, str(file), (reference, RATE), [file]):
        result = nmjax.master(audio, RATE, reference=reference_input, **plain).audio
        assert np.abs(result - expected).max() < 1e-5
    for reference_input, message in (
        ((reference[:RATE], RATE), "3 s"),
        ([], "empty"),
        ((0 * reference, RATE), "silent"),
    ):
        with pytest.raises(BadInputError, match=message):
            nmjax.master(audio, RATE, reference=reference_input, **plain)
    with pytest.raises(BadInputError, match="feature"):
        nmjax.master(audio, RATE, reference=file, reference_weights={"tome": 1.0}, **plain)


def test_a_folder_is_mastered_again_when_the_reference_changes(tmp_path, checkpoint_dir, capsys):
    write_audio(tmp_path / "in" / "a.wav", music(4.0), RATE)
    reference = write_audio(tmp_path / "ref.wav", music(4.0, seed=3), RATE)
    arguments = ["infer", str(tmp_path / "in"), "--ckpt", str(checkpoint_dir), "-o", str(tmp_path / "out"), "--json"]

    def count_mastered():
        return [track["status"] for track in json.loads(capsys.readouterr().out)["tracks"]].count("done")

    mastered_counts = []
    for more in ([], [], ["--reference", str(reference)], ["--reference", str(reference)]):
        assert main([*arguments, *more]) in (0, 3)
        mastered_counts.append(count_mastered())
    write_audio(reference, music(4.0, seed=4), RATE)
    assert main([*arguments, "--reference", str(reference)]) in (0, 3)
    mastered_counts.append(count_mastered())
    assert mastered_counts == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("seconds", "shape"), [(60.0, (8, 132_300, 2)), (10.0, (3, 132_300, 2)), (2.0, (1, 88_200, 2))]
)
def test_excerpts_have_few_shapes(seconds, shape):
    """Each shape needs compiled programs of its own."""
    audio = music(seconds)
    excerpts = read_excerpts(SourceSignal(lambda: [audio], 44_100, MODEL_LUFS, len(audio)))
    assert excerpts.shape == shape
    np.testing.assert_allclose(excerpts[0, :1000], audio[:1000], rtol=1e-6)
