"""What a report needs to know of a track, noted while its sound passes; nothing where no report is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nmjax.inference.deliver.delivery import Delivery, Source, delivered
from nmjax.inference.deliver.verify import Verdict, verify
from nmjax.inference.network import Network
from nmjax.inference.outputs import Outputs
from nmjax.inference.report.insight import Heardings, Listener
from nmjax.inference.report.passage import Passage
from nmjax.inference.stream import Pieces
from nmjax.io import AudioInfo
from nmjax.models import Settings
from nmjax.models.stages import STAGES

if TYPE_CHECKING:
    from nmjax.inference.master import Mastered

CHAIN = ("input", "eq", *STAGES)
_AS_IT_IS = Delivery(lufs=None, true_peak_db=None, name="input")


class Story:
    """Listens to the input, to the equaliser's output, to each stage's behind it and to the residual."""

    def __init__(self, info: AudioInfo, outputs: Outputs):
        self._info, self._outputs = info, outputs
        self._heard: dict[str, Listener] = {}
        self._passages: dict[str, Passage] = {}  # of each part of the chain that is behind the input
        self._next: Passage | None = None  # of the part behind the last one, if another one comes

    def watched(self, name: str, pieces: Pieces) -> Pieces:
        """The signal "before", "residual" or one of `CHAIN`, passed on. "clean" is the chain's last, heard already."""
        if not self._outputs.report or name == "clean":
            return pieces
        if name != "input":  # that is "before"
            self._heard[name] = Listener(self._info.sample_rate, self._info.channels)
            pieces = self._heard[name].watch(pieces)
        return self._compared(name, pieces) if name in CHAIN else pieces

    def _compared(self, name: str, pieces: Pieces) -> Pieces:
        """What comes out of a part of the chain, with what went in; it goes into the next one."""
        if self._next:
            self._passages[name] = self._next
            pieces = self._next.leaves(pieces)
        self._next = Passage(self._info.sample_rate)
        return self._next.enters(pieces)

    def write(
        self, files: dict[Path, Path], result: Mastered, source: Source, track: Path, network: Network | None
    ) -> None:
        """The report and the null test, as far as they are wanted, into their temporary files."""
        from nmjax import io

        if not self._outputs.report and not self._outputs.null_test:
            return
        info, plan = self._info, result.made[0].plan

        def original():
            return io.pieces(track)

        def finished():
            return delivered(source, info.sample_rate, plan)

        null_test = None
        if self._outputs.null_test:
            from nmjax.inference.report.null_test import write_null_test

            path = files[self._outputs.null_test]
            null_test = write_null_test(path, original, finished, info.sample_rate, info.channels)
        if self._outputs.report:
            text = self._page(result, original, finished, null_test, track, network)
            files[self._outputs.report].write_text(text, encoding="utf-8")

    def _page(self, result, original: Callable, finished: Callable, null_test, track: Path, network) -> str:
        from nmjax.inference.report.change import residual_beside
        from nmjax.inference.report.page import ReportFacts, page
        from nmjax.inference.report.players import excerpts

        info, first = self._info, result.made[0]
        after = Listener(info.sample_rate, info.channels)
        for _ in after.watch(finished()):
            pass
        heard = {name: listener.result() for name, listener in self._heard.items()} | {"after": after.result()}
        clean = heard[[name for name in CHAIN if name in heard][-1]] if self._passages else None
        added = residual_beside(clean, heard["residual"]) if "residual" in heard else None
        given = verify(track, _AS_IT_IS)
        facts = ReportFacts(
            track=track.name,
            model=f"phase {network.config.phase}, checkpoint {network.identity}" if network else "settings from a file",
            before=_meters(given, info, heard["before"], info.subtype),
            after=_meters(first.verdict, info, heard["after"], result.outputs.audio[0].suffix.lstrip(".").upper()),
            eq=result.chosen.prediction.settings.eq,
            heard_before=heard["before"],
            heard_after=heard["after"],
            chain=self._chain(result.chosen.prediction.settings, heard),
            residual=added,
            target_lufs=first.wanted.lufs,
            verdicts=[f"{one.wanted.name}: {one.verdict.line}" for one in result.made],
            notes=result.notes,
            excerpts=excerpts(original(), finished(), heard["after"]),
            null_test=null_test,
            match=result.chosen.match,
        )
        return page(facts)

    def _chain(self, settings: Settings, heard: dict[str, Heardings]):
        """What the stages did; None where there are none."""
        from nmjax.inference.report.stages import ChainFacts

        if not set(self._passages) - {"eq"}:
            return None
        passed = {name: passage.result() for name, passage in self._passages.items()}
        return ChainFacts(settings, {"input": heard["before"], **{name: heard[name] for name in passed}}, passed)


def _meters(found: Verdict, info: AudioInfo, heard: Heardings, kind: str):
    from nmjax.inference.report.page import Meters

    seconds = float(np.round(found.frames / found.sample_rate, 3))
    return Meters(
        found.lufs,
        found.true_peak_db,
        found.loudness_range,
        heard.crest_db,
        found.sample_rate,
        info.channels,
        seconds,
        kind,
    )
