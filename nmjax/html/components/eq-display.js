// @ts-check
/**
 * `<nm-eq>`: the equalizer with one handle per band, over the spectra before, after and of the target, and the range of
 * similar music.
 *
 * Drag a handle: frequency and gain. Wheel or pinch: Q. Double click: reset. With the keyboard: arrows, Page Up and
 * Page Down for Q, Delete to reset. Properties: `bands`, `amount` (factor of the gains), `limits`, `curves` (of the
 * server, or null), `lines` (further gains {name, style, values} at the frequencies of `curves`), `sampleRate`,
 * `selected`, `disabled`, `readonly` (a picture without controls), `label` (of a band, without its number). Events:
 * "bandchange" {index, change, transient}, "bandreset" {index}, "bandselect" {index}.
 */
import { fixed, frequency, signed } from "./format.js";
import { interpolate, Readout } from "./readout.js";
import { Drawing, drawnProperties, FREQUENCY_TICKS, frequencyShare, path, shareFrequency, svg, tickText } from "./base.js";
import { peakingDb } from "./peaking.js";
import { EqGestures } from "./eq-gestures.js";

const POINTS = 256;
const FREQUENCIES = Array.from({ length: POINTS }, (_, i) => shareFrequency(i / (POINTS - 1)));
const MARGIN = { left: 40, right: 40, top: 12, bottom: 22 };
const SPECTRUM_RANGE_DB = 66;
const SPECTRUM_TOP_DB = 6;
const LEVEL_STEP_DB = 20;

export class EqDisplay extends Drawing {
  /** @type {SVGElement} */
  svg;
  /** @type {SVGElement} */
  grid;
  /** @type {SVGElement} */
  levels;
  /** @type {SVGElement} */
  bandGroup;
  /** @type {SVGElement} */
  handleGroup;
  /** @type {SVGElement} */
  lineGroup;
  /** @type {EqGestures} */
  gestures;
  /** @type {Record<string, SVGElement>} */
  paths = {};
  /** @type {SVGGElement[]} */
  handles = [];
  drawnRange = 12;

  build() {
    const role = this.readonly ? "img" : "group";
    this.svg = svg("svg", { class: "eq-svg", role, "aria-label": this.description ?? "Equalizer bands" });
    this.append(this.svg);
    this.grid = svg("g", { class: "eq-grid", "aria-hidden": "true" }, this.svg);
    this.levels = svg("g", { class: "eq-grid eq-levels", "aria-hidden": "true" }, this.svg);
    const plot = svg("g", { "aria-hidden": "true" }, this.svg);
    const names = ["typical", "median", "before", "target", "after", "zero"];
    this.paths = Object.fromEntries(names.map((name) => [name, svg("path", { class: `eq-${name}` }, plot)]));
    this.bandGroup = svg("g", {}, plot);
    this.paths.total = svg("path", { class: "eq-total" }, plot);
    this.lineGroup = svg("g", {}, plot);
    this.handleGroup = svg("g", {}, this.svg);
    this.gestures = new EqGestures(this);
    new Readout(this, (x) => this.valuesAt(x));
  }

  get gainRange() {
    const [low, high] = this.limits?.gain_db ?? [-12, 12];
    const largest = Math.max(0, ...(this.bands ?? []).map((band) => Math.abs(band.gain_db) * 1.15));
    const extremes = (this.lines ?? []).flatMap(({ values }) => values.map(Math.abs));
    const range = [3, 6, 12].find((step) => Math.max(largest, ...extremes) <= step) ?? 12;
    return Math.min(range, Math.max(-low, high));
  }

  x(hz) {
    return MARGIN.left + frequencyShare(hz) * (this.width - MARGIN.left - MARGIN.right);
  }

  y(db) {
    const half = (this.height - MARGIN.top - MARGIN.bottom) / 2;
    return MARGIN.top + half * (1 - db / this.drawnRange);
  }

