"""Section `latent`: linear probes of the latent z."""

from __future__ import annotations

import dataclasses

import numpy as np

from nmjax.analysis.context import AnalysisContext
from nmjax.analysis.linear_probes import MIN_TRACKS, fit_probes
from nmjax.analysis.page import Figure, PageSection, Table
from nmjax.analysis.tables import save_csv


def latent_section(context: AnalysisContext) -> PageSection:
    """Scores of the probes of z and of its quarters, for each descriptor and for the group."""
    from nmjax.plots import collection as plots

    title, predicted = "Linear probes of z", context.predictions
    if len(predicted.tracks) < MIN_TRACKS:
        return PageSection(title, [f"Probes need {MIN_TRACKS} tracks or more; there are {len(predicted.tracks)}."])
    probes = fit_probes(predicted.z, predicted.descriptors, predicted.groups, seed=context.seed)
    save_csv([dataclasses.asdict(probe) for probe in probes], context.out / "latent.csv")
    targets = list(dict.fromkeys(probe.target for probe in probes))
    z_slices = list(dict.fromkeys(probe.z_slice for probe in probes))
    scores = np.array([probe.score for probe in probes]).reshape(len(targets), -1)
    shuffled_p95 = np.array([probe.shuffled_p95 for probe in probes]).reshape(len(targets), -1)
    slice_labels = ["all of z", *(f"quarter {z_slice}" for z_slice in z_slices[1:])]
    path = context.save_plot(
        "latent",
        plots.plot_probe_scores,
        targets=[_without_unit(target) for target in targets],
        z_slices=slice_labels,
        probe_scores=scores,
        shuffled_scores=shuffled_p95,
    )
    caption = (
        "Linear probes on held-out tracks: R², for the group the share of correct ones. Gray: up to the 95th "
        "percentile of probes for shuffled targets."
    )
    decodable = [target for target, s, c in zip(targets, scores[:, 0], shuffled_p95[:, 0], strict=True) if s > c]
    rows = [
        {"target": target, **dict(zip(slice_labels, s, strict=True)), "shuffled_p95": c[0]}
        for target, s, c in zip(targets, scores, shuffled_p95, strict=True)
    ]
    sentence = f"Predicted from z better than shuffled targets: {', '.join(decodable) or 'nothing'}."
    table = Table("Scores; shuffled p95: the 95th percentile for shuffled targets, from all of z.", rows)
    return PageSection(title, [sentence], [Figure(path, caption)], [table], ["latent.csv"])


def _without_unit(target: str) -> str:
    """A short name of a descriptor for a plot: `loudness` of `loudness_lufs`."""
    return target.split("_")[0]
