"""Sensitivity of the predicted settings to the input spectrum, by forward-mode differentiation.

The Jacobian of the settings by the level of each third octave of the input: an excerpt is multiplied in the frequency
domain by gains in dB, and `jax.jacfwd` differentiates the whole network by these gains at 0 dB. As in use, the signal
is normalized to the model's loudness afterwards (K-weighted, ungated).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.analysis.batched_decode import flatten_processors
from nmjax.analysis.collection import Track, evenly_spaced_indices, read_representative_excerpt
from nmjax.analysis.responses import single_row_band_responses_db
from nmjax.audio import reader
from nmjax.audio.k_weighting import k_weighting_power
from nmjax.config import Config
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.mastering.network import Network
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction, build_model

MAX_TRACKS = 24
EXCERPT_SAMPLES = 1 << 18  # 5.9 s


def track_jacobians(tracks: Sequence[Track], network: Network) -> dict[str, Float[np.ndarray, "tracks output 31"]]:
    """Jacobians by the level of each third octave of the input, per dB, of up to `MAX_TRACKS` audible tracks.

    By name: `rendered_gain_db`, `gate` and `log2_freq` (outputs: bands), `eq_response_db` (outputs: third octaves), and
    the settings of processors, as `compressor_ratio` (one output). Empty if no track is audible.
    """
    variables = network.variables
    jacobians = [
        _compiled_jacobian(network.config)(variables, _read_model_excerpt(tracks[i], network.encoder_inputs))  # pyright: ignore[reportArgumentType]  hashable: frozen
        for i in evenly_spaced_indices(tracks, MAX_TRACKS)
    ]
    return {
        name: np.stack([np.asarray(f[name], np.float64) for f in jacobians])
        for name in (jacobians[0] if jacobians else ())
    }


def _read_model_excerpt(track: Track, num_inputs: int) -> Float[np.ndarray, "time channel"]:
    """An excerpt at the model's rate and level, mono for one encoder input, zero-padded if the track is shorter."""
    audio = read_representative_excerpt(track, (EXCERPT_SAMPLES + 1024) / SAMPLE_RATE)
    audio = reader.to_mono(audio)[:, None] if num_inputs == 1 else np.ascontiguousarray(audio[:, :2])
    audio = reader.resample(audio, track.recording.sample_rate, SAMPLE_RATE)[:EXCERPT_SAMPLES]
    gain = 10.0 ** ((MODEL_LUFS - track.recording.loudness_lufs) / 20.0)
    return np.pad(audio * np.float32(gain), ((0, EXCERPT_SAMPLES - len(audio)), (0, 0)))


@functools.cache
def _compiled_jacobian(config: Config):
    model = build_model(config)

    def jacobian(variables, audio):
        def predict(signal):
            return cast(Prediction, model.apply(variables, signal[None], method="predict"))

        return settings_jacobian(predict, audio)

    return jax.jit(jacobian)


def settings_jacobian(
    predict: Callable[[Float[Array, "time channel"]], Prediction], audio: Float[Array, "time channel"]
) -> dict[str, Float[Array, "output 31"]]:
    """The Jacobians of `track_jacobians` for one signal of even length."""

    def settings_at(gains_db: Float[Array, "31"]) -> dict[str, Array]:
        settings = predict(apply_third_octave_gains(audio, gains_db)).settings
        eq = settings.eq
        response = jnp.sum(single_row_band_responses_db(eq.freq_hz[0], eq.rendered_gain_db[0], eq.q[0]), axis=0)
        return {
            "rendered_gain_db": eq.rendered_gain_db[0],
            "gate": eq.gate[0],
            "log2_freq": jnp.log2(eq.freq_hz[0]),
            "eq_response_db": response,
            **flatten_processors(settings),
        }

    return jax.jacfwd(settings_at)(jnp.zeros(len(THIRD_OCTAVES_HZ), jnp.float32))


def apply_third_octave_gains(
    audio: Float[Array, "time channel"], gains_db: Float[Array, "31"]
) -> Float[Array, "time channel"]:
    """The signal with a gain in each third octave, normalized to its original K-weighted power.

    The gains are interpolated over log frequency, and constant beyond the first and the last third octave.
    """
    weights, k_power = _third_octave_weights(audio.shape[0])
    spectrum = jnp.fft.rfft(audio, axis=0)
    gain = jnp.exp(jnp.einsum("fb,b->f", weights, gains_db, precision="highest") * (np.log(10.0) / 20.0))
    power = k_power * jnp.sum(spectrum.real**2 + spectrum.imag**2, axis=1)
    before, after = jnp.sum(power), jnp.sum(power * gain**2)
    level_ratio = jnp.sqrt(jnp.where(before > 0.0, after / jnp.maximum(before, 1e-20), 1.0))
    return jnp.fft.irfft(spectrum * gain[:, None], audio.shape[0], axis=0) / level_ratio


@functools.cache
def _third_octave_weights(size: int) -> tuple[np.ndarray, np.ndarray]:
    """`[bins, 31]`, interpolation weights of the third octaves' gains; `[bins]`, power response of the K-weighting."""
    freq_hz = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE)
    position = np.interp(
        np.log(np.maximum(freq_hz, 1e-3)), np.log(THIRD_OCTAVES_HZ), np.arange(len(THIRD_OCTAVES_HZ), dtype=np.float64)
    )
    weights = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(len(THIRD_OCTAVES_HZ))[None]))
    return weights.astype(np.float32), k_weighting_power(freq_hz, SAMPLE_RATE).astype(np.float32)
