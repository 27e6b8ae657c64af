"""The validation step: a pure function, one compiled program."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from nmjax.config import Config
from nmjax.dsp import response_db, third_octave_spectrum_db
from nmjax.models import SAMPLE_RATE, Prediction, build_model
from nmjax.training import degrade
from nmjax.training.random_inputs import draw_uniforms
from nmjax.training.step import VALIDATION_FOLD, Batch, Metrics, crop_segment, make_pair, signal_objective

RESPONSE_HZ = np.geomspace(20.0, 20_000.0, 200)


@cache
def make_validation_step(config: Config) -> Callable[[dict, Batch], tuple[Metrics, Batch]]:
    """The function `(variables, batch) → (metrics, sample)`, with the same degradations every time, not augmented.

    Metrics are the signal terms of the output and, with the prefix `identity/`, those of the unprocessed input. The
    sample is of the first excerpt: `input`, `output`, `target` `[time, channel]`; `eq_response_db` `[points]`, the
    equalizer's response at RESPONSE_HZ; `target_response_db` `[31]`, the third-octave levels of the target's mid
    relative to those of the input's.
    """
    model = build_model(config)

    def step(variables: dict, batch: Batch) -> tuple[Metrics, Batch]:
        key = jax.random.fold_in(jax.random.key(config.seed), VALIDATION_FOLD)
        draws = draw_uniforms(key, batch["number"], degrade.degradation_shapes(config.degrade))
        pair = make_pair(batch, draws, config)
        segment = crop_segment(pair, jnp.full(len(pair.source), 0.5), config)
        output, prediction = typing.cast(
            tuple[Array, Prediction],
            model.apply(variables, pair.source, pair.lengths, segment=(segment.source, segment.lengths)),
        )
        eq = prediction.settings.eq
        signal, terms = signal_objective(output, segment, eq.bands(), config)
        identity_signal, identity_terms = signal_objective(segment.source, segment, None, config)
        metrics = {
            "signal": signal,
            **terms,
            "identity/signal": identity_signal,
            **{f"identity/{name}": value for name, value in identity_terms.items()},
            "rendered_gain_db": jnp.mean(jnp.abs(eq.rendered_gain_db)),
        }
        target_level_db, source_level_db = (
            third_octave_spectrum_db(audio[:1], SAMPLE_RATE)[0, 0] for audio in (segment.target, segment.source)
        )
        sample = {
            "input": segment.source[0],
            "output": output[0],
            "target": segment.target[0],
            "eq_response_db": response_db(eq.bands(), jnp.asarray(RESPONSE_HZ, jnp.float32), SAMPLE_RATE)[0],
            "target_response_db": target_level_db - source_level_db,
        }
        return metrics, sample

    return step
