"""What a person asked for, as words and numbers: it can be compared, hashed and sent to another process."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

from nmjax.audio import formats
from nmjax.mastering import pretrained
from nmjax.mastering.delivery.plan import PRESETS, DeliverySpec
from nmjax.mastering.network import Network, load
from nmjax.mastering.references import ReferenceOptions
from nmjax.mastering.settings import overrides
from nmjax.mastering.settings.file import read_settings
from nmjax.mastering.types import MasteringOptions
from nmjax.reference.match import ReferenceTarget
from nmjax.runtime.errors import BadInputError

_MATCH_REFERENCE = "reference"  # for a loudness: as loud as that
_MIN_ANALYSIS_SECONDS = 3.0  # that a network can be asked to listen to


@dataclasses.dataclass(frozen=True)
class MasteringRequest:
    """See `infer.py --help`. ckpt: a run's folder; model: the name of one that comes with the program; both None: the
    best of those. lufs, true_peak: numbers or "none"; None: as the delivery says; lufs also
    "reference". references: to master towards."""

    ckpt: str | None = None
    model: str | None = None
    settings: str | None = None
    deliver: tuple[str, ...] = ("streaming",)
    lufs: str | None = None
    true_peak: str | None = None
    max_limiting: float | None = None
    bands: tuple[str, ...] = ()
    bypass: tuple[str, ...] = ()
    eq_amount: str = "1"
    residual_amount: str = "1"
    analysis_seconds: float | None = None
    bits: str | None = None
    processors: tuple[str, ...] = ()
    solo: str | None = None
    references: ReferenceOptions = dataclasses.field(default_factory=ReferenceOptions)

    def delivery_specs(self) -> tuple[DeliverySpec, ...]:
        """What is to be delivered; how loud "reference" is, `options` knows.

        Raises:
            BadInputError: an unknown name, one twice, or numbers beside several names.
        """
        for name in self.deliver:
            if name not in PRESETS:
                raise BadInputError(f"There is no delivery '{name}'; there are: {', '.join(PRESETS)}.")
            if self.deliver.count(name) > 1:
                raise BadInputError(f"--deliver names '{name}' twice.")
        changes = {
            "lufs": _parse_number_or_none(self.lufs, "--lufs") if self.lufs != _MATCH_REFERENCE else DeliverySpec.lufs,
            "true_peak_db": _parse_number_or_none(self.true_peak, "--true-peak"),
            "max_limiting_db": self.max_limiting,
        }
        values = (self.lufs, self.true_peak, self.max_limiting)
        changes = {key: value for (key, value), text in zip(changes.items(), values, strict=True) if text is not None}
        if len(self.deliver) > 1 and (self.lufs or self.true_peak):
            raise BadInputError("--lufs and --true-peak are for one delivery; name one with --deliver.")
        if self.lufs or self.true_peak:  # no longer what the name stands for
            changes["name"] = "custom"
        return tuple(dataclasses.replace(PRESETS[name], **changes) for name in self.deliver)

    def with_absolute_paths(self) -> MasteringRequest:
        """The same from any current folder."""
        absolute_paths = {name: os.path.abspath(path) for name in ("ckpt", "settings") if (path := getattr(self, name))}
        return dataclasses.replace(self, references=self.references.with_absolute_paths(), **absolute_paths)

    def resolve_options(self, reference_target: ReferenceTarget | None = None) -> MasteringOptions:
        """The same, checked.

        aim: what the references were heard to be, where they are no files.

        Raises:
            BadInputError: a word that means nothing, a number out of its range, settings that cannot be read.
        """
        if self.analysis_seconds is not None and not _MIN_ANALYSIS_SECONDS <= self.analysis_seconds < float("inf"):
            raise BadInputError(
                f"--analyse-seconds must be {_MIN_ANALYSIS_SECONDS:g} or more; it is {self.analysis_seconds:g}."
            )
        if self.bits is not None and self.bits not in formats.BIT_DEPTHS:
            raise BadInputError(f"--bits must be one of {', '.join(formats.BIT_DEPTHS)}; it is '{self.bits}'.")
        if self.settings and self.references.is_given:
            raise BadInputError("--settings says what is rendered, and no reference changes that; give one of them.")
        if self.settings and self.lufs == _MATCH_REFERENCE:
            raise BadInputError(
                "--settings are rendered without a reference, so --lufs reference has none; give a number."
            )
        delivery_specs, reference_target = self.delivery_specs(), reference_target or self.references.reference_target()
        if self.lufs == _MATCH_REFERENCE:
            delivery_specs = tuple(
                dataclasses.replace(spec, lufs=_reference_lufs(reference_target)) for spec in delivery_specs
            )
        return MasteringOptions(
            delivery_specs=delivery_specs,
            overrides=overrides.parse_overrides(
                self.bands, self.bypass, self.eq_amount, self.residual_amount, self.processors, self.solo
            ),
            settings=read_settings(Path(self.settings)) if self.settings else None,
            analysis_seconds=self.analysis_seconds,
            bits=self.bits,
            reference_target=reference_target,
        )

    def load_network(self, log=print) -> Network | None:
        """The network that is meant; None where settings are given and no network is named.

        Raises:
            BadInputError: see `load` and `weights.folder`; both a checkpoint and a model are named.
        """
        if self.ckpt and self.model:
            raise BadInputError("--ckpt and --model name two networks; give one of them.")
        if self.ckpt:
            return load(Path(self.ckpt), log)
        if self.settings and not self.model:
            return None
        if self.references.is_given and not self.model:
            return pretrained.load_for_references(log)
        return load(pretrained.model_folder(self.model), log)


def _reference_lufs(reference_target: ReferenceTarget | None) -> float:
    if reference_target is None:
        raise BadInputError("--lufs reference needs one; add --reference FILE or --target FILE, or give a number.")
    if not math.isfinite(reference_target.features.lufs):
        raise BadInputError(
            f"How loud {reference_target.name} is, is not known (too quiet, or an older target file); give a number."
        )
    return round(reference_target.features.lufs, 2)


def _parse_number_or_none(text: str | None, flag: str) -> float | None:
    if text is None or text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        choices = "'none'" if flag != "--lufs" else f"'none' or '{_MATCH_REFERENCE}'"
        raise BadInputError(f"{flag} must be a number or {choices}; it is '{text}'.") from None
