"""Settings in batches equal those of one track at a time; a kill costs little; the tables hold what was said."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from nmjax.analysis import answers, listening, tables
from nmjax.analysis.collection import collected
from nmjax.errors import BadInputError
from nmjax.inference.track import listen
from tests.inference.networks import network
from tests.music import music, write

SECONDS = {"a/1": 0.9, "a/2": 2.3, "b/3": 0.4, "b/4": 1.0}


def silent(_):
    pass


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    root = tmp_path_factory.mktemp("answers")
    for i, (name, seconds) in enumerate(SECONDS.items()):
        write(root / f"{name}.wav", music(seconds, rate=(44_100, 48_000)[i % 2], channels=1 + i % 2, seed=i))
    return collected([root], report=silent)


@pytest.fixture(scope="module")
def asked(tracks, tmp_path_factory):
    out = tmp_path_factory.mktemp("asked")
    assert answers.ask(tracks, network("1c"), out, 1.0, silent) == 4
    return out


@pytest.mark.parametrize("phase", ["1a", "2"])
def test_batches_equal_one_track_at_a_time(tracks, tmp_path, phase):
    answers.ask(tracks, network(phase), tmp_path, None, silent)
    found = answers.read(tracks, network(phase), tmp_path)
    assert found.names == [t.name for t in tracks]
    for i, track in enumerate(tracks):
        alone = listen(track.heard(), network(phase))
        for name, values in found.settings.items():
            stage, _, field = name.partition("_")
            eq = alone.settings.eq
            one = getattr(eq, name) if hasattr(eq, name) else getattr(getattr(alone.settings, stage), field)
            np.testing.assert_allclose(values[i], np.asarray(one)[0], rtol=2e-4, atol=2e-4, err_msg=name)
        np.testing.assert_allclose(found.z[i], np.asarray(alone.z)[0], rtol=1e-3, atol=1e-4)
    assert found.gated == (phase != "1a")
    assert ("compressor_ratio" in found.settings) == (phase == "2")


def test_any_batch_and_core_hear_the_same(tracks):
    means = []
    for core, batch in ((listening.CORE, 4), (listening.GRID * 20, 3)):
        heard = {h.track.name: h.mean for h in listening.heard(tracks, network("1c"), core, batch, silent)}
        means.append(np.stack([heard[t.name] for t in tracks]))
    np.testing.assert_allclose(means[1], means[0], rtol=1e-4, atol=1e-5)


def test_windows_are_settings_of_their_own_frames(tracks, asked):
    core = listening.core_of(1.0)
    found = {t.name: values for t, values in answers.windows(tracks, asked)}
    counts = {name: len(values["freq_hz"]) for name, values in found.items()}
    assert counts == {name: int(np.ceil(s * 44_100 / core)) for name, s in SECONDS.items()}
    heard = next(h for h in listening.heard(tracks[1:2], network("1c"), core, report=silent))
    expected = network("1c").settle(jnp.asarray(heard.window_means[1], jnp.float32)).settings.eq
    np.testing.assert_allclose(found["a/2"]["gain_db"][1], np.asarray(expected.gain_db)[0], rtol=1e-4, atol=1e-4)


def test_what_was_answered_is_not_asked_again(tracks, tmp_path, monkeypatch):
    """A kill in the midst of it: what was saved stays, the rest is listened to."""
    real = listening.heard

    def killed(*arguments, **more):
        for count, found in enumerate(real(*arguments, **more)):
            if count == 2:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(answers.listening, "heard", killed)
    with pytest.raises(KeyboardInterrupt):
        answers.ask(tracks, network("1c"), tmp_path, None, silent)
    monkeypatch.setattr(answers.listening, "heard", real)
    (tmp_path / "parts" / ".000002-abcdefgh.parquet").write_bytes(b"half")  # what a kill leaves of a part
    said = []
    assert answers.ask(tracks, network("1c"), tmp_path, None, said.append) == 2
    assert said == ["2 tracks were answered for before."]
    assert answers.ask(tracks, network("1c"), tmp_path, None, silent) == 0
    assert len(answers.read(tracks, network("1c"), tmp_path).tracks) == 4


def test_answers_of_another_network_or_for_other_windows_are_refused(tracks, asked):
    other = dataclasses.replace(network("1c"), identity="f" * 16)
    for net, seconds in ((other, 1.0), (network("1c"), None)):
        with pytest.raises(BadInputError, match="another network or of other windows"):
            answers.ask(tracks, net, asked, seconds, silent)


def test_a_damaged_part_is_named(tracks, asked, tmp_path):
    part = tmp_path / "parts" / "000001.parquet"
    part.parent.mkdir()
    part.write_bytes((asked / "parts" / "000001.parquet").read_bytes()[:-40])
    with pytest.raises(BadInputError, match=r"000001\.parquet' is damaged; remove it"):
        answers.ask(tracks, network("1c"), tmp_path, 1.0, silent)


def test_a_file_that_went_bad_is_left_out_and_named(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / "songs" / f"{name}.wav", music(0.6, seed=ord(name)), subtype="FLOAT")
    tracks = collected([tmp_path / "songs"], report=silent)
    broken = music(0.6)
    broken[1000] = np.nan
    soundfile.write(tmp_path / "songs" / "b.wav", broken, 44_100, subtype="FLOAT")
    said = []
    answers.ask(tracks, network("1a"), tmp_path / "out", None, said.append)
    assert len(said) == 1
    assert "b.wav' holds samples that are NaN" in said[0]
    assert answers.read(tracks, network("1a"), tmp_path / "out").names == ["a", "c"]


@pytest.mark.parametrize("phase", ["1c", "2"])
def test_the_table_of_all_settings(tracks, tmp_path, phase):
    answers.ask(tracks, network(phase), tmp_path, 1.0, silent)
    found = answers.read(tracks, network(phase), tmp_path)
    tables.save_settings(found, tmp_path, tmp_path / "settings.parquet")
    table = pq.read_table(tmp_path / "settings.parquet")
    stages = 11 * (phase == "2")  # compressor 6, saturator 3, width 2
    assert table.column_names[:10] == [
        "track", "group", "window", "band", "freq_hz", "gain_db", "gate", "rendered_gain_db", "q", "loudness",
    ]  # fmt: skip
    assert len(table.column_names) == 10 + stages
    rows = table.to_pylist()
    windows = sum(len(v["freq_hz"]) for _, v in answers.windows(tracks, tmp_path))
    assert len(rows) == (4 + windows) * (10 + bool(stages))
    whole = [r for r in rows if r["track"] == "a/2" and r["window"] is None]
    assert [r["band"] for r in whole[:10]] == list(range(1, 11))
    assert whole[3]["group"] == "a"
    assert whole[3]["rendered_gain_db"] == pytest.approx(whole[3]["gain_db"] * whole[3]["gate"], rel=1e-5)
    assert whole[3]["freq_hz"] == pytest.approx(found.settings["freq_hz"][1, 3], rel=1e-6)
    assert whole[0]["loudness"] == pytest.approx(tracks[1].sound.loudness, abs=1e-4)
    if stages:
        last = whole[10]
        assert last["band"] is last["freq_hz"] is None
        assert last["compressor_ratio"] == pytest.approx(found.settings["compressor_ratio"][1], rel=1e-6)
        assert whole[0]["compressor_ratio"] is None


def test_csv_cells(tmp_path):
    tables.save_csv([{"a": 1.0 / 3.0, "b": float("nan"), "c": 'x, "y"', "d": 7}], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == 'a,b,c,d\n0.333333,,"x, ""y""",7\n'
