"""`infer.py`: master one track and say what was done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from nmjax import io
from nmjax.inference.master import Mastered, check_paths, master, output_path
from nmjax.inference.network import load


def run(
    track: Path, ckpt: Path, out: Path | None, force: bool, picture: Path | None = None, console: Console | None = None
) -> None:
    """Master `track` with the network in `ckpt`; print settings, loudness and where the files lie.

    picture: where a PNG of the equaliser's curve goes, if one is wanted.

    Raises:
        BadInputError: see `master`, `load` and `check_paths`.
    """
    console = console or Console()
    io.probe(track)
    out = output_path(track, out)
    check_paths(track, out, picture, force)
    network = load(ckpt, lambda sentence: _say(console, sentence))
    with console.status(f"Mastering {track.name} …"):
        result = master(track, out, network, picture)
    console.print(settings_table(result, network.config.phase))
    before, after = result.before, result.after
    peak = after.true_peak_db + result.gain_db
    _say(console, f"Loudness {before.lufs:.1f} → {result.delivered_lufs:.1f} LUFS, "
                  f"true peak {before.true_peak_db:.1f} → {peak:.1f} dBTP.")  # fmt: skip
    for note in result.notes:
        _say(console, note)
    if picture:
        _say(console, f"Picture:  {picture}")
    _say(console, f"Master:   {result.out}\nSettings: {result.settings}")


def settings_table(result: Mastered, phase: str) -> Table:
    """The predicted bands as a table."""
    eq = result.prediction.settings.eq
    gain_db = float(result.prediction.settings.input_gain_db[0])
    table = Table(title=f"Phase {phase}, input gain {gain_db:+.1f} dB")
    gated = phase == "1c"
    for name in ("band", "frequency", "gain", "Q", *(("gate", "rendered") if gated else ())):
        table.add_column(name, justify="right")
    rows = zip(*(np.asarray(x)[0] for x in (eq.freq_hz, eq.gain_db, eq.q, eq.gate, eq.rendered_gain_db)), strict=True)
    for number, (freq_hz, gain, q, gate, rendered) in enumerate(rows, 1):
        extra = (f"{gate:.2f}", f"{rendered:+.2f} dB") if gated else ()
        table.add_row(str(number), f"{freq_hz:,.0f} Hz", f"{gain:+.2f} dB", f"{q:.2f}", *extra)
    return table


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
