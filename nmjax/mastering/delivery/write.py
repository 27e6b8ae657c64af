"""A delivery as a file: solved, written, decoded again and measured; lossy ones until they pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmjax.audio import writer
from nmjax.audio.formats import OutputFormat
from nmjax.audio.streams import prefetch, resample_stream
from nmjax.audio.tags import copy_tags
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import DeliveryPlan, DeliverySpec, StreamOpener, apply_delivery_plan, plan_delivery
from nmjax.mastering.delivery.verify import ComplianceResult, check_file_compliance
from nmjax.runtime import atomic_files

_DITHER_SEED = 0
_MAX_ENCODES = 5  # of a lossy file
_LOSSY_HEADROOM_DB = 0.4  # under the wanted ceiling at first: codecs raise the peaks of a limited master by about that
_EXTRA_MARGIN_DB = 0.05  # than what was over, as the next encoding is not the same
_MIN_CEILING_DB = -30.0


@dataclasses.dataclass(frozen=True)
class DeliveryResult:
    """A delivery that was written. tries: how often it was encoded. notes: sentences for the user."""

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
    """Write the signal as it is wanted; `out` appears whole or not at all.

    source: gives the signal `[frames, channel]` from its start at each call, at `sample_rate` (Hz). tags_from: a file
    whose titles and covers are carried over.

    Raises:
        BadInputError: the disk is full, or the format cannot hold the signal.
    """
    with atomic_files.temporary_sibling(out) as temporary:
        result = write_delivery(open_stream, sample_rate, channels, spec, temporary, output_format, tags_source)
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
    """The same into a temporary `file`, which the caller publishes.

    survey: of the signal at the format's rate, where several deliveries are made of it.
    """

    def open_resampled() -> Iterator[np.ndarray]:
        return resample_stream(open_stream(), sample_rate, output_format.sample_rate)

    rate, encoder_spec, num_encodes = output_format.sample_rate, _initial_encoder_spec(spec, output_format), 0
    scan = scan or LoudnessScan(open_resampled(), rate, channels, spec.allowed_limiting_db)
    while True:
        num_encodes += 1
        plan = plan_delivery(open_resampled, rate, channels, encoder_spec, scan)
        chunks = prefetch(apply_delivery_plan(open_resampled, rate, plan))
        writer.encode_audio(
            temporary, chunks, rate, channels, output_format.container, output_format.subtype, _DITHER_SEED
        )
        notes = copy_tags(tags_source, temporary) if tags_source else []
        compliance = check_file_compliance(temporary, spec)
        if compliance.passed or not output_format.is_lossy or num_encodes == _MAX_ENCODES:
            break
        encoder_spec = _next_encoder_spec(encoder_spec, spec, plan, compliance)
    return DeliveryResult(
        spec, plan, compliance, num_encodes, [x for x in (output_format.note, plan.note, *notes) if x]
    )


def _initial_encoder_spec(spec: DeliverySpec, output_format: OutputFormat) -> DeliverySpec:
    if not output_format.is_lossy or spec.true_peak_db is None:
        return spec
    return dataclasses.replace(spec, true_peak_db=max(_MIN_CEILING_DB, spec.true_peak_db - _LOSSY_HEADROOM_DB))


def _next_encoder_spec(
    encoder_spec: DeliverySpec, spec: DeliverySpec, plan: DeliveryPlan, compliance: ComplianceResult
) -> DeliverySpec:
    """What to aim at next, by what the codec made of it: a ceiling lower by what was over, or higher by what was left
    over, which saves limiting; a loudness that makes up for what it took or added."""
    changes = {}
    if spec.true_peak_db is not None and np.isfinite(compliance.true_peak_db):
        ceiling_db = encoder_spec.true_peak_db + spec.true_peak_db - compliance.true_peak_db - _EXTRA_MARGIN_DB
        changes["true_peak_db"] = float(np.clip(ceiling_db, _MIN_CEILING_DB, spec.true_peak_db))
    if spec.lufs is not None and plan.meets_spec and np.isfinite(compliance.lufs):
        changes["lufs"] = min(0.0, encoder_spec.lufs + spec.lufs - compliance.lufs)
    return dataclasses.replace(encoder_spec, **changes)
