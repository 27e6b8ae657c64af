"""The stages behind the equaliser: their settings over a collection, whichever the network has."""

from __future__ import annotations

import numpy as np

from nmjax.analysis import groups
from nmjax.analysis.batched_decode import EQ_FIELDS
from nmjax.analysis.context import AnalysisContext
from nmjax.analysis.page import PageSection, Table
from nmjax.analysis.tables import save_csv


def processor_statistics_section(context: AnalysisContext) -> PageSection:
    """How the stages are set."""
    predicted, title = context.predictions, "The stages behind the equaliser"
    names = [name for name in predicted.settings if name not in EQ_FIELDS]
    if not names:
        return PageSection(title, [f"A network of phase {context.network.config.phase} has none."])
    values = np.stack([predicted.settings[name] for name in names], axis=1)
    quantiles = np.percentile(values, [5, 50, 95], axis=0)
    rows = [
        {"setting": name, "mean": values[:, i].mean(), "sd": values[:, i].std(ddof=1),
         **{f"p{p}": quantiles[n, i] for n, p in enumerate((5, 50, 95))}}
        for i, name in enumerate(names)
    ]  # fmt: skip
    sentences = [f"{len(names)} settings; the same for all tracks: {_constant_settings(names, values) or 'none'}."]
    if len(groups.comparable_groups(predicted.groups)[0]) > 1:
        test, effect_sizes = (
            groups.permutation_f_test(values, predicted.groups, context.seed),
            groups.omega_squared(values, predicted.groups),
        )
        for i, row in enumerate(rows):
            row |= {"p_by_group": test.uncorrected[i], "p_corrected": test.corrected[i], "explained": effect_sizes[i]}
        significant = [n for n, p in zip(names, test.corrected, strict=True) if p < groups.SIGNIFICANCE_LEVEL]
        sentences.append(
            f"Groups differ in: {', '.join(significant) or 'none'} (permutation test, corrected for all settings)."
        )
    save_csv(rows, context.out / "stages.csv")
    return PageSection(title, sentences, (), [Table("Settings over tracks.", rows)], ["stages.csv"])


def _constant_settings(names: list[str], values: np.ndarray) -> str:
    varies = np.ptp(values, axis=0) > 1e-3 * np.maximum(np.abs(values).max(axis=0), 1.0)
    return ", ".join(name for name, is_varying in zip(names, varies, strict=True) if not is_varying)
