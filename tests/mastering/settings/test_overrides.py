"""Overrides: amounts, single values, bypass; without any, the prediction is bit-identical."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.audio.streams import scale_stream
from nmjax.dsp import Bands, equalize
from nmjax.dsp.rate_conversion import convert_bands_to_rate
from nmjax.mastering.render import equalize_stream
from nmjax.mastering.settings.overrides import Overrides, apply_overrides
from nmjax.runtime.errors import BadInputError
from tests.dsp.oracles import error_db, noise, peaking_sos, sosfilt_batch
from tests.mastering.settings.test_file import leaves, prediction


def eq_of(controlled):
    return {name: np.asarray(getattr(controlled.settings.eq, name))[0] for name in ("freq_hz", "gain_db", "q", "gate")}


def test_no_overrides_are_bit_identical():
    original = prediction()
    for before, after in zip(leaves(original), leaves(apply_overrides(Overrides(), original)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_amount_scales_decibels_after_single_values():
    original = prediction()
    before, after = (
        eq_of(original),
        eq_of(apply_overrides(Overrides(bands={3: {"gain_db": -8.0}, 1: {"q": 2.5}}, eq_amount=0.5), original)),
    )
    expected = before["gain_db"] / 2
    expected[2] = -4.0
    np.testing.assert_array_equal(after["gain_db"], expected)
    assert after["q"][0] == 2.5
    np.testing.assert_array_equal(after["q"][1:], before["q"][1:])
    np.testing.assert_array_equal(after["freq_hz"], before["freq_hz"])


def test_every_field_can_be_set():
    values = {"freq_hz": 90.0, "gain_db": 1.5, "q": 7.0, "gate": 0.25}
    after = eq_of(apply_overrides(Overrides(bands={2: values}), prediction()))
    assert [after[name][1] for name in ("freq_hz", "gain_db", "q", "gate")] == [90.0, 1.5, 7.0, 0.25]


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("overrides", [Overrides(eq_amount=0.0), Overrides(bypass=frozenset({"eq"}))])
def test_an_equalizer_of_zero_amount_is_bit_identical(overrides, rate):
    result = apply_overrides(overrides, prediction())
    bands = convert_bands_to_rate(result.settings.eq.bands(), 44_100, rate)
    assert not np.signbit(np.asarray(bands.gain_db)).any()
    audio = noise(1, 9_000, 2, level=0.3)
    audio[:50] = 0.0
    audio[60:70] = np.float32(1e-42)  # denormal
    audio[70] = -0.0
    got = np.concatenate(list(equalize_stream([audio[:1000], audio[1000:]], bands, rate)))
    assert got.tobytes() == audio.tobytes()


def test_filters_of_0_db_are_the_identity_even_where_they_run():
    """So one flat band among others adds nothing: float64, and float32 as well."""
    audio = noise(1, 1, 9_000, 2, level=0.3)
    for wide, dtype in ((True, np.float64), (False, np.float32)):
        with jax.enable_x64(wide):
            flat = Bands(*(jnp.asarray([x], dtype) for x in ([62.0, 9e3], [0.0, 0.0], [0.7, 5.0])))
            out, _ = jax.jit(equalize, static_argnums=2)(jnp.asarray(audio.astype(dtype)), flat, 44_100)
            np.testing.assert_array_equal(np.asarray(out), audio)


def test_half_the_amount_matches_scipy_with_half_the_gains():
    original = apply_overrides(Overrides(bands={2: {"gate": 1.0}}, eq_amount=0.5), prediction())
    eq = eq_of(prediction())
    gate = eq["gate"].astype(np.float64)
    gate[1] = 1.0
    audio = noise(2, 1, 20_000, 2)
    expected = sosfilt_batch(audio, peaking_sos(eq["freq_hz"], 0.5 * eq["gain_db"] * gate, eq["q"], 44_100)[None])
    got = np.concatenate(list(equalize_stream([audio[0]], original.settings.eq.bands(), 44_100)))
    assert error_db(got[None], expected) <= -120.0


def test_the_residual_is_scaled_as_a_waveform():
    audio = noise(3, 1000, 2)
    (same,) = scale_stream([audio], Overrides().residual_scale)
    assert same.tobytes() == audio.tobytes()
    (half,) = scale_stream([audio], Overrides(residual_amount=0.5).residual_scale)
    np.testing.assert_array_equal(half, audio / 2)
    assert half.dtype == np.float32
    assert Overrides(residual_amount=1.5, bypass=frozenset({"residual"})).residual_scale == 0.0
    assert Overrides(bypass=frozenset({"residual"})).eq_scale == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bands": {0: {"gain_db": 1.0}}}, "There is no band 0; the first one is 1"),
        ({"bands": {99: {"gain_db": 1.0}}}, "There is no band 99"),
        ({"bands": {3: {"gian_db": 1.0}}}, "A band has no 'gian_db'; did you mean 'gain_db'?"),
        ({"bands": {3: {"x": 1.0}}}, "choose one of: freq_hz, gain_db, q, gate"),
        ({"bands": {3: {"gain_db": 25.0}}}, "Band 3: gain_db is 25 dB; choose -24 to 24 dB"),
        ({"bands": {3: {"q": float("nan")}}}, "Band 3: q is nan; choose 0.1 to 40"),
        ({"bypass": frozenset({"residuals"})}, "'residuals' cannot be bypassed; did you mean 'residual'?"),
        ({"eq_amount": 2.1}, "The EQ amount is 2.1; choose 0 to 2"),
        ({"eq_amount": -0.5}, "choose 0 to 2"),
        ({"residual_amount": float("inf")}, "The residual amount is inf"),
    ],
)
def test_invalid_overrides_are_reported_with_the_choices(values, message):
    with pytest.raises(BadInputError) as error:
        Overrides(**values)
    assert message in str(error.value)


def test_overrides_that_do_not_fit_the_prediction_are_reported():
    with pytest.raises(BadInputError, match="There is no band 11; the last one is 10"):
        apply_overrides(Overrides(bands={11: {"q": 1.0}}), prediction(10))
    high = Overrides(bands={2: {"freq_hz": 23_000.0}})
    with pytest.raises(BadInputError, match="Band 2 is above half the EQ's sample rate, 22050 Hz"):
        apply_overrides(high, prediction())
    apply_overrides(high, prediction(), sample_rate=48_000)
    with pytest.raises(BadInputError, match=r"brings band 4 beyond 24 dB; choose at most 1.20"):
        apply_overrides(Overrides(bands={4: {"gain_db": -20.0}}, eq_amount=1.5), prediction())