  /** Frequency and gain at a place of the element, within the limits. */
  valueAt(x, y) {
    const share = (x - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    const half = (this.height - MARGIN.top - MARGIN.bottom) / 2;
    return { freq_hz: shareFrequency(share), gain_db: this.drawnRange * (1 - (y - MARGIN.top) / half) };
  }

  draw() {
    if (!this.bands) return;
    if (!this.gestures.isDragging) this.drawnRange = this.gainRange;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.drawGrid();
    this.drawSpectra();
    this.drawBands();
    this.drawHandles();
  }

  drawGrid() {
    const key = `${this.width} ${this.height} ${this.drawnRange}`;
    if (this.gridKey === key) return;
    this.gridKey = key;
    this.grid.replaceChildren();
    const [top, bottom] = [MARGIN.top, this.height - MARGIN.bottom];
    for (const hz of FREQUENCY_TICKS) {
      const x = this.x(hz);
      svg("line", { x1: x, x2: x, y1: top, y2: bottom }, this.grid);
      if (this.width < 520 && [50, 200, 500, 2000, 5000, 20000].includes(hz)) continue;
      svg("text", { x, y: this.height - 6, "text-anchor": "middle" }, this.grid).textContent = tickText(hz);
    }
    const step = this.drawnRange / (this.drawnRange > 6 ? 4 : 3);
    for (let db = -this.drawnRange; db <= this.drawnRange; db += step) {
      const y = this.y(db);
      svg("line", { x1: MARGIN.left, x2: this.width - MARGIN.right, y1: y, y2: y, class: db ? "" : "eq-zero-line" }, this.grid);
      svg("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, this.grid).textContent = signed(db, 0);
    }
    svg("text", { x: MARGIN.left - 6, y: MARGIN.top + 20, "text-anchor": "end" }, this.grid).textContent = "dB";
  }

  drawSpectra() {
    const { spectrum_before: before, spectrum_after: after, target, typical, freq_hz: frequencies } = this.curves ?? {};
    const { paths } = this;
    const shown = { before, after, target, median: typical?.median };
    if (!frequencies || !before) {
      for (const name of ["before", "after", "target", "typical", "median"]) paths[name].setAttribute("d", "");
      return;
    }
    const inside = frequencies.map((hz, i) => i).filter((i) => frequencies[i] >= 20 && frequencies[i] <= 20000);
    const highest = Math.max(...inside.map((i) => Math.max(before[i], after?.[i] ?? -999, target?.[i] ?? -999)));
    const [top, bottom] = [MARGIN.top, this.height - MARGIN.bottom];
    const y = (db) => {
      const share = (highest + SPECTRUM_TOP_DB - db) / SPECTRUM_RANGE_DB;
      return top + Math.min(1, Math.max(0, share)) * (bottom - top);
    };
    const xs = inside.map((i) => this.x(frequencies[i]));
    const ys = (values) => inside.map((i) => (values[i] === null ? Number.NaN : y(values[i])));
    this.drawLevels(highest + SPECTRUM_TOP_DB, y);
    for (const [name, values] of Object.entries(shown)) paths[name].setAttribute("d", values ? path(xs, ys(values)) : "");
    if (before) {
      const area = `${path(xs, ys(before))}L${xs.at(-1)} ${bottom}L${xs[0]} ${bottom}Z`;
      paths.before.setAttribute("d", area);
    }
    if (!typical) return paths.typical.setAttribute("d", "");
    const back = path([...xs].reverse(), ys(typical.low).reverse()).replace("M", "L");
    paths.typical.setAttribute("d", `${path(xs, ys(typical.high))}${back}Z`);
  }

  /** The scale of the spectra, on the right. @param {number} top  its highest level @param {(db: number) => number} y */
  drawLevels(top, y) {
    const key = `${this.gridKey} ${top.toFixed(1)}`;
    if (this.levelKey === key) return;
    this.levelKey = key;
    this.levels.replaceChildren();
    const x = this.width - MARGIN.right + 6;
    const text = (place, label) => (svg("text", { x, y: place }, this.levels).textContent = label);
    text(MARGIN.top + 20, "dB");
    for (let db = LEVEL_STEP_DB * Math.floor(top / LEVEL_STEP_DB); db > top - SPECTRUM_RANGE_DB; db -= LEVEL_STEP_DB) {
      if (y(db) > MARGIN.top + 32) text(y(db) + 4, fixed(db, 0));
    }
  }

  /** Curves of the bands: the server's where they belong to these settings, otherwise computed here. */
  responses() {
    if (this.curves?.bands?.length === this.bands.length && this.isExact) {
      return { frequencies: this.curves.freq_hz, bands: this.curves.bands, total: this.curves.total };
    }
    const bands = this.bands.map((band) => {
      const gain_db = band.gain_db * (band.gate ?? 1) * (this.amount ?? 1);
      return peakingDb({ ...band, gain_db }, FREQUENCIES, this.sampleRate ?? 44100);
    });
    const total = FREQUENCIES.map((_, i) => bands.reduce((sum, band) => sum + band[i], 0));
    return { frequencies: FREQUENCIES, bands, total };
  }

  drawBands() {
    const { frequencies, bands, total } = this.responses();
    const [top, bottom] = [MARGIN.top, this.height - MARGIN.bottom];
    const inside = frequencies.map((_, i) => i).filter((i) => frequencies[i] >= 20 && frequencies[i] <= 20001);
    const xs = inside.map((i) => this.x(frequencies[i]));
    const ys = (values) => inside.map((i) => Math.min(bottom, Math.max(top, this.y(values[i]))));
    while (this.bandGroup.childElementCount < bands.length) svg("path", {}, this.bandGroup);
    while (this.bandGroup.childElementCount > bands.length) this.bandGroup.lastElementChild?.remove();
    bands.forEach((band, i) => {
      const zero = this.y(0);
      const element = this.bandGroup.children[i];
      element.setAttribute("d", `${path(xs, ys(band))}L${xs.at(-1)} ${zero}L${xs[0]} ${zero}Z`);
      element.setAttribute("class", `eq-band band-${i % 8}${this.selected === i ? " is-selected" : ""}`);
    });
    this.paths.total.setAttribute("d", path(xs, ys(total)));
    this.lineGroup.replaceChildren();
    for (const { style, values } of this.lines ?? []) {
      svg("path", { class: `chart-line line-${style}`, d: path(xs, ys(values)) }, this.lineGroup);
    }
  }

  /** @param {number} x  in pixels */
  valuesAt(x) {
    const share = (x - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    if (!this.bands || this.gestures.isDragging || share < 0 || share > 1) return null;
    const hz = shareFrequency(share);
    const { frequencies, total } = this.responses();
    const { freq_hz: points = [], spectrum_before: before, spectrum_after: after } = this.curves ?? {};
    const row = (name, style, xs, ys, text) => {
      const value = ys ? interpolate(xs, ys, hz) : null;
      return value === null ? [] : [{ name, style, text: `${text(value)} dB` }];
    };
    return {
      x,
      title: frequency(hz),
      rows: [
        ...row("Equalizer", "line-total", frequencies, total, signed),
        ...(this.lines ?? []).flatMap(({ name, style, values }) => row(name, `line-${style}`, points, values, signed)),
        ...row("Original", "line-input", points, before, fixed),
        ...row("Master", "line-master", points, after, fixed),
      ],
    };
  }

  drawHandles() {
    while (this.handles.length > this.bands.length) this.handles.pop()?.remove();
    while (this.handles.length < this.bands.length) this.handles.push(this.createHandle(this.handles.length));
    const [low, high] = this.limits?.gain_db ?? [-12, 12];
    this.bands.forEach((band, i) => {
      const handle = this.handles[i];
      const limit = this.drawnRange;
      const y = this.y(Math.min(limit, Math.max(-limit, band.gain_db)));
      handle.setAttribute("transform", `translate(${this.x(band.freq_hz).toFixed(1)} ${y.toFixed(1)})`);
      handle.setAttribute("class", `eq-handle band-${i % 8}${this.selected === i ? " is-selected" : ""}`);
      if (this.readonly) return;
      handle.setAttribute("aria-label", `${this.label ?? "Band"} ${i + 1}`);
      handle.setAttribute("aria-valuemin", String(low));
      handle.setAttribute("aria-valuemax", String(high));
      handle.setAttribute("aria-valuenow", band.gain_db.toFixed(2));
      handle.setAttribute("aria-disabled", String(Boolean(this.disabled)));
      handle.setAttribute(
        "aria-valuetext",
        `${frequency(band.freq_hz)}, ${signed(band.gain_db)} decibels, Q ${fixed(band.q, 2)}`,
      );
    });
  }

  createHandle(index) {
    const slider = { role: "slider", tabindex: 0, "aria-orientation": "vertical", "data-band": index };
    const handle = svg("g", this.readonly ? { "aria-hidden": "true" } : slider);
    svg("circle", { r: 20, class: "eq-hit" }, handle);
    svg("circle", { r: 10, class: "eq-dot" }, handle);
    svg("text", { y: 4, "text-anchor": "middle", "aria-hidden": "true" }, handle).textContent = String(this.bands[index].number ?? index + 1);
    this.handleGroup.append(handle);
    if (!this.readonly) this.gestures.attach(/** @type {SVGGElement} */ (handle), index);
    return /** @type {SVGGElement} */ (handle);
  }
}

drawnProperties(EqDisplay, ["bands", "amount", "limits", "curves", "lines", "isExact", "sampleRate", "selected", "disabled", "readonly", "label"]);
customElements.define("nm-eq", EqDisplay);
