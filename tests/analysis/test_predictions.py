"""Predictions in batches equal those of single tracks; interruptions are resumed; contents of the tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from nmjax.analysis import batched_encode, predictions, tables
from nmjax.analysis.collection import collect_tracks
from nmjax.analysis.predictions import SHARD_DIR
from nmjax.mastering.analysis import predict_settings
from nmjax.runtime.errors import BadInputError
from tests.random_networks import random_network
from tests.synthetic_audio import music, write_audio

SECONDS = {"a/1": 0.9, "a/2": 2.3, "b/3": 0.4, "b/4": 1.0}


def ignore_report(_):
    pass


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    root = tmp_path_factory.mktemp("songs")
    for i, (name, seconds) in enumerate(SECONDS.items()):
        write_audio(root / f"{name}.wav", music(seconds, rate=(44_100, 48_000)[i % 2], channels=1 + i % 2, seed=i))
    return collect_tracks([root], report=ignore_report)


@pytest.fixture(scope="module")
def predictions_dir(tracks, tmp_path_factory):
    out = tmp_path_factory.mktemp("predictions")
    assert predictions.predict_tracks(tracks, random_network("1c"), out, 1.0, ignore_report) == 4
    return out


@pytest.mark.parametrize("phase", ["1a", "2"])
def test_batches_equal_one_track_at_a_time(tracks, tmp_path, phase):
    predictions.predict_tracks(tracks, random_network(phase), tmp_path, None, ignore_report)
    result = predictions.load_predictions(tracks, random_network(phase), tmp_path)
    assert result.track_names == [t.name for t in tracks]
    for i, track in enumerate(tracks):
        alone = predict_settings(track.source_signal(), random_network(phase))
        for name, values in result.settings.items():
            processor, _, field = name.partition("_")
            eq = alone.settings.eq
            one = getattr(eq, name) if hasattr(eq, name) else getattr(getattr(alone.settings, processor), field)
            np.testing.assert_allclose(values[i], np.asarray(one)[0], rtol=2e-4, atol=2e-4, err_msg=name)
        np.testing.assert_allclose(result.z[i], np.asarray(alone.z)[0], rtol=1e-3, atol=1e-4)
    assert result.has_gates == (phase != "1a")
    assert ("compressor_ratio" in result.settings) == (phase == "2")


def test_features_do_not_depend_on_batch_or_window_size(tracks):
    means = []
    for core, batch in ((batched_encode.DEFAULT_CORE, 4), (batched_encode.CORE_MULTIPLE * 20, 3)):
        features = {
            h.track.name: h.track_mean
            for h in batched_encode.encode_tracks(tracks, random_network("1c"), core, batch, ignore_report)
        }
        means.append(np.stack([features[t.name] for t in tracks]))
    np.testing.assert_allclose(means[1], means[0], rtol=1e-4, atol=1e-5)


def test_window_settings_come_from_the_frames_of_the_window(tracks, predictions_dir):
    core = batched_encode.core_samples(1.0)
    result = {t.name: values for t, values in predictions.iter_window_settings(tracks, predictions_dir)}
    counts = {name: len(values["freq_hz"]) for name, values in result.items()}
    assert counts == {name: int(np.ceil(s * 44_100 / core)) for name, s in SECONDS.items()}
    features = next(
        h for h in batched_encode.encode_tracks(tracks[1:2], random_network("1c"), core, report=ignore_report)
    )
    expected = random_network("1c").decode_pooled(np.asarray(features.window_means[1], np.float32)).settings.eq
    np.testing.assert_allclose(result["a/2"]["gain_db"][1], np.asarray(expected.gain_db)[0], rtol=1e-4, atol=1e-4)


def test_interrupted_prediction_resumes_with_the_missing_tracks(tracks, tmp_path, monkeypatch):
    """After an interruption only the tracks that were not saved are predicted."""
    real = batched_encode.encode_tracks

    def killed(*arguments, **more):
        for count, result in enumerate(real(*arguments, **more)):
            if count == 2:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(predictions.batched_encode, "encode_tracks", killed)
    with pytest.raises(KeyboardInterrupt):
        predictions.predict_tracks(tracks, random_network("1c"), tmp_path, None, ignore_report)
    monkeypatch.setattr(predictions.batched_encode, "encode_tracks", real)
    (tmp_path / SHARD_DIR / ".000002-abcdefgh.parquet").write_bytes(b"half")  # left by a killed process
    messages = []
    assert predictions.predict_tracks(tracks, random_network("1c"), tmp_path, None, messages.append) == 2
    assert messages == ["2 tracks were predicted before."]
    assert predictions.predict_tracks(tracks, random_network("1c"), tmp_path, None, ignore_report) == 0
    assert len(predictions.load_predictions(tracks, random_network("1c"), tmp_path).tracks) == 4


def test_predictions_of_another_network_or_window_size_are_rejected(tracks, predictions_dir):
    other = dataclasses.replace(random_network("1c"), checkpoint_digest="f" * 16)
    for net, seconds in ((other, 1.0), (random_network("1c"), None)):
        with pytest.raises(BadInputError, match="another network or of other windows"):
            predictions.predict_tracks(tracks, net, predictions_dir, seconds, ignore_report)


def test_a_damaged_shard_is_named(tracks, predictions_dir, tmp_path):
    shard = tmp_path / SHARD_DIR / "000001.parquet"
    shard.parent.mkdir()
    shard.write_bytes((predictions_dir / SHARD_DIR / "000001.parquet").read_bytes()[:-40])
    with pytest.raises(BadInputError, match=r"000001\.parquet' is damaged; remove it"):
        predictions.predict_tracks(tracks, random_network("1c"), tmp_path, 1.0, ignore_report)


def test_an_unreadable_track_is_skipped_and_reported(tmp_path):
    for name in ("a", "b", "c"):
        write_audio(tmp_path / "songs" / f"{name}.wav", music(0.6, seed=ord(name)), subtype="FLOAT")
    tracks = collect_tracks([tmp_path / "songs"], report=ignore_report)
    broken = music(0.6)
    broken[1000] = np.nan
    soundfile.write(tmp_path / "songs" / "b.wav", broken, 44_100, subtype="FLOAT")
    messages = []
    predictions.predict_tracks(tracks, random_network("1a"), tmp_path / "out", None, messages.append)
    assert len(messages) == 1
    assert "b.wav' holds samples that are NaN" in messages[0]
    assert predictions.load_predictions(tracks, random_network("1a"), tmp_path / "out").track_names == ["a", "c"]


@pytest.mark.parametrize("phase", ["1c", "2"])
def test_settings_table_columns_and_rows(tracks, tmp_path, phase):
    predictions.predict_tracks(tracks, random_network(phase), tmp_path, 1.0, ignore_report)
    result = predictions.load_predictions(tracks, random_network(phase), tmp_path)
    tables.save_settings(result, tmp_path, tmp_path / "settings.parquet")
    table = pq.read_table(tmp_path / "settings.parquet")
    processor_settings = 11 * (phase == "2")  # compressor 6, saturator 3, width 2
    assert table.column_names[:10] == [
        "track",
        "group",
        "window",
        "band",
        "freq_hz",
        "gain_db",
        "gate",
        "rendered_gain_db",
        "q",
        "loudness_lufs",
    ]
    assert len(table.column_names) == 10 + processor_settings
    rows = table.to_pylist()
    windows = sum(len(v["freq_hz"]) for _, v in predictions.iter_window_settings(tracks, tmp_path))
    assert len(rows) == (4 + windows) * (10 + bool(processor_settings))
    whole = [r for r in rows if r["track"] == "a/2" and r["window"] is None]
    assert [r["band"] for r in whole[:10]] == list(range(1, 11))
    assert whole[3]["group"] == "a"
    assert whole[3]["rendered_gain_db"] == pytest.approx(whole[3]["gain_db"] * whole[3]["gate"], rel=1e-5)
    assert whole[3]["freq_hz"] == pytest.approx(result.settings["freq_hz"][1, 3], rel=1e-6)
    assert whole[0]["loudness_lufs"] == pytest.approx(tracks[1].recording.loudness_lufs, abs=1e-4)
    if processor_settings:
        last = whole[10]
        assert last["band"] is last["freq_hz"] is None
        assert last["compressor_ratio"] == pytest.approx(result.settings["compressor_ratio"][1], rel=1e-6)
        assert whole[0]["compressor_ratio"] is None


def test_csv_cells(tmp_path):
    tables.save_csv([{"a": 1.0 / 3.0, "b": float("nan"), "c": 'x, "y"', "d": 7}], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == 'a,b,c,d\n0.333333,,"x, ""y""",7\n'
