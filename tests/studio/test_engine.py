"""Pieces around the play head against the engine's rendering of the whole track."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Bands, Compressor, Saturator, Width
from nmjax.mastering.analysis import SourceSignal, with_input_gain
from nmjax.mastering.delivery.limiter import Limiter
from nmjax.mastering.rendered_track import render_signal
from nmjax.mastering.types import RenderPlan
from nmjax.models.parameters import EqSettings, Prediction, Settings
from nmjax.studio.blocks import block_frames
from nmjax.studio.engine import PieceRenderer, eq_preroll_s
from nmjax.studio.spool import write_spool
from tests.random_networks import random_network
from tests.synthetic_audio import music

LUFS = -23.0


def column(*values):
    return jnp.asarray([values], jnp.float32)


def row(value):
    return jnp.asarray([value], jnp.float32)


EQ = EqSettings(column(60.0, 900.0, 7000.0), column(4.0, -3.0, 2.5), column(0.7, 1.2, 0.9), column(1.0, 1.0, 1.0))
FLAT = dataclasses.replace(EQ, gain_db=column(0.0, 0.0, 0.0))
COMPRESSOR = Compressor(row(-26.0), row(3.0), row(12.0), row(120.0), row(6.0), row(2.0))
SATURATOR = Saturator(row(9.0), row(0.4), row(0.5))
WIDTH = Width(row(0.8), row(1.3))
CHAINS = {
    "nothing": {"eq": FLAT},
    "eq": {"eq": EQ},
    "compressor": {"eq": EQ, "compressor": COMPRESSOR},
    "saturator alone": {"eq": FLAT, "saturator": SATURATOR},
    "all": {"eq": EQ, "compressor": COMPRESSOR, "saturator": SATURATOR, "width": WIDTH},
}


def make_plan(chain, residual_amount=0.0, z=None):
    settings = Settings(input_gain_db=jnp.zeros(1), **chain)
    prediction = with_input_gain(Prediction(settings, z), -20.0 - LUFS)
    return RenderPlan(prediction, 44_100, settings.eq.bands(), residual_amount)


def make_source(tmp_path, seconds=4.1, rate=44_100, channels=2):
    audio = 0.7 * music(seconds, rate, channels).astype(np.float32)
    spool = write_spool(tmp_path / "source.f32", [audio], channels)
    return spool, SourceSignal(spool.chunks, rate, LUFS, spool.frames)


def render_whole(spool, signal, plan, network=None):
    with render_signal(signal, spool.channels, plan, network, folder=spool.path.parent) as rendered:
        return np.concatenate(list(rendered.open_stream()))


def pieces(render, total, lengths=(9_001, 22_050, 4_096, 30_000)):
    """The whole track in pieces of different lengths."""
    parts, start = [], 0
    while start < total:
        frames = min(lengths[len(parts) % len(lengths)], total - start)
        parts.append(render(start, frames))
        start += frames
    return np.concatenate(parts)


def error_db(actual, expected):
    return 20.0 * np.log10(np.abs(actual - expected).max() / np.abs(expected).max() + 1e-30)


@pytest.mark.parametrize(
    "chain", [pytest.param(name, marks=pytest.mark.slow if "saturator" in CHAINS[name] else ()) for name in CHAINS]
)
def test_pieces_are_the_whole(tmp_path, chain):
    spool, signal = make_source(tmp_path)
    plan = make_plan(CHAINS[chain])
    renderer = PieceRenderer(spool, signal)
    renderer.set_plan(plan, None)
    expected = render_whole(spool, signal, plan)
    assert error_db(pieces(renderer.render, spool.frames), expected) <= -120.0
    if chain != "nothing":
        assert error_db(spool.read(0, spool.frames), expected) > -40.0


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1), (22_050, 2)])
def test_pieces_with_the_networks_residual(tmp_path, rate, channels):
    spool, signal = make_source(tmp_path, 2.3, rate, channels)
    network = random_network("1b")
    z = jnp.asarray(np.random.default_rng(0).standard_normal((1, 512)), jnp.float32)
    plan = make_plan({"eq": EQ}, residual_amount=0.7, z=z)
    renderer = PieceRenderer(spool, signal)
    renderer.set_plan(plan, network)
    expected = render_whole(spool, signal, plan, network)
    assert error_db(pieces(renderer.render, spool.frames), expected) <= -100.0
    without = render_whole(spool, signal, dataclasses.replace(plan, residual_amount=0.0))
    assert error_db(without, expected) > -60.0


@pytest.mark.slow
def test_a_piece_after_a_seek(tmp_path):
    """Filters start 1.5 s before the piece at most, the compressor 2 s: their start is forgotten."""
    spool, signal = make_source(tmp_path, 7.0)
    for chain, limit_db in (("eq", -100.0), ("all", -80.0)):
        plan = make_plan(CHAINS[chain])
        renderer = PieceRenderer(spool, signal)
        renderer.set_plan(plan, None)
        start = 5 * 44_100 + 123
        expected = render_whole(spool, signal, plan)[start : start + 11_025]
        assert error_db(renderer.render(start, 11_025), expected) <= limit_db


def test_a_changed_band_is_in_the_next_piece(tmp_path):
    spool, signal = make_source(tmp_path, 6.0)
    renderer = PieceRenderer(spool, signal)
    start, frames = 4 * 44_100, 11_025
    for gain_db in (4.0, -6.0, 0.0, 11.0):
        eq = dataclasses.replace(EQ, gain_db=column(gain_db, -3.0, 2.5))
        plan = make_plan({"eq": eq, "compressor": COMPRESSOR})
        renderer.set_plan(plan, None)
        expected = render_whole(spool, signal, plan)[start : start + frames]
        assert error_db(renderer.render(start, frames), expected) <= -80.0


def test_a_changed_processor_renders_no_equalizer_again(tmp_path, monkeypatch):
    spool, signal = make_source(tmp_path)
    renderer = PieceRenderer(spool, signal)
    renderer.set_plan(make_plan({"eq": EQ, "width": WIDTH}), None)
    renderer.render(20_000, 11_025)
    from nmjax.studio import engine

    def fail(*_):
        raise AssertionError("the equalizer runs again")

    monkeypatch.setattr(engine.EqualizerStage, "process", fail)
    plan = make_plan({"eq": EQ, "width": Width(row(0.5), row(0.5))})
    renderer.set_plan(plan, None)
    piece = renderer.render(20_000, 11_025)
    monkeypatch.undo()
    assert error_db(piece, render_whole(spool, signal, plan)[20_000:31_025]) <= -100.0


@pytest.mark.parametrize("start", [0, 3_000, 90_000])
def test_the_limiter_of_a_piece(tmp_path, start):
    spool, signal = make_source(tmp_path)
    plan = make_plan(CHAINS["eq"])
    renderer = PieceRenderer(spool, signal)
    renderer.set_plan(plan, None)
    gain_db, ceiling_db, frames = 14.0, -1.0, 22_050
    amplified = render_whole(spool, signal, plan) * np.float32(10.0 ** (gain_db / 20.0))
    limited = np.concatenate(list(Limiter(44_100, ceiling_db).limit([amplified])))
    assert np.abs(limited - amplified).max() > 0.1
    actual = renderer.render_delivered(start, frames, gain_db, ceiling_db)
    assert error_db(actual, limited[start : start + frames]) <= (-100.0 if start < 20_000 else -40.0)
    assert np.abs(actual).max() <= 10.0 ** (ceiling_db / 20.0)


@pytest.mark.slow
def test_silence_outside_of_the_track(tmp_path):
    spool, signal = make_source(tmp_path, 1.0)
    renderer = PieceRenderer(spool, signal)
    renderer.set_plan(make_plan(CHAINS["all"]), None)
    before, after = renderer.render(-5_000, 6_000), renderer.render(spool.frames - 1_000, 6_000)
    assert not before[:5_000].any() and before[5_000:].any()
    assert after[:1_000].any() and not after[1_000:].any()
    assert not renderer.render(10 * spool.frames, 500).any()


def test_blocks_are_multiples_of_64_at_every_rate():
    for rate in (8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000):
        assert block_frames(rate) % 64 == 0 and 0.2 * rate < block_frames(rate) <= 0.25 * rate


def test_the_preroll_is_as_long_as_the_filters_ring():
    low = Bands(column(30.0), column(6.0), column(3.0))
    high = Bands(column(5_000.0), column(6.0), column(3.0))
    flat = Bands(column(30.0), column(0.0), column(3.0))
    assert eq_preroll_s(flat) == 0.0
    assert eq_preroll_s(high) < 0.01 < 0.4 < eq_preroll_s(low) <= 1.5
