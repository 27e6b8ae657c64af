"""Writes a delivery: plan, encode, decode again, verify; a lossy file again until it passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmjax.audio import writer
from nmjax.audio.formats import OutputFormat
from nmjax.audio.streams import AudioChunks, prefetch, resample_stream
from nmjax.audio.tags import copy_tags
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import DeliveryPlan, StreamOpener, plan_delivery
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.mastering.delivery.verify import ComplianceResult, check_file_compliance
from nmjax.runtime import atomic_files
from nmjax.runtime.messages import Message, OptionName

_DITHER_SEED = 0
_MAX_ENCODES = 5  # of a lossy file
_LOSSY_HEADROOM_DB = 0.4  # first margin below the ceiling: about how much codecs raise the peaks of a limited master
_EXTRA_MARGIN_DB = 0.05  # in addition to the measured overshoot, because the next encoding differs
_MIN_CEILING_DB = -30.0


@dataclasses.dataclass(frozen=True)
class DeliveryResult:
    """A delivery that was written. num_encodes: how often it was encoded. notes: messages for the user."""

    spec: DeliverySpec
    plan: DeliveryPlan
    compliance: ComplianceResult
    num_encodes: int
    notes: list[str]


def deliver_file(
    open_stream: StreamOpener,
    sample_rate: int,
    channels: int,
    spec: DeliverySpec,
    out: Path,
    output_format: OutputFormat,
    tags_source: Path | None = None,
) -> DeliveryResult:
    """Delivers a signal to `out`, atomically.

    Args:
        open_stream: opens the signal from its start, as `[frames, channel]` chunks.
        sample_rate: in Hz.
        channels: number of channels.
        spec: loudness and ceiling to meet.
        out: the file.
        output_format: container, subtype and sample rate of the file.
        tags_source: a file whose tags and cover art are copied.

    Raises:
        BadInputError: the disk is full, or the format cannot hold the signal.
    """
    with atomic_files.temporary_sibling(out) as temporary:
        result = write_delivery(
            open_stream,
            sample_rate=sample_rate,
            channels=channels,
            spec=spec,
            temporary=temporary,
            output_format=output_format,
            tags_source=tags_source,
        )
        atomic_files.commit_file(temporary, out)
    return dataclasses.replace(result, compliance=dataclasses.replace(result.compliance, path=out))


def write_delivery(
    open_stream: StreamOpener,
    sample_rate: int,
    channels: int,
    spec: DeliverySpec,
    temporary: Path,
    output_format: OutputFormat,
    tags_source: Path | None = None,
    scan: LoudnessScan | None = None,
) -> DeliveryResult:
    """The same to a temporary file, which the caller commits.

    Args:
        scan: of the signal at the format's rate, where several deliveries share it.
    """

    def open_resampled() -> Iterator[np.ndarray]:
        return resample_stream(open_stream(), sample_rate, output_format.sample_rate)

    def encode(chunks: AudioChunks) -> None:
        writer.encode_audio(
            temporary,
            prefetch(chunks),
            sample_rate=rate,
            channels=channels,
            container=output_format.container,
            subtype=output_format.subtype,
            dither_seed=_DITHER_SEED,
        )

    rate, num_encodes = output_format.sample_rate, 0
    encoder_spec = spec
    if output_format.is_lossy and spec.true_peak_db is not None:
        ceiling_db = max(_MIN_CEILING_DB, spec.true_peak_db - _LOSSY_HEADROOM_DB)
        encoder_spec = dataclasses.replace(spec, true_peak_db=ceiling_db)
    scan = scan or LoudnessScan(open_resampled(), rate, channels, spec.allowed_limiting_db)
    while True:
        num_encodes += 1
        plan = plan_delivery(open_resampled, rate, channels, encoder_spec, scan, consume=encode)
        notes = copy_tags(tags_source, temporary) if tags_source else []
        compliance = check_file_compliance(temporary, spec)
        if compliance.passed or not output_format.is_lossy or num_encodes == _MAX_ENCODES:
            break
        encoder_spec = _next_encoder_spec(encoder_spec, spec, plan, compliance)
    return DeliveryResult(
        spec=spec,
        plan=plan,
        compliance=compliance,
        num_encodes=num_encodes,
        notes=[
            note
            for note in (output_format.note, plan.note, _cut_off_note(spec, output_format, compliance), *notes)
            if note
        ],
    )


def _cut_off_note(spec: DeliverySpec, output_format: OutputFormat, compliance: ComplianceResult) -> str:
    """A message where a delivery without a ceiling does not fit into integers; otherwise empty."""
    if spec.true_peak_db is not None or not output_format.bits or not compliance.clipped:
        return ""
    return Message(
        f"{compliance.clipped:,} samples of the master are at full scale, where a file of integers cuts peaks off. "
        "Set a ceiling with ",
        OptionName("true_peak"),
        ", or write floats with ",
        OptionName("bits", "float"),
        ".",
    )


def _next_encoder_spec(
    encoder_spec: DeliverySpec, spec: DeliverySpec, plan: DeliveryPlan, compliance: ComplianceResult
) -> DeliverySpec:
    """The spec for the next encoding: corrects the ceiling by the measured overshoot (up again where there is room,
    which saves limiting), and the loudness by what the codec changed."""
    changes: dict[str, float] = {}
    if spec.true_peak_db is not None and encoder_spec.true_peak_db is not None and np.isfinite(compliance.true_peak_db):
        ceiling_db = encoder_spec.true_peak_db + spec.true_peak_db - compliance.true_peak_db - _EXTRA_MARGIN_DB
        changes["true_peak_db"] = float(np.clip(ceiling_db, _MIN_CEILING_DB, spec.true_peak_db))
    if spec.lufs is not None and encoder_spec.lufs is not None and plan.meets_spec and np.isfinite(compliance.lufs):
        changes["lufs"] = min(0.0, encoder_spec.lufs + spec.lufs - compliance.lufs)
    return dataclasses.replace(encoder_spec, **changes)
