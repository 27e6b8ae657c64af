"""What a person asked for, as words and numbers: it can be compared, hashed and sent to another process."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

from nmjax import formats
from nmjax.errors import BadInputError
from nmjax.inference import weights
from nmjax.inference.deliver.delivery import PRESETS, Delivery
from nmjax.inference.master import Options
from nmjax.inference.network import Network, load
from nmjax.inference.reference import References
from nmjax.inference.settings import control
from nmjax.inference.settings.file import read_settings
from nmjax.reference.match import Aim

_AS_REFERENCE = "reference"  # for a loudness: as loud as that
_LEAST_SECONDS = 3.0  # that a network can be asked to listen to


@dataclasses.dataclass(frozen=True)
class Wish:
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
    seconds: float | None = None
    bits: str | None = None
    stages: tuple[str, ...] = ()
    solo: str | None = None
    references: References = dataclasses.field(default_factory=References)

    def deliveries(self) -> tuple[Delivery, ...]:
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
            "lufs": _number_or_none(self.lufs, "--lufs") if self.lufs != _AS_REFERENCE else Delivery.lufs,
            "true_peak_db": _number_or_none(self.true_peak, "--true-peak"),
            "max_limiting_db": self.max_limiting,
        }
        given = (self.lufs, self.true_peak, self.max_limiting)
        changes = {key: value for (key, value), word in zip(changes.items(), given, strict=True) if word is not None}
        if len(self.deliver) > 1 and (self.lufs or self.true_peak):
            raise BadInputError("--lufs and --true-peak are for one delivery; name one with --deliver.")
        if self.lufs or self.true_peak:  # no longer what the name stands for
            changes["name"] = "custom"
        return tuple(dataclasses.replace(PRESETS[name], **changes) for name in self.deliver)

    def absolute(self) -> Wish:
        """The same from any current folder."""
        places = {name: os.path.abspath(path) for name in ("ckpt", "settings") if (path := getattr(self, name))}
        return dataclasses.replace(self, references=self.references.absolute(), **places)

    def options(self, aim: Aim | None = None) -> Options:
        """The same, checked.

        aim: what the references were heard to be, where they are no files.

        Raises:
            BadInputError: a word that means nothing, a number out of its range, settings that cannot be read.
        """
        if self.seconds is not None and not _LEAST_SECONDS <= self.seconds < float("inf"):
            raise BadInputError(f"--analyse-seconds must be {_LEAST_SECONDS:g} or more; it is {self.seconds:g}.")
        if self.bits is not None and self.bits not in formats.BITS:
            raise BadInputError(f"--bits must be one of {', '.join(formats.BITS)}; it is '{self.bits}'.")
        if self.settings and self.references.given:
            raise BadInputError("--settings says what is rendered, and no reference changes that; give one of them.")
        if self.settings and self.lufs == _AS_REFERENCE:
            raise BadInputError(
                "--settings are rendered without a reference, so --lufs reference has none; give a number."
            )
        deliveries, aim = self.deliveries(), aim or self.references.aim()
        if self.lufs == _AS_REFERENCE:
            deliveries = tuple(dataclasses.replace(wanted, lufs=_loudness_of(aim)) for wanted in deliveries)
        return Options(
            deliveries=deliveries,
            control=control.parsed(
                self.bands, self.bypass, self.eq_amount, self.residual_amount, self.stages, self.solo
            ),
            settings=read_settings(Path(self.settings)) if self.settings else None,
            seconds=self.seconds,
            bits=self.bits,
            aim=aim,
        )

    def network(self, report=print) -> Network | None:
        """The network that is meant; None where settings are given and no network is named.

        Raises:
            BadInputError: see `load` and `weights.folder`; both a checkpoint and a model are named.
        """
        if self.ckpt and self.model:
            raise BadInputError("--ckpt and --model name two networks; give one of them.")
        if self.ckpt:
            return load(Path(self.ckpt), report)
        if self.settings and not self.model:
            return None
        if self.references.given and not self.model:
            return weights.for_references(report)
        return load(weights.folder(self.model), report)


def _loudness_of(aim: Aim | None) -> float:
    if aim is None:
        raise BadInputError("--lufs reference needs one; add --reference FILE or --target FILE, or give a number.")
    if not math.isfinite(aim.profile.lufs):
        raise BadInputError(
            f"How loud {aim.name} is, is not known (too quiet, or an older target file); give a number."
        )
    return round(aim.profile.lufs, 2)


def _number_or_none(word: str | None, flag: str) -> float | None:
    if word is None or word == "none":
        return None
    try:
        return float(word)
    except ValueError:
        words = "'none'" if flag != "--lufs" else f"'none' or '{_AS_REFERENCE}'"
        raise BadInputError(f"{flag} must be a number or {words}; it is '{word}'.") from None
