"""The stages behind the equaliser: their settings over a collection, whichever the network has."""

from __future__ import annotations

import numpy as np

from nmjax.analysis import groups
from nmjax.analysis.page import Section, Table
from nmjax.analysis.settling import EQ
from nmjax.analysis.study import Study
from nmjax.analysis.tables import save_csv


def stages_section(study: Study) -> Section:
    """How the stages are set."""
    a, title = study.answers, "The stages behind the equaliser"
    names = [name for name in a.settings if name not in EQ]
    if not names:
        return Section(title, [f"A network of phase {study.network.config.phase} has none."])
    values = np.stack([a.settings[name] for name in names], axis=1)
    ends = np.percentile(values, [5, 50, 95], axis=0)
    rows = [
        {"setting": name, "mean": values[:, i].mean(), "sd": values[:, i].std(ddof=1),
         **{f"p{p}": ends[n, i] for n, p in enumerate((5, 50, 95))}}
        for i, name in enumerate(names)
    ]  # fmt: skip
    sentences = [f"{len(names)} settings; the same for all tracks: {_still(names, values) or 'none'}."]
    if len(groups.comparable(a.groups)[0]) > 1:
        test, shares = groups.any_difference(values, a.groups, study.seed), groups.explained(values, a.groups)
        for i, row in enumerate(rows):
            row |= {"p_by_group": test.plain[i], "p_corrected": test.corrected[i], "explained": shares[i]}
        real = [n for n, p in zip(names, test.corrected, strict=True) if p < groups.SIGNIFICANT]
        sentences.append(
            f"Groups differ in: {', '.join(real) or 'none'} (permutation test, corrected for all settings)."
        )
    save_csv(rows, study.out / "stages.csv")
    return Section(title, sentences, (), [Table("Settings over tracks.", rows)], ["stages.csv"])


def _still(names: list[str], values: np.ndarray) -> str:
    moves = np.ptp(values, axis=0) > 1e-3 * np.maximum(np.abs(values).max(axis=0), 1.0)
    return ", ".join(name for name, moved in zip(names, moves, strict=True) if not moved)
