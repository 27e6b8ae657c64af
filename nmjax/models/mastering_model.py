"""The phases put together: encoder → settings → equaliser, and the residual beside it."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from nmjax.config import Config
from nmjax.dsp import equalize
from nmjax.models import encoder, spectral_encoder
from nmjax.models.decoder import AdaptiveDecoder, ParametricDecoder
from nmjax.models.encoder import Encoder
from nmjax.models.layers import apply_mask, length_mask
from nmjax.models.parameters import EqSettings, Prediction, at_model_level
from nmjax.models.processors import ProcessorDecoders, apply_chain
from nmjax.models.residual import Residual
from nmjax.models.spectral_encoder import SpectralEncoder

SAMPLE_RATE = 44_100  # Hz, the model's rate
MODEL_LUFS = -20.0  # every signal is brought here before the model
PHASES = ("1a", "1b", "1c", "2")
GATED_PHASES = ("1c", "2")  # ten bands with gates in place of five
ENCODERS = {"tcn": encoder, "spectral": spectral_encoder}  # modules: STRIDE and MARGIN (samples) and frame_count


class MasteringModel(nn.Module):
    """One phase: 1a EQ(x); 1b EQ(x) + residual(x, z); 1c gated EQ(x) + residual(x, z);
    2 the stages' chain on gated EQ(x), + residual(x, z): SPEC's EQ(x) + R with R = chain(EQ(x)) − EQ(x) + residual.

    Signals are at the model's rate and level. Untrained, every phase is the identity to the bit.

    phase: one of PHASES. width: scales encoder and residual. frequency_map, dropout: see ParametricDecoder.
    momentum: of the running BatchNorm statistics. dtype: of the arithmetic in encoder and residual (`float32` or
    `bfloat16`); parameters, statistics, settings and signals are float32. remat: of encoder and residual keep only the
    blocks' inputs for the gradient and compute the blocks again: less memory, more work. encoder_kind: `tcn` (the
    waveform) or `spectral` (long-term levels; width, dtype and remat are the residual's alone then). frozen: parts
    ("encoder", "decoder", "residual") that run in training as they do in mastering: no dropout, running statistics.
    skips: of the residual.

    Raises:
        ValueError: another phase, frequency map or encoder.
    """

    phase: str = "1a"
    width: float = 1.0
    frequency_map: str = "log"
    dropout: float = 0.2
    bn_momentum: float = 0.99
    dtype: str = "float32"
    remat: bool = False
    encoder_kind: str = "tcn"
    frozen: tuple[str, ...] = ()
    skips: bool = True

    def setup(self):
        if self.phase not in PHASES:
            raise ValueError(f"phase must be one of {', '.join(PHASES)}; it is '{self.phase}'")
        decoder = AdaptiveDecoder if self.phase in GATED_PHASES else ParametricDecoder
        network_args = {"width": self.width, "bn_momentum": self.bn_momentum, "dtype": self.dtype, "remat": self.remat}
        if self.encoder_kind not in ENCODERS:
            raise ValueError(f"encoder_kind must be one of {', '.join(ENCODERS)}; it is '{self.encoder_kind}'")
        self.encoder = Encoder(**network_args) if self.encoder_kind == "tcn" else SpectralEncoder()
        self.decoder = decoder(self.frequency_map, self.dropout)
        if self.phase != "1a":
            self.residual = Residual(**network_args, skips=self.skips)
        if self.uses_side:
            self.processors = ProcessorDecoders()

    @property
    def uses_side(self) -> bool:
        """Whether the encoder listens to mid and to side; the other phases listen to mid alone."""
        return self.phase == "2"

    def decode(
        self, z: Float[Array, "batch 512"], train: bool = False, z_side: Float[Array, "batch 512"] | None = None
    ) -> Prediction:
        """Settings from z; the width's from both z, for phase 2."""
        eq, gate_logit = self.decoder(z, self._is_training("decoder", train))
        prediction = Prediction(at_model_level(eq), z, gate_logit, z_side)
        if not self.uses_side:
            return prediction
        return prediction.replace(settings=prediction.settings.replace(**self.processors(z, z_side)))

    def predict(
        self,
        audio: Float[Array, "batch time channel"],
        lengths: Int[Array, " batch"] | None = None,
        train: bool = False,
    ) -> Prediction:
        """Settings for a signal; the encoder listens to the mean of its channels, and in phase 2 to the side."""
        encoder_inputs = [jnp.mean(audio, axis=2, keepdims=True)]
        if self.uses_side:
            encoder_inputs.append(
                0.5 * (audio[:, :, :1] - audio[:, :, 1:]) if audio.shape[2] == 2 else jnp.zeros_like(encoder_inputs[0])
            )
            lengths = None if lengths is None else jnp.tile(lengths, 2)
        z = self.encoder(jnp.concatenate(encoder_inputs), lengths, self._is_training("encoder", train))
        z, *z_side = jnp.split(z, len(encoder_inputs))
        return self.decode(z, train, *z_side)

    def encode_frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"]
    ) -> Float[Array, "batch frames size"]:
        """The encoder's frames of a piece of mid or side, for pooling over a whole track."""
        return self.encoder.frames(audio, lengths)

    def decode_pooled(
        self, mean: Float[Array, "batch size"], mean_side: Float[Array, "batch size"] | None = None
    ) -> Prediction:
        """Settings from the mean of a track's frames; phase 2 needs the side's mean as well."""
        z_side = [] if mean_side is None else [self.encoder.latent(mean_side)]
        return self.decode(self.encoder.latent(mean), False, *z_side)

    def predict_residual(
        self,
        audio: Float[Array, "batch time channel"],
        z: Float[Array, "batch 512"],
        lengths: Int[Array, " batch"] | None = None,
        train: bool = False,
    ) -> Float[Array, "batch time channel"]:
        """The residual of a signal; zeros in phase 1a."""
        if self.phase == "1a":
            return jnp.zeros_like(audio)
        return self.residual(audio, z, lengths, self._is_training("residual", train))

    def _is_training(self, module: str, train: bool) -> bool:
        return train and module not in self.frozen

    def __call__(
        self,
        audio: Float[Array, "batch time channel"],
        lengths: Int[Array, " batch"] | None = None,
        train: bool = False,
        segment: tuple[Float[Array, "batch rendered channel"], Int[Array, " batch"]] | None = None,
    ) -> tuple[Float[Array, "batch rendered channel"], Prediction]:
        """A signal → the master before delivery and what was predicted.

        Args:
            audio: 44.1 kHz at −20 LUFS, any length from one sample, one or two channels (more have no side).
            lengths: samples of each signal that are signal; None where all are. Beyond them the network neither hears
                nor adds anything; the equaliser rings on, in phase 2 only what the stages behind it hold back.
            train: dropout, and BatchNorm by the batch's own statistics (then `batch_stats` must be mutable).
            part: a stretch of the signal and its lengths, which is rendered in place of all that was heard.
        """
        prediction = self.predict(audio, lengths, train)
        audio, lengths = segment or (audio, lengths)
        y = render_eq(audio, prediction.settings.eq)
        if self.uses_side:  # the saturator's filters hear ahead, and what lies behind the end is no signal
            y = apply_chain(apply_mask(y, length_mask(lengths, y.shape[1])), prediction.settings, SAMPLE_RATE)
        if self.phase != "1a":
            y = y + self.predict_residual(audio, prediction.z, lengths, train)
        return y, prediction


def build_model(config: Config) -> MasteringModel:
    """The network that a config describes."""
    model = config.model
    fields = (
        config.phase,
        model.width,
        model.frequency_map,
        model.dropout,
        model.bn_momentum,
        model.dtype,
        model.remat,
        model.encoder,
    )
    return MasteringModel(*fields, config.train.frozen, model.skip_connections)


def render_eq(audio: Float[Array, "batch time channel"], eq: EqSettings) -> Float[Array, "batch time channel"]:
    """The equaliser at the model's rate, from rest."""
    return equalize(audio, eq.bands(), SAMPLE_RATE)[0]
