"""SVG charts, parsed as XML: their lines, labels and ticks."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from nmjax.report import svg

SVG = "{http://www.w3.org/2000/svg}"


def parse_chart(x, y, curves, width=860, height=330, title="A title", description="A description"):
    chart = svg.Chart(title=title, description=description, x=x, y=y, curves=curves)
    return ElementTree.fromstring(svg.render_chart(chart, "test", width, height))


def curve_runs(chart):
    """The runs of each curve, `[points, 2]`."""
    result = [p.get("d") for p in chart.iter(f"{SVG}path") if p.get("stroke")]
    return [[np.array(run.replace("L", " ").split(), float).reshape(-1, 2) for run in d.split("M")[1:]] for d in result]


def axis_labels(chart, below):
    """Text and coordinates of the labels along the bottom or on the left."""
    return [
        (t.text, float(t.get("x")), float(t.get("y")))
        for t in chart.iter(f"{SVG}text")
        if (t.get("text-anchor") == "middle") == below and t.get("class") is None
    ]


def test_a_line_passes_through_its_values():
    y = svg.linear_axis("gain (dB)", -6.0, 6.0)
    x = np.array([20.0, 200.0, 2000.0, 20_000.0])
    chart = parse_chart(svg.frequency_axis(), y, [svg.PlotCurve(x, np.array([-6.0, 0.0, 6.0, 0.0]))])
    ((run,),) = curve_runs(chart)
    assert np.ptp(np.diff(run[:, 0])) < 0.11  # decades are equally wide
    assert run[0, 1] > run[1, 1] > run[2, 1]
    assert run[1, 1] == pytest.approx((run[0, 1] + run[2, 1]) / 2, abs=0.11)
    labels = {text: position for text, position, _ in axis_labels(chart, below=True)}
    assert labels["20"] == pytest.approx(run[0, 0], abs=0.1) and labels["2k"] == pytest.approx(run[2, 0], abs=0.1)
    heights = {text: position - 4.0 for text, _, position in axis_labels(chart, below=False)}
    assert heights["−6"] == pytest.approx(run[0, 1], abs=0.1) and heights["0"] == pytest.approx(run[1, 1], abs=0.1)


def test_lines_break_at_nonfinite_values_and_stay_inside():
    y = svg.linear_axis("dB", -10.0, 0.0)
    values = np.array([-5.0, np.nan, -np.inf, -4.0, 99.0, -99.0])
    chart = parse_chart(svg.time_axis(5.0), y, [svg.PlotCurve(np.arange(6.0), values, fill=True)], 400, 270)
    ((first, second),) = curve_runs(chart)
    assert (len(first), len(second)) == (1, 3)
    for path in chart.iter(f"{SVG}path"):
        assert "nan" not in path.get("d") and "inf" not in path.get("d")
    points = np.concatenate([first, second])
    assert (points >= 0).all() and (points[:, 0] <= 400).all() and (points[:, 1] <= 270).all()


def test_a_single_point_is_visible_and_no_point_draws_nothing():
    y = svg.linear_axis("LUFS", -20.0, 0.0)
    ((run,),) = curve_runs(parse_chart(svg.time_axis(1.0), y, [svg.PlotCurve(np.array([0.5]), np.array([-3.0]))]))
    assert len(run) == 2 and run[1, 0] - run[0, 0] > 2.0
    silent = svg.PlotCurve(np.arange(3.0), np.full(3, np.nan), peak_label="1")
    assert curve_runs(parse_chart(svg.time_axis(1.0), y, [silent])) == []


@pytest.mark.parametrize("width", [400, 860])
@pytest.mark.parametrize("seconds", [0.001, 0.3, 1.0, 59.0, 214.0, 3600.0, 50_000.0])
def test_labels_along_the_bottom_do_not_overlap(seconds, width):
    for axis in (svg.time_axis(seconds), svg.frequency_axis()):
        result = axis_labels(parse_chart(axis, svg.linear_axis("dB", 0.0, 1.0), [], width), below=True)
        labels = [(text, position) for text, position, down in result if down < 310]
        assert labels
        for (one, left), (other, right) in itertools.pairwise(labels):
            assert right - left >= 6.5 * (len(one) + len(other)) / 2, (one, other)
        text, position = labels[-1]
        assert position + 6.5 * len(text) / 2 <= width


@pytest.mark.parametrize(("low", "high"), [(-3.0, 3.0), (-0.04, 0.03), (-91.3, -8.2), (-34.0, -13.0), (0.0, 1e-3)])
def test_axes_end_at_round_numbers_around_their_values(low, high):
    axis = svg.linear_axis("dB", low, high)
    assert axis.low <= low + 1e-9 and axis.high >= high - 1e-9
    assert axis.high - axis.low <= 1.8 * (high - low)
    assert 4 <= len(axis.ticks) <= 9
    assert (axis.ticks[0].value, axis.ticks[-1].value) == (axis.low, axis.high)
    for tick in axis.ticks:
        assert float(tick.text.replace("−", "-")) == pytest.approx(tick.value, abs=1e-12)


def test_peak_labels_do_not_overlap():
    x = np.geomspace(20.0, 20_000.0, 50)
    curves = [
        svg.PlotCurve(x, height * np.exp(-(np.log(x / 1000.0) ** 2)), peak_label=str(i))
        for i, height in enumerate([2, 2.01, 2.02])
    ]
    chart = parse_chart(svg.frequency_axis(), svg.linear_axis("dB", -6, 6), curves)
    positions = [float(t.get("y")) for t in chart.iter(f"{SVG}text") if t.get("class") == "peak-label"]
    assert len(positions) == 3
    assert np.diff(sorted(positions)).min() >= 12.9


def test_title_and_description_are_escaped_and_label_the_chart():
    chart = parse_chart(svg.time_axis(1.0), svg.linear_axis("<b>", 0, 1), [], title='<script>"', description="a & b")
    assert chart.find(f"{SVG}title").text == '<script>"'
    assert chart.find(f"{SVG}desc").text == "a & b"
    assert chart.get("aria-labelledby").split() == [chart.find(f"{SVG}{n}").get("id") for n in ("title", "desc")]


def test_a_swatch_has_the_style_of_its_line():
    swatch = ElementTree.fromstring(svg.render_swatch(svg.LineStyle(svg.GREEN, width=1.6, dash="6 2")))
    (path,) = swatch.iter("path")
    assert (path.get("stroke"), path.get("stroke-width"), path.get("stroke-dasharray")) == (svg.GREEN, "1.6", "6 2")
