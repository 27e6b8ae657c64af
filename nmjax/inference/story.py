"""What a report needs to know of a track, noted while its sound passes; nothing where no report is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nmjax.inference.delivery import Delivery, Source, delivered
from nmjax.inference.insight import Heardings, Listener
from nmjax.inference.network import Network
from nmjax.inference.outputs import Outputs
from nmjax.inference.stream import Pieces
from nmjax.inference.verify import Verdict, verify
from nmjax.io import AudioInfo

if TYPE_CHECKING:
    from nmjax.inference.master import Mastered

_AS_IT_IS = Delivery(lufs=None, true_peak_db=None, name="input")


class Story:
    """Listens to the input, to the equaliser's output and to the residual."""

    def __init__(self, info: AudioInfo, outputs: Outputs):
        self._info, self._outputs = info, outputs
        self._heard: dict[str, Listener] = {}

    def watched(self, name: str, pieces: Pieces) -> Pieces:
        """The signal "before", "clean" or "residual", passed on."""
        if not self._outputs.report:
            return pieces
        self._heard[name] = Listener(self._info.sample_rate, self._info.channels)
        return self._heard[name].watch(pieces)

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
            from nmjax.inference.null_test import write_null_test

            path = files[self._outputs.null_test]
            null_test = write_null_test(path, original, finished, info.sample_rate, info.channels)
        if self._outputs.report:
            text = self._page(result, original, finished, null_test, track, network)
            files[self._outputs.report].write_text(text, encoding="utf-8")

    def _page(self, result, original: Callable, finished: Callable, null_test, track: Path, network) -> str:
        from nmjax.inference.change import residual_beside
        from nmjax.inference.players import excerpts
        from nmjax.inference.report import ReportFacts, page

        info, first = self._info, result.made[0]
        after = Listener(info.sample_rate, info.channels)
        for _ in after.watch(finished()):
            pass
        heard = {name: listener.result() for name, listener in self._heard.items()} | {"after": after.result()}
        added = residual_beside(heard["clean"], heard["residual"]) if "residual" in heard else None
        given = verify(track, _AS_IT_IS)
        facts = ReportFacts(
            track=track.name,
            model=f"phase {network.config.phase}, checkpoint {network.identity}" if network else "settings from a file",
            before=_meters(given, info, heard["before"], info.subtype),
            after=_meters(first.verdict, info, heard["after"], result.outputs.audio[0].suffix.lstrip(".").upper()),
            eq=result.chosen.prediction.settings.eq,
            heard_before=heard["before"],
            heard_after=heard["after"],
            residual=added,
            target_lufs=first.wanted.lufs,
            verdicts=[f"{one.wanted.name}: {one.verdict.line}" for one in result.made],
            notes=result.notes,
            excerpts=excerpts(original(), finished(), heard["after"]),
            null_test=null_test,
            match=result.chosen.match,
        )
        return page(facts)


def _meters(found: Verdict, info: AudioInfo, heard: Heardings, kind: str):
    from nmjax.inference.report import Meters

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
