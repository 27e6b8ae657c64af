"""What a network listens to: by how much its settings move where one third octave of the input is a decibel louder.

The derivative is forward mode (`jax.jacfwd`) through the whole network, with the input's spectrum as the way in: a
stretch of the track is multiplied, in the frequency domain, by gains that are 0 dB, and what the settings' derivatives
by these gains are is asked. As in use, the signal is brought back to the model's loudness afterwards (K-weighted,
without gates).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.analysis.batched_decode import flatten_processors
from nmjax.analysis.collection import Track
from nmjax.analysis.curves import single_row_band_responses_db
from nmjax.analysis.excerpts import evenly_spaced_indices, read_typical_excerpt
from nmjax.audio import reader
from nmjax.audio.k_weighting import k_weighting_sos
from nmjax.config import Config
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.mastering.network import Network
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction, build_model

MAX_TRACKS = 24  # at most
_EXCERPT_SAMPLES = 1 << 18  # samples of a stretch, 5.9 s


def track_jacobians(tracks: Sequence[Track], network: Network) -> dict[str, Float[np.ndarray, "heard output 31"]]:
    """Derivatives of `rendered_gain_db`, `gate`, `octaves` (log2 of the frequency), each by band, of `curve_db` (in
    third octaves) and of later stages' settings (`STAGE_FIELD`, one output) by the level of each third octave of the
    input, of up to TRACKS tracks that sound; empty where none does. Per dB."""
    variables = network.variables
    jacobians = [
        _compiled_jacobian(network.config)(variables, _read_model_excerpt(tracks[i], network.encoder_inputs))
        for i in evenly_spaced_indices(tracks, MAX_TRACKS)
    ]
    return {
        name: np.stack([np.asarray(f[name], np.float64) for f in jacobians])
        for name in (jacobians[0] if jacobians else ())
    }


def _read_model_excerpt(track: Track, num_inputs: int) -> Float[np.ndarray, "time channel"]:
    """At the model's rate and level, in mono for one ear; padded with silence where the track is shorter."""
    audio = read_typical_excerpt(track, (_EXCERPT_SAMPLES + 1024) / SAMPLE_RATE)
    audio = reader.to_mono(audio)[:, None] if num_inputs == 1 else np.ascontiguousarray(audio[:, :2])
    audio = reader.resample(audio, track.recording.sample_rate, SAMPLE_RATE)[:_EXCERPT_SAMPLES]
    gain = 10.0 ** ((MODEL_LUFS - track.recording.loudness_lufs) / 20.0)
    return np.pad(audio * np.float32(gain), ((0, _EXCERPT_SAMPLES - len(audio)), (0, 0)))


@functools.cache
def _compiled_jacobian(config: Config):
    model = build_model(config)

    def jacobian(variables, audio):
        def predict(signal):
            return model.apply(variables, signal[None], method="predict")

        return settings_jacobian(predict, audio)

    return jax.jit(jacobian)


def settings_jacobian(
    predict: Callable[[Float[Array, "time channel"]], Prediction], audio: Float[Array, "time channel"]
) -> dict[str, Float[Array, "output 31"]]:
    """The derivatives of `sensitivity` for one signal, whose length is even."""

    def settings_at(gains_db: Float[Array, "31"]) -> dict[str, Array]:
        settings = predict(apply_third_octave_gains(audio, gains_db)).settings
        eq = settings.eq
        response = jnp.sum(single_row_band_responses_db(eq.freq_hz[0], eq.rendered_gain_db[0], eq.q[0]), axis=0)
        return {
            "rendered_gain_db": eq.rendered_gain_db[0],
            "gate": eq.gate[0],
            "octaves": jnp.log2(eq.freq_hz[0]),
            "curve_db": response,
            **flatten_processors(settings),
        }

    return jax.jacfwd(settings_at)(jnp.zeros(len(THIRD_OCTAVES_HZ), jnp.float32))


def apply_third_octave_gains(
    audio: Float[Array, "time channel"], gains_db: Float[Array, "31"]
) -> Float[Array, "time channel"]:
    """The signal with a gain in each third octave (interpolated over log frequency, held beyond the ends), at the
    K-weighted power that it had."""
    weights, k_power = _third_octave_weights(audio.shape[0])
    spectrum = jnp.fft.rfft(audio, axis=0)
    gain = jnp.exp(jnp.einsum("fb,b->f", weights, gains_db, precision="highest") * (np.log(10.0) / 20.0))
    power = k_power * jnp.sum(spectrum.real**2 + spectrum.imag**2, axis=1)
    before, after = jnp.sum(power), jnp.sum(power * gain**2)
    level_ratio = jnp.sqrt(jnp.where(before > 0.0, after / jnp.maximum(before, 1e-20), 1.0))
    return jnp.fft.irfft(spectrum * gain[:, None], audio.shape[0], axis=0) / level_ratio


@functools.cache
def _third_octave_weights(size: int) -> tuple[np.ndarray, np.ndarray]:
    """`[bins, 31]`: how much of each third octave's gain a bin gets, in sum 1; `[bins]`: the K-weighting's power."""
    from scipy.signal import sosfreqz

    freq_hz = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE)
    position = np.interp(
        np.log(np.maximum(freq_hz, 1e-3)), np.log(THIRD_OCTAVES_HZ), np.arange(len(THIRD_OCTAVES_HZ), dtype=np.float64)
    )
    weights = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(len(THIRD_OCTAVES_HZ))[None]))
    response = sosfreqz(k_weighting_sos(SAMPLE_RATE), freq_hz, fs=SAMPLE_RATE)[1]
    return weights.astype(np.float32), (np.abs(response) ** 2).astype(np.float32)
