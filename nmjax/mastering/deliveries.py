"""All deliveries of a track: one master each, from the same rendered signal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from nmjax.audio.formats import OutputFormat
from nmjax.audio.reader import AudioInfo
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.delivery.spec import MIN_LUFS
from nmjax.mastering.delivery.write import DeliveryResult, write_delivery
from nmjax.mastering.types import MasteringOptions
from nmjax.runtime.number_format import format_fixed


def write_deliveries(
    *,
    open_stream: StreamOpener,
    info: AudioInfo,
    input_lufs: float,
    formats: Sequence[OutputFormat],
    masters: Sequence[Path],
    temporary_paths: dict[Path, Path],
    options: MasteringOptions,
    limiting_db: float | None,
    scan: LoudnessScan | None = None,
) -> list[DeliveryResult]:
    """Writes each delivery to its temporary file; deliveries at the input's rate share one scan.

    Args:
        open_stream: opens the rendered track from its start.
        info: header of the track.
        input_lufs: loudness of the track.
        formats: of each master.
        masters: path of each.
        temporary_paths: where to write each.
        options: with a specification for each.
        limiting_db: from `common_limiting_db`.
        scan: of the rendered track with `limiting_db`, where it was made before.
    """
    if limiting_db is not None:
        scan = scan or LoudnessScan(open_stream(), info.sample_rate, info.channels, limiting_db)
    results = []
    for spec, path, output_format in zip(options.delivery_specs, masters, formats, strict=True):
        spec = spec.for_input(input_lufs)
        if options.album and scan and spec.true_peak_db is not None:  # keeps the loudness of the song in the album
            spec = dataclasses.replace(spec, lufs=scan.lufs if MIN_LUFS <= scan.lufs <= 0.0 else None)
        result = write_delivery(
            open_stream,
            sample_rate=info.sample_rate,
            channels=info.channels,
            spec=spec,
            temporary=temporary_paths[path],
            output_format=output_format,
            tags_source=info.path,
            scan=scan if output_format.sample_rate == info.sample_rate else None,
        )
        results.append(dataclasses.replace(result, compliance=dataclasses.replace(result.compliance, path=path)))
    return results


def common_limiting_db(options: MasteringOptions, formats: Sequence[OutputFormat], sample_rate: int) -> float | None:
    """The deepest limiting for which the rendered track is scanned at its own rate; None where it is not."""
    if not options.album and all(x.sample_rate != sample_rate for x in formats):
        return None
    return max(spec.allowed_limiting_db for spec in options.delivery_specs)


def identical_delivery_notes(results: Sequence[DeliveryResult]) -> list[str]:
    """A message for deliveries that hold the same audio."""
    groups: dict[tuple[float, float | None], list[DeliveryResult]] = {}
    for result in results:
        groups.setdefault((result.plan.gain_db, result.plan.ceiling_db), []).append(result)
    return [_describe_identical(group) for group in groups.values() if len(group) > 1]


def _describe_identical(results: Sequence[DeliveryResult]) -> str:
    *names, last = (f"'{result.spec.name}'" for result in results)
    text = f"The deliveries {', '.join(names)} and {last} are identical"
    if any(result.plan.meets_spec for result in results):
        return f"{text}."
    first, is_pair = results[0], len(results) == 2
    lufs = format_fixed(first.compliance.lufs, "LUFS")
    limiting = f"{first.spec.max_limiting_db:g} dB of limiting"
    return f"{text}: {'both' if is_pair else 'all'} stop at {limiting}, at {lufs}."
