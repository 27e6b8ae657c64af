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

from nmjax import io
from nmjax.analysis.collection import Track
from nmjax.analysis.curves import band_curves_of
from nmjax.analysis.excerpts import spread, typical
from nmjax.analysis.settling import stages
from nmjax.config import Config
from nmjax.dsp.auditory import THIRD_OCTAVES_HZ
from nmjax.inference.network import Network
from nmjax.loudness import k_weighting
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction, build_model

TRACKS = 24  # at most
_SIZE = 1 << 18  # samples of a stretch, 5.9 s


def sensitivity(tracks: Sequence[Track], network: Network) -> dict[str, Float[np.ndarray, "heard output 31"]]:
    """Derivatives of `rendered_gain_db`, `gate`, `octaves` (log2 of the frequency), each by band, of `curve_db` (in
    third octaves) and of later stages' settings (`STAGE_FIELD`, one output) by the level of each third octave of the
    input, of up to TRACKS tracks that sound; empty where none does. Per dB."""
    variables = network.variables
    found = [_jacobian(network.config)(variables, _stretch(tracks[i], network.ears)) for i in spread(tracks, TRACKS)]
    return {name: np.stack([np.asarray(f[name], np.float64) for f in found]) for name in (found[0] if found else ())}


def _stretch(track: Track, ears: int) -> Float[np.ndarray, "time channel"]:
    """At the model's rate and level, in mono for one ear; padded with silence where the track is shorter."""
    audio = typical(track, (_SIZE + 1024) / SAMPLE_RATE)
    audio = io.mono(audio)[:, None] if ears == 1 else np.ascontiguousarray(audio[:, :2])
    audio = io.resampled(audio, track.sound.sample_rate, SAMPLE_RATE)[:_SIZE]
    gain = 10.0 ** ((MODEL_LUFS - track.sound.loudness) / 20.0)
    return np.pad(audio * np.float32(gain), ((0, _SIZE - len(audio)), (0, 0)))


@functools.cache
def _jacobian(config: Config):
    model = build_model(config)

    def jacobian(variables, audio):
        def predict(signal):
            return model.apply(variables, signal[None], method="predict")

        return jacobian_of(predict, audio)

    return jax.jit(jacobian)


def jacobian_of(
    predict: Callable[[Float[Array, "time channel"]], Prediction], audio: Float[Array, "time channel"]
) -> dict[str, Float[Array, "output 31"]]:
    """The derivatives of `sensitivity` for one signal, whose length is even."""

    def moved(gains_db: Float[Array, "31"]) -> dict[str, Array]:
        settings = predict(shaped(audio, gains_db)).settings
        eq = settings.eq
        curve = jnp.sum(band_curves_of(eq.freq_hz[0], eq.rendered_gain_db[0], eq.q[0]), axis=0)
        return {
            "rendered_gain_db": eq.rendered_gain_db[0],
            "gate": eq.gate[0],
            "octaves": jnp.log2(eq.freq_hz[0]),
            "curve_db": curve,
            **stages(settings),
        }

    return jax.jacfwd(moved)(jnp.zeros(len(THIRD_OCTAVES_HZ), jnp.float32))


def shaped(audio: Float[Array, "time channel"], gains_db: Float[Array, "31"]) -> Float[Array, "time channel"]:
    """The signal with a gain in each third octave (interpolated over log frequency, held beyond the ends), at the
    K-weighted power that it had."""
    weights, heard = _weights(audio.shape[0])
    spectrum = jnp.fft.rfft(audio, axis=0)
    gain = jnp.exp(jnp.einsum("fb,b->f", weights, gains_db, precision="highest") * (np.log(10.0) / 20.0))
    power = heard * jnp.sum(spectrum.real**2 + spectrum.imag**2, axis=1)
    before, after = jnp.sum(power), jnp.sum(power * gain**2)
    level = jnp.sqrt(jnp.where(before > 0.0, after / jnp.maximum(before, 1e-20), 1.0))
    return jnp.fft.irfft(spectrum * gain[:, None], audio.shape[0], axis=0) / level


@functools.cache
def _weights(size: int) -> tuple[np.ndarray, np.ndarray]:
    """`[bins, 31]`: how much of each third octave's gain a bin gets, in sum 1; `[bins]`: the K-weighting's power."""
    from scipy.signal import sosfreqz

    freq_hz = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE)
    place = np.interp(
        np.log(np.maximum(freq_hz, 1e-3)), np.log(THIRD_OCTAVES_HZ), np.arange(len(THIRD_OCTAVES_HZ), dtype=np.float64)
    )
    weights = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(len(THIRD_OCTAVES_HZ))[None]))
    response = sosfreqz(k_weighting(SAMPLE_RATE), freq_hz, fs=SAMPLE_RATE)[1]
    return weights.astype(np.float32), (np.abs(response) ** 2).astype(np.float32)
