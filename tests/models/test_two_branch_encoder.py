"""The two-branch encoder: the sum of its branches, silence at the start, chunks, padding and short signals."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nmjax.models.encoder import Encoder
from nmjax.models.spectral_encoder import SpectralEncoder
from nmjax.models.two_branch_encoder import MARGIN, STRIDE, TwoBranchEncoder

from .helpers import assert_padding_has_no_effect, init_shapes, noise, peak_error_db, random_variables

MODEL = TwoBranchEncoder(width=0.25)
VARIABLES = random_variables(init_shapes(MODEL, noise((1, 64, 1))), seed=1)
SAMPLES = 8 * STRIDE  # whole frames, so that the mean of means is the mean


@jax.jit
def encode_frames(audio, lengths=None):
    return MODEL.apply(VARIABLES, audio, lengths, method="frames")


def branch(name):
    return {kind: tree[name] for kind, tree in VARIABLES.items() if name in tree}


def test_z_is_the_sum_of_the_branches():
    audio = 0.1 * noise((2, SAMPLES, 1))
    waveform = Encoder(width=0.25).apply(branch("waveform"), audio)
    spectral = SpectralEncoder().apply(branch("spectral"), audio)
    assert peak_error_db(MODEL.apply(VARIABLES, audio), waveform + spectral) <= -90.0


def test_the_waveform_branch_adds_nothing_until_it_is_trained():
    audio = 0.1 * noise((1, SAMPLES, 1))
    variables = MODEL.init(jax.random.key(3), audio)
    spectral = SpectralEncoder().apply({"params": variables["params"]["spectral"]}, audio)
    assert peak_error_db(MODEL.apply(variables, audio), spectral) <= -100.0


@pytest.mark.parametrize("samples", [1, 700, STRIDE + 1, 5 * STRIDE + 333])
def test_padding_has_no_effect(samples):
    """The last frame is the mean over its own samples, however few."""
    assert_padding_has_no_effect(MODEL, VARIABLES, samples, STRIDE)


def test_a_frame_depends_on_the_margin_at_most():
    audio = 0.1 * noise((1, 16 * STRIDE, 1))
    frame = 8
    before, after = frame * STRIDE - MARGIN, (frame + 1) * STRIDE + MARGIN
    outside = audio.at[:, :before].set(0.5).at[:, after:].set(-0.5)
    np.testing.assert_allclose(encode_frames(outside)[:, frame], encode_frames(audio)[:, frame], atol=1e-5)
