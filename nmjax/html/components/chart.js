// @ts-check
/**
 * `<nm-chart>`: curves over two axes with a legend, and the values under the pointer or under a cursor of the arrow keys.
 * Property: `chart`. Curves differ in color and dashes, by the class `line-STYLE` of the style sheet.
 *
 * @typedef {{label: string, unit: string, kind: "linear" | "frequency" | "time", low: number, high: number,
 *   ticks: {value: number, text: string}[]}} Axis
 * @typedef {{name: string, style: string, x: number[], y: (number | null)[], fill: boolean}} Curve  null breaks the line
 * @typedef {{title: string, description: string, x: Axis, y: Axis, curves: Curve[]}} ChartData
 */
import { Drawing, drawnProperties, path, svg } from "./base.js";
import { clock, fixed, frequency } from "./format.js";
import { interpolate, Readout } from "./readout.js";

const MARGIN = { left: 46, right: 16, top: 24, bottom: 40 };
const NARROW = 560; // pixels; narrower charts are higher for their width
const TEXT_WIDTH = 7; // of a character, about

/** Position on an axis, 0 to 1; values beyond its range are moved to its ends. @param {Axis} axis @param {number} value */
export function axisShare({ low, high, kind }, value) {
  const inside = Math.min(high, Math.max(low, value));
  return kind === "frequency" ? Math.log(inside / low) / Math.log(high / low) : (inside - low) / (high - low);
}

/** The value at a position on an axis. @param {Axis} axis @param {number} share */
export function axisValue({ low, high, kind }, share) {
  return kind === "frequency" ? low * (high / low) ** share : low + share * (high - low);
}

/** The runs of known points of a curve, as indices [first, end). @param {(number | null)[]} values */
function knownRuns(values) {
  const runs = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] === null) continue;
    const first = i;
    while (i < values.length && values[i] !== null) i++;
    runs.push([first, i]);
  }
  return runs;
}

export class Chart extends Drawing {
  /** @type {SVGElement} */
  svg;
  /** @type {HTMLElement} */
  legend;

  build() {
    this.svg = svg("svg", { role: "img" });
    this.append(this.svg);
    this.legend = document.createElement("ul");
    this.legend.className = "legend";
    this.append(this.legend);
    new Readout(this, (x) => this.valuesAt(x)).listenToKeys();
    this.drawLegend();
  }

  get drawnHeight() {
    return Math.round(this.width * (this.width < NARROW ? 0.68 : 0.385));
  }

  /** @param {number} value */
  x(value) {
    return MARGIN.left + axisShare(this.chart.x, value) * (this.width - MARGIN.left - MARGIN.right);
  }

  /** @param {number} value */
  y(value) {
    const bottom = this.drawnHeight - MARGIN.bottom;
    return bottom - axisShare(this.chart.y, value) * (bottom - MARGIN.top);
  }

  draw() {
    if (!this.chart) return;
    const { title, description, curves } = /** @type {ChartData} */ (this.chart);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.drawnHeight}`);
    this.svg.setAttribute("aria-label", `${title}. ${description}`);
    this.svg.replaceChildren();
    this.drawGrid(svg("g", { class: "chart-grid" }, this.svg));
    for (const curve of curves) if (curve.fill) this.drawFill(curve);
    for (const curve of curves) this.drawLine(curve);
  }

  drawGrid(group) {
    const { x: xAxis, y: yAxis } = /** @type {ChartData} */ (this.chart);
    const [bottom, right] = [this.drawnHeight - MARGIN.bottom, this.width - MARGIN.right];
    let free = -Infinity; // a text further left would touch the one before
    for (const { value, text } of xAxis.ticks) {
      const half = (TEXT_WIDTH * text.length) / 2;
      const [x, textX] = [this.x(value), Math.min(this.x(value), this.width - half)];
      if (textX - half < free) continue;
      free = textX + half + TEXT_WIDTH;
      svg("line", { x1: x, x2: x, y1: MARGIN.top, y2: bottom }, group);
      svg("text", { x: textX, y: bottom + 16, "text-anchor": "middle" }, group).textContent = text;
    }
    for (const { value, text } of yAxis.ticks) {
      const y = this.y(value);
      svg("line", { x1: MARGIN.left, x2: right, y1: y, y2: y, class: value ? "" : "is-zero" }, group);
      svg("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, group).textContent = text;
    }
    const middle = (MARGIN.left + right) / 2;
    svg("text", { x: middle, y: bottom + 34, "text-anchor": "middle" }, group).textContent = xAxis.label;
    svg("text", { x: 0, y: 13 }, group).textContent = yAxis.label;
  }

  /** @param {Curve} curve */
  drawLine({ x, y, style }) {
    const ys = y.map((value) => (value === null ? Number.NaN : this.y(value)));
    const line = path(x.map((value) => this.x(value)), ys);
    // A single point would be invisible.
    svg("path", { class: `chart-line line-${style}`, d: x.length === 1 && line ? `${line}h0.1` : line }, this.svg);
  }

  /** @param {Curve} curve */
  drawFill({ x, y, style }) {
    const shapes = knownRuns(y).map(([first, end]) => {
      const xs = x.slice(first, end).map((value) => this.x(value));
      const ys = y.slice(first, end).map((value) => this.y(Number(value)));
      return `${path(xs, ys)}L${xs.at(-1)} ${this.y(0)}L${xs[0]} ${this.y(0)}Z`;
    });
    svg("path", { class: `chart-fill line-${style}`, d: shapes.join("") }, this.svg);
  }

  drawLegend() {
    this.legend.replaceChildren();
    for (const { name, style } of this.chart?.curves ?? []) {
      if (!name) continue;
      const item = document.createElement("li");
      const swatch = svg("svg", { class: "swatch", viewBox: "0 0 34 12", "aria-hidden": "true" }, item);
      svg("path", { class: `chart-line line-${style}`, d: "M1 6H33" }, swatch);
      item.append(name);
      this.legend.append(item);
    }
  }

  /** @param {number} x  in pixels */
  valuesAt(x) {
    if (!this.chart) return null;
    const { x: xAxis, y: yAxis, curves } = /** @type {ChartData} */ (this.chart);
    const share = (x - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    if (share < 0 || share > 1) return null;
    const value = axisValue(xAxis, share);
    const digits = yAxis.high - yAxis.low < 3 ? 2 : 1;
    const rows = curves.flatMap(({ name, style, x: xs, y: ys }) => {
      const at = name ? interpolate(xs, ys, value) : null;
      return at === null ? [] : [{ name, style: `line-${style}`, text: `${fixed(at, digits)} ${yAxis.unit}`.trim() }];
    });
    return { x, title: axisText(xAxis, value), rows };
  }
}

/** @param {Axis} axis @param {number} value */
function axisText({ kind, unit, low, high }, value) {
  if (kind === "frequency") return frequency(value);
  if (kind === "time") return clock(value, high < 60 ? 1 : 0);
  return `${fixed(value, high - low < 3 ? 2 : 1)} ${unit}`.trim();
}

drawnProperties(Chart, ["chart"]);
customElements.define("nm-chart", Chart);
