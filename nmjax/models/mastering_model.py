"""The mastering model: encoder → settings → equalizer → processors, plus the residual, as far as a phase has them."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from nmjax.config import Config
from nmjax.dsp import equalize
from nmjax.models import amplitude_encoder, encoder, spectral_encoder, two_branch_encoder
from nmjax.models.amplitude_encoder import AmplitudeEncoder
from nmjax.models.decoder import INITIAL_FREQS_HZ, AdaptiveDecoder, ParametricDecoder
from nmjax.models.encoder import Encoder
from nmjax.models.layers import DEFAULT_PRECISION
from nmjax.models.masks import apply_mask, length_mask, mean_pool
from nmjax.models.parameters import EqSettings, Prediction, at_model_level
from nmjax.models.phases import PHASES, Phase
from nmjax.models.processor_decoders import ProcessorDecoders
from nmjax.models.processors import apply_chain
from nmjax.models.residual import Residual
from nmjax.models.signal_format import SAMPLE_RATE
from nmjax.models.spectral_encoder import SpectralEncoder
from nmjax.models.two_branch_encoder import TwoBranchEncoder

# Modules with STRIDE and MARGIN (samples), ENCODES_CHANNELS and frame_count.
ENCODERS = {
    "tcn": encoder,
    "spectral": spectral_encoder,
    "two_branch": two_branch_encoder,
    "amplitude": amplitude_encoder,
}


class MasteringModel(nn.Module):
    """The network of one phase, for signals at the model's rate and level.

    The output is EQ(x), processed by compressor, saturator and width in a phase with processors, plus residual(x, z) in
    a phase with a residual. Untrained, the output of every phase is bit-identical to the input.

    Attributes:
        phase: Name of a row of `nmjax.models.phases.PHASES`.
        width: Multiplier of the channel counts of encoder and residual.
        frequency_map, dropout: See `ParametricDecoder`.
        bn_momentum: Momentum of the running BatchNorm statistics.
        dtype: Type of the arithmetic in encoder and residual, `float32` or `bfloat16`. Parameters, statistics, settings
            and signals are float32.
        remat: Whether encoder and residual keep only the blocks' inputs for the gradient and recompute the blocks: less
            memory, more work.
        encoder_kind: `tcn` (waveform), `spectral` (long-term levels), `two_branch` (both, added) or `amplitude` (how
            waveforms behave at each level; not in a phase with processors). The spectral and the amplitude encoder
            ignore width, dtype and remat.
        frozen: Names of submodules that run in training as in inference: no dropout, running statistics.
        skips: Whether the residual has skip connections.
        residual_parts: See `Residual.parts`.
        gates: See `AdaptiveDecoder`; without effect in a phase without gates.
        precision: Precision of float32 products in all layers, see `layers.DEFAULT_PRECISION`.

    Raises:
        ValueError: Unknown phase, frequency map or encoder; the amplitude encoder in a phase with processors; a curve
            in the residual with another encoder.
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
    residual_parts: str = "unet"
    gates: str = "soft"
    precision: str = DEFAULT_PRECISION

    @property
    def phase_properties(self) -> Phase:
        """The phase's row of the table."""
        return PHASES[self.phase]

    def setup(self):
        if self.phase not in PHASES:
            raise ValueError(f"phase must be one of {', '.join(PHASES)}; it is '{self.phase}'")
        if self.encoder_kind not in ENCODERS:
            raise ValueError(f"encoder_kind must be one of {', '.join(ENCODERS)}; it is '{self.encoder_kind}'")
        phase = self.phase_properties
        if self.encodes_channels and phase.has_processors:
            raise ValueError(f"the amplitude encoder has no side, which phase {self.phase} needs")
        if self.residual_parts != "unet" and not self.encodes_channels:
            raise ValueError("a curve in the residual needs the level of the amplitude encoder")
        network_args = {
            "width": self.width,
            "bn_momentum": self.bn_momentum,
            "dtype": self.dtype,
            "remat": self.remat,
            "precision": self.precision,
        }
        match self.encoder_kind:
            case "tcn":
                self.encoder = Encoder(**network_args)
            case "spectral":
                self.encoder = SpectralEncoder(precision=self.precision)
            case "amplitude":
                self.encoder = AmplitudeEncoder(precision=self.precision)
            case _:
                self.encoder = TwoBranchEncoder(**network_args)
        decoder_args = (self.frequency_map, self.dropout, INITIAL_FREQS_HZ[phase.num_bands], self.precision)
        self.decoder = (
            AdaptiveDecoder(*decoder_args, gates=self.gates) if phase.has_gates else ParametricDecoder(*decoder_args)
        )
        if phase.has_residual:
            self.residual = Residual(**network_args, skips=self.skips, parts=self.residual_parts)
        if phase.has_processors:
            self.processors = ProcessorDecoders(precision=self.precision)

    @property
    def encodes_channels(self) -> bool:
        """Whether the encoder's inputs are all channels, rather than mid and perhaps side."""
        return ENCODERS[self.encoder_kind].ENCODES_CHANNELS

    def _is_training(self, module: str, train: bool) -> bool:
        return train and module not in self.frozen

    def predict(
        self,
        audio: Float[Array, "batch time channel"],
        lengths: Int[Array, " batch"] | None = None,
        train: bool = False,
    ) -> Prediction:
        """Settings for a signal, from its mid (the mean of the channels) and, with processors, its side.

        A signal of one channel, or of more than two, has a silent side. The amplitude encoder encodes all channels.
        """
        if self.encodes_channels:
            return self._predict_from_channels(audio, lengths, train)
        mid = jnp.mean(audio, axis=2, keepdims=True)
        if not self.phase_properties.has_processors:
            return self.decode(self.encoder(mid, lengths, self._is_training("encoder", train)), train)
        side = 0.5 * (audio[:, :, :1] - audio[:, :, 1:]) if audio.shape[2] == 2 else jnp.zeros_like(mid)
        # Mid and side of a signal are neighboring rows, so that each device encodes those of its own signals.
        rows = jnp.stack([mid, side], axis=1).reshape(2 * len(mid), -1, 1)
        row_lengths = None if lengths is None else jnp.repeat(lengths, 2)
        z = self.encoder(rows, row_lengths, self._is_training("encoder", train)).reshape(len(mid), 2, -1)
        return self.decode(z[:, 0], train, z[:, 1])

    def _predict_from_channels(self, audio, lengths, train) -> Prediction:
        """Settings from the mean over the frames of all channels."""
        batch, time, channels = audio.shape
        rows = jnp.moveaxis(audio, 2, 1).reshape(batch * channels, time, 1)
        row_lengths = None if lengths is None else jnp.repeat(lengths, channels)
        frames = self.encoder.frames(rows, row_lengths, self._is_training("encoder", train))
        mean = mean_pool(frames, row_lengths, ENCODERS[self.encoder_kind].STRIDE).reshape(batch, channels, -1)
        return self.decode(self.encoder.latent(jnp.mean(mean, axis=1)), train)

    def decode(
        self, z: Float[Array, "batch 512"], train: bool = False, z_side: Float[Array, "batch 512"] | None = None
    ) -> Prediction:
        """Settings from z of mid and, for a phase with processors, of the side.

        Raises:
            ValueError: `z_side` is missing in a phase with processors.
        """
        eq, gate_logit = self.decoder(z, self._is_training("decoder", train))
        prediction = Prediction(at_model_level(eq), z, gate_logit, z_side)
        if not self.phase_properties.has_processors:
            return prediction
        if z_side is None:
            raise ValueError(f"phase {self.phase} predicts processors and needs z_side")
        return prediction.replace(settings=prediction.settings.replace(**self.processors(z, z_side)))

    def encode_frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"]
    ) -> Float[Array, "batch frames size"]:
        """The encoder's frames of a section of mid or side, for pooling over a whole track."""
        return self.encoder.frames(audio, lengths)

    def decode_pooled(
        self, mean: Float[Array, "batch size"], mean_side: Float[Array, "batch size"] | None = None
    ) -> Prediction:
        """Settings from the mean over a track's frames of mid and, for a phase with processors, of the side."""
        z_side = [] if mean_side is None else [self.encoder.latent(mean_side)]
        return self.decode(self.encoder.latent(mean), False, *z_side)

    def predict_residual(
        self,
        audio: Float[Array, "batch time channel"],
        z: Float[Array, "batch 512"],
        lengths: Int[Array, " batch"] | None = None,
        train: bool = False,
    ) -> Float[Array, "batch time channel"]:
        """The residual of a signal; zeros in a phase without a residual."""
        if not self.phase_properties.has_residual:
            return jnp.zeros_like(audio)
        return self.residual(audio, z, lengths, self._is_training("residual", train))

    def __call__(
        self,
        audio: Float[Array, "batch time channel"],
        lengths: Int[Array, " batch"] | None = None,
        train: bool = False,
        segment: tuple[Float[Array, "batch rendered channel"], Int[Array, " batch"]] | None = None,
    ) -> tuple[Float[Array, "batch rendered channel"], Prediction]:
        """A signal → the master before delivery, and the prediction.

        Args:
            audio: 44.1 kHz at −20 LUFS, any length from one sample. Only two channels have a side.
            lengths: Valid samples of each signal; None if all are. The networks ignore the samples beyond. The
                equalizer rings on; a phase with processors adds only what their filters still hold.
            train: Dropout, and BatchNorm with the batch's own statistics (`batch_stats` must be mutable then).
            segment: A section of the signal and its lengths. Settings come from `audio`, the section is rendered.
        """
        prediction = self.predict(audio, lengths, train)
        audio, lengths = segment or (audio, lengths)
        y = render_eq(audio, prediction.settings.eq)
        if self.phase_properties.has_processors:
            # The saturator's filters look ahead: mask the equalizer's ringing beyond the end of the signal.
            y = apply_chain(apply_mask(y, length_mask(lengths, y.shape[1])), prediction.settings, SAMPLE_RATE)
        if self.phase_properties.has_residual:
            y = y + self.predict_residual(audio, prediction.z, lengths, train)
        return y, prediction


def build_model(config: Config) -> MasteringModel:
    """The network that a config describes."""
    model = config.model
    return MasteringModel(
        phase=config.phase,
        width=model.width,
        frequency_map=model.frequency_map,
        dropout=model.dropout,
        bn_momentum=model.bn_momentum,
        dtype=model.dtype,
        remat=model.remat,
        encoder_kind=model.encoder,
        frozen=config.train.frozen,
        skips=model.skip_connections,
        residual_parts=model.residual,
        gates=model.gates,
        precision=model.precision,
    )


def render_eq(audio: Float[Array, "batch time channel"], eq: EqSettings) -> Float[Array, "batch time channel"]:
    """The signal through the equalizer at the model's rate, with zero initial state."""
    return equalize(audio, eq.bands(), SAMPLE_RATE)[0]
