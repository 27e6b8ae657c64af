"""The options of mastering, as given on the command line or to `nmjax.master`.

This module imports neither JAX nor a network, so that `--help` is fast; `nmjax.mastering.resolve` turns a request into
checked options.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from nmjax.mastering.request_readers import (
    WeightedFile,
    collect,
    collect_bands,
    read_aspect_weights,
    read_band,
    read_intensity,
    read_processor,
    read_section_of_file,
    read_weighted_file,
)
from nmjax.reference.styles import STYLE_NAMES, style_file
from nmjax.runtime.options import Options, option, read_float, read_float_or, read_list, read_text

MATCH_REFERENCE = "reference"  # value of `lufs`: the loudness of the reference
KEEP = "keep"  # value of `lufs`: the loudness of the input
CLEAN = "clean"  # value of `lufs`: the loudest with little limiting
NONE = "none"  # value of `lufs` and `true_peak`: no gain, no limiter; of `repair`: no repair
AUTO = "auto"  # value of `repair`: what is certain
# Names of `models.processors.PROCESSORS`, `repair.plan.REPAIRS` and `reference.limits`. They are repeated here because
# those modules import JAX or NumPy, and `--help` must not. Tests compare both.
CHAIN_NAMES = ("eq", "compressor", "saturator", "width", "residual")
REPAIR_NAMES = (
    "clip",
    "saturation",
    "dc",
    "hum",
    "tone",
    "resonance",
    "delay",
    "polarity",
    "bass_polarity",
    "bass_mono",
)
ALLOW_NAMES = ("expansion", "narrow_bass")
_REPAIR = "repair of defects, see docs/explanation/diagnosis.md"
_RENDERING = "what is rendered"
REFERENCE_GROUP = "towards a reference, see docs/explanation/reference.md"
_DELIVERY = "delivery"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MasteringRequest(Options):
    """Everything that decides what a master sounds like.

    Raises:
        OptionError: a value is out of its range.
    """

    references: tuple[WeightedFile, ...] = option(
        (),
        group=REFERENCE_GROUP,
        flag="--reference",
        metavar="FILE[@START-END][=WEIGHT]",
        parse=read_weighted_file,
        repeat=True,
        help="music to match, or a section of it such as song.flac@1:20-1:50; several are averaged",
    )
    target: str | None = option(
        None,
        group=REFERENCE_GROUP,
        metavar="FILE",
        parse=read_text,
        help="reference features from an earlier --save-target",
    )
    style: str | None = option(
        None,
        group=REFERENCE_GROUP,
        metavar="NAME",
        parse=read_text,
        choices=STYLE_NAMES,
        help="move toward a kind of music, see docs/reference/styles.md",
    )
    reference_strength: float = option(
        1.0,
        group=REFERENCE_GROUP,
        metavar="X",
        parse=read_float,
        low=0.0,
        high=1.0,
        help="0 keeps the prediction of the network, 1 matches the reference",
    )
    reference_weights: Mapping[str, float] = option(
        {},
        group=REFERENCE_GROUP,
        metavar="ASPECT=X,...",
        parse=read_aspect_weights,
        hash=False,
        help="0 to 1 for tone, dynamics and width, such as width=0.5",
    )
    same_song: bool = option(
        False,
        group=REFERENCE_GROUP,
        help="the reference is another section, take or mix of the same song: the best reference",
    )
    max_boost: float | None = option(
        None,
        group=REFERENCE_GROUP,
        metavar="DB",
        parse=read_float,
        low=0.0,
        high=18.0,
        help="largest gain of the EQ's summed response toward a reference at equal loudness, half of it below "
        "60 Hz; cuts are at most twice as large, and at most 18 dB; default: 6, with --same-song 12",
    )
    allow: tuple[str, ...] = option(
        (),
        group=REFERENCE_GROUP,
        metavar="NAME,...",
        parse=read_list,
        choices=ALLOW_NAMES,
        help="what a reference may ask for only where it is allowed: an expander, a narrower bass",
    )
    model: str | None = option(
        None,
        group=_RENDERING,
        metavar="NAME",
        parse=read_text,
        help="a network that comes with the program, see above; default: 1a, with a reference 2",
    )
    ckpt: str | None = option(
        None, group=_RENDERING, metavar="DIR", parse=read_text, help="your own network: a run folder (train.py --out)"
    )
    analysis_seconds: float | None = option(
        None,
        group=_RENDERING,
        metavar="SECONDS",
        parse=read_float,
        low=3.0,
        help="analyze evenly spaced excerpts of this total length; default: the whole track",
    )
    settings: str | None = option(
        None,
        group=_RENDERING,
        metavar="FILE",
        parse=read_text,
        help="render these settings instead of a network's (.json, .txt, .csv; bands are fitted to a curve of "
        "frequency and dB), see docs/reference/settings.md",
    )
    bands: Mapping[int | str, Mapping[str, float]] = option(
        {},
        group=_RENDERING,
        flag="--band",
        metavar="[side.]N.FIELD=X",
        parse=read_band,
        collect=collect_bands,
        repeat=True,
        hash=False,
        help="replace a value of a band, such as 3.gain_db=-1, or of a band of the side, such as side.2.gain_db=-1",
    )
    processors: Mapping[str, Mapping[str, float]] = option(
        {},
        group=_RENDERING,
        flag="--set",
        metavar="PROCESSOR.FIELD=X",
        parse=read_processor,
        collect=collect,
        repeat=True,
        hash=False,
        help="replace or add a value of a processor, such as compressor.ratio=2",
    )
    bypass: tuple[str, ...] = option(
        (),
        group=_RENDERING,
        metavar="PROCESSOR",
        parse=read_text,
        repeat=True,
        choices=CHAIN_NAMES,
        help="leave this processor out of the chain",
    )
    solo: str | None = option(
        None,
        group=_RENDERING,
        metavar="PROCESSOR",
        parse=read_text,
        choices=CHAIN_NAMES,
        help="render this processor alone",
    )
    intensity: float = option(
        1.0,
        group=_RENDERING,
        metavar="X",
        parse=read_intensity,
        low=0.0,
        high=2.0,
        help="how far all stages go: gentle (0.5), normal (1), firm (1.5) or a number; 0 leaves the sound as it is, "
        "above 1 goes further toward the target",
    )
    eq_amount: float = option(
        1.0, group=_RENDERING, metavar="X", parse=read_float, low=0.0, high=2.0, help="scales the gains of the EQ in dB"
    )
    residual_amount: float = option(
        1.0, group=_RENDERING, metavar="X", parse=read_float, low=0.0, high=2.0, help="scales the residual"
    )
    repair: tuple[str, ...] = option(
        (AUTO,),
        group=_REPAIR,
        metavar="NAME,...",
        parse=read_list,
        choices=(AUTO, NONE, *REPAIR_NAMES),
        help="auto repairs what is certain; a name repairs what is found; with --settings, a choice of its repairs",
    )
    deliver: tuple[str, ...] = option(
        ("streaming",),
        group=_DELIVERY,
        metavar="NAME,...",
        parse=read_list,
        choices=("streaming", "cd", "club"),
        help="one master for each: streaming (-14 LUFS, -1 dBTP), cd (-9, -0.3), club (-7, -0.3)",
    )
    lufs: float | str | None = option(
        None,
        group=_DELIVERY,
        metavar="LUFS",
        parse=read_float_or(KEEP, CLEAN, MATCH_REFERENCE, NONE),
        low=-60.0,
        high=0.0,
        help="deliver this loudness; keep: that of the input; clean: the loudest that takes at most 2 dB of limiting; "
        "reference: that of the reference; none: no gain",
    )
    lufs_from: WeightedFile | None = option(
        None,
        group=_DELIVERY,
        metavar="FILE[@START-END]",
        parse=read_section_of_file,
        help="deliver at the loudness of this music or target file, whatever the reference is",
    )
    true_peak: float | str | None = option(
        None,
        group=_DELIVERY,
        metavar="DBTP",
        parse=read_float_or(NONE),
        low=-30.0,
        high=0.0,
        help="deliver with this ceiling; 'none' uses no limiter",
    )
    max_limiting: float | None = option(
        None,
        group=_DELIVERY,
        metavar="DB",
        parse=read_float,
        low=0.0,
        high=30.0,
        help="deepest gain reduction of the limiter; default: 6, with --lufs clean 2",
    )
    bits: str | None = option(
        None,
        group=_DELIVERY,
        metavar="BITS",
        choices=("16", "24", "32", "float"),
        help="sample format of the master; default: that of the input",
    )

    @property
    def has_reference(self) -> bool:
        """Whether there is a reference file, a target file or a style."""
        return bool(self.references or self.target or self.style)

    @property
    def matches_loudness(self) -> bool:
        """Whether the loudness is that of a reference or of another file."""
        return self.lufs == MATCH_REFERENCE or self.lufs_from is not None

    def measured_files(self) -> tuple[WeightedFile, ...]:
        """All files whose features or loudness decide the master."""
        return (*self.reference_files(), *((self.lufs_from,) if self.lufs_from else ()))

    def reference_files(self) -> tuple[WeightedFile, ...]:
        """All reference files, or the target file or that of the style with weight 1."""
        target = str(style_file(self.style)) if self.style else self.target
        return self.references or ((WeightedFile(target),) if target else ())

    def with_absolute_paths(self) -> MasteringRequest:
        """An equal request that is valid in any current folder."""
        paths = {
            name: path and os.path.abspath(path)
            for name in ("ckpt", "settings", "target")
            if (path := getattr(self, name))
        }

        def absolute(file: WeightedFile) -> WeightedFile:
            return file._replace(path=os.path.abspath(file.path))

        references, lufs_from = tuple(map(absolute, self.references)), self.lufs_from and absolute(self.lufs_from)
        return dataclasses.replace(self, references=references, lufs_from=lufs_from, **paths)
