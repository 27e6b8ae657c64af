"""Section `sensitivity`: derivatives of the settings by the spectrum of the input."""

from __future__ import annotations

import numpy as np

from nmjax.analysis.context import THIRD_OCTAVE_FREQ_HZ, AnalysisContext, nominal_frequency_label
from nmjax.analysis.page import Figure, PageSection, format_number
from nmjax.analysis.sensitivity import track_jacobians
from nmjax.analysis.tables import save_csv

_CAPTIONS = {
    "rendered_gain_db": "Change of each band's rendered gain in dB per dB of level in a third octave of the input.",
    "gate": "The same for the gates.",
    "eq_response_db": "The same for the response without its mean: full compensation is a diagonal of −1.",
}


def sensitivity_section(context: AnalysisContext) -> PageSection:
    """Mean Jacobian of each setting by the levels of the third octaves of the input."""
    title = "Input sensitivity"
    jacobians = track_jacobians(context.predictions.tracks, context.network)
    if not jacobians:
        return PageSection(title, ["Every track is silent."])
    if not context.predictions.has_gates:
        jacobians = {name: values for name, values in jacobians.items() if name != "gate"}
    frequency_labels = [nominal_frequency_label(f) for f in THIRD_OCTAVE_FREQ_HZ]
    save_csv(_jacobian_rows(jacobians, frequency_labels), context.out / "sensitivity.csv")
    mean_jacobians = {name: values.mean(axis=0) for name, values in jacobians.items()}
    response_jacobian = mean_jacobians["eq_response_db"]
    response_jacobian = response_jacobian - response_jacobian.mean(axis=0)  # delivery normalizes a broadband gain away
    mean_jacobians["eq_response_db"] = response_jacobian
    most_sensitive = np.sort(np.argsort(-np.sum(response_jacobian**2, axis=0))[:3])
    diagonal_mean = format_number(float(np.mean(np.diag(response_jacobian))))
    sentences = [
        f"{len(jacobians['eq_response_db'])} tracks, a representative excerpt of 6 s each. Per dB of level in a third "
        f"octave of the input, the response there changes by {diagonal_mean} dB on average (−1 is full compensation).",
        f"The most sensitive input frequencies: {', '.join(f'{frequency_labels[i]} Hz' for i in most_sensitive)}.",
    ]
    figures = [
        _jacobian_figure(context, name, mean_jacobians[name], frequency_labels)
        for name in _CAPTIONS
        if name in mean_jacobians
    ]
    return PageSection(title, sentences, figures, (), ["sensitivity.csv"])


def _jacobian_rows(jacobians: dict[str, np.ndarray], frequency_labels: list[str]) -> list[dict]:
    """A row for each output and each third octave of the input."""
    return [
        {
            "quantity": quantity,
            "output": f"{frequency_labels[i]} Hz" if quantity == "eq_response_db" else i + 1,
            "input_hz": freq_hz,
            "mean_per_db": values[:, i, j].mean(),
            "std_per_db": values[:, i, j].std(),
        }
        for quantity, values in jacobians.items()
        for i in range(values.shape[1])
        for j, freq_hz in enumerate(THIRD_OCTAVE_FREQ_HZ)
    ]


def _jacobian_figure(
    context: AnalysisContext, quantity: str, jacobian: np.ndarray, frequency_labels: list[str]
) -> Figure:
    from nmjax.plots import collection as plots

    band_labels = [label.replace("\n", ": ") for label in context.band_labels]
    path = context.save_plot(
        f"sensitivity-{quantity.replace('_', '-')}",
        plots.plot_heatmap,
        values=jacobian,
        rows=frequency_labels if quantity == "eq_response_db" else band_labels,
        columns=frequency_labels,
        label="per dB",
        signed=True,
        axis_labels=("third octave of the input (Hz)", ""),
        label_stride=3,
    )
    return Figure(path, _CAPTIONS[quantity])
