"""Section `processors`: settings of the processors after the equalizer, for networks that have them."""

from __future__ import annotations

import numpy as np

from nmjax.analysis import group_statistics
from nmjax.analysis.batched_decode import EQ_FIELDS
from nmjax.analysis.context import AnalysisContext
from nmjax.analysis.page import PageSection, Table
from nmjax.analysis.tables import save_csv

_PERCENTILES = (5, 50, 95)


def processors_section(context: AnalysisContext) -> PageSection:
    """Statistics of each setting over the tracks, and tests of differences between groups."""
    title, predicted = "Processors after the equalizer", context.predictions
    names = [name for name in predicted.settings if name not in EQ_FIELDS]
    if not names:
        return PageSection(title, [f"A network of phase {context.network.config.phase} has none."])
    values = np.stack([predicted.settings[name] for name in names], axis=1)
    percentiles = np.percentile(values, _PERCENTILES, axis=0)
    rows = [
        {"setting": name, "mean": values[:, i].mean(), "std": values[:, i].std(ddof=1)}
        | {f"p{percentile}": percentiles[n, i] for n, percentile in enumerate(_PERCENTILES)}
        for i, name in enumerate(names)
    ]
    constant_settings = ", ".join(_constant_settings(names, values)) or "none"
    sentences = [f"{len(names)} settings; the same for all tracks: {constant_settings}."]
    if len(group_statistics.comparable_groups(predicted.groups)[0]) > 1:
        test = group_statistics.permutation_f_test(values, predicted.groups, context.seed)
        effect_sizes = group_statistics.omega_squared(values, predicted.groups)
        for i, row in enumerate(rows):
            row |= {"p": test.uncorrected[i], "p_corrected": test.corrected[i], "omega_squared": effect_sizes[i]}
        significant = [n for n, p in zip(names, test.corrected, strict=True) if p < group_statistics.SIGNIFICANCE_LEVEL]
        sentences.append(
            f"Groups differ in: {', '.join(significant) or 'none'} (permutation test, corrected for the number of "
            "settings)."
        )
    save_csv(rows, context.out / "processors.csv")
    return PageSection(title, sentences, tables=[Table("Settings over tracks.", rows)], files=["processors.csv"])


def _constant_settings(names: list[str], values: np.ndarray) -> list[str]:
    varies = np.ptp(values, axis=0) > 1e-3 * np.maximum(np.abs(values).max(axis=0), 1.0)
    return [name for name, is_varying in zip(names, varies, strict=True) if not is_varying]
