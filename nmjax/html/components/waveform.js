// @ts-check
/**
 * `<nm-waveform>`: the whole track or a part of it, original and master.
 *
 * Click: seek. Drag: loop. Wheel: zoom at the pointer; with Shift, or sideways: move along. Keyboard: arrows seek, + and −
 * zoom. Properties: `track` {frames, sampleRate}, `peaks` {side: Peaks}, `side` (drawn in front), `loop`, `view`, `position`.
 * Events: "seek" {frame}, "loopchange" {loop}, "viewchange" {view}.
 *
 * @typedef {{start: number, frames: number, data: Float32Array}} Peaks  data is [columns, 2], minimum and maximum
 */
import { clock } from "./format.js";
import { color, Drawing, drawnProperties, prepareCanvas } from "./base.js";

const RULER_PX = 18;
const DRAG_PX = 5;
const SHORTEST_VIEW_S = 0.25;
const TICKS_S = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

export class Waveform extends Drawing {
  /** @type {HTMLCanvasElement} */
  canvas;
  /** @type {HTMLElement} */
  head;

  build() {
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.head = document.createElement("div");
    this.head.className = "waveform-head";
    this.append(this.canvas, this.head);
    this.tabIndex = 0;
    this.setAttribute("role", "slider");
    this.setAttribute("aria-label", "Position in the track");
    this.setAttribute("aria-valuemin", "0");
    this.addEventListener("pointerdown", (event) => this.down(event));
    this.addEventListener("pointermove", (event) => this.move(event));
    this.addEventListener("pointerup", (event) => this.up(event));
    this.addEventListener("pointercancel", () => (this.drag = null));
    this.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  get shown() {
    return this.view ?? { start: 0, end: this.track?.frames ?? 1 };
  }

  x(frame) {
    const { start, end } = this.shown;
    return ((frame - start) / (end - start)) * this.width;
  }

  frameAt(x) {
    const { start, end } = this.shown;
    return Math.round(Math.min(Math.max(0, start + (x / this.width) * (end - start)), this.track.frames));
  }

  /** The play head moves without a redraw. @param {string} name */
  changed(name) {
    if (name !== "position" || !this.head || !this.track) return;
    const x = this.x(this.position);
    this.head.style.transform = `translateX(${x.toFixed(1)}px)`;
    this.head.hidden = !(x >= 0 && x <= this.width) || !this.track.frames;
    const seconds = this.position / this.track.sampleRate;
    if (Math.floor(seconds) === this.toldSeconds) return;
    this.toldSeconds = Math.floor(seconds);
    this.setAttribute("aria-valuemax", String(Math.round(this.track.frames / this.track.sampleRate)));
    this.setAttribute("aria-valuenow", String(this.toldSeconds));
    this.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(this.track.frames / this.track.sampleRate)}`);
  }

  draw() {
    if (!this.track?.frames) return void (this.head.hidden = true);
    const context = prepareCanvas(this.canvas, this.width, this.height);
    this.drawRuler(context);
    if (this.loop) {
      const [a, b] = [this.x(this.loop.start), this.x(this.loop.end)];
      context.fillStyle = color(this, "--loop");
      context.fillRect(a, 0, b - a, this.height - RULER_PX);
      context.fillStyle = color(this, "--accent");
      context.fillRect(a - 1, 0, 2, this.height - RULER_PX);
      context.fillRect(b - 1, 0, 2, this.height - RULER_PX);
    }
    const front = this.side !== "null" && this.peaks?.[this.side] ? this.side : "master";
    const back = front === "original" ? "master" : "original";
    this.drawPeaks(context, back, color(this, `--${back}-faint`));
    this.drawPeaks(context, front, color(this, `--${front}`));
    const isReady = Boolean(this.peaks?.original || this.peaks?.master);
    this.toggleAttribute("data-empty", !isReady);
    this.toldSeconds = undefined;
    this.changed("position");
  }

  drawRuler(context) {
    const { start, end } = this.shown;
    const rate = this.track.sampleRate;
    const seconds = (end - start) / rate;
    const step = TICKS_S.find((tick) => (tick / seconds) * this.width >= 70) ?? 600;
    context.font = `12px ${getComputedStyle(this).fontFamily}`;
    context.textBaseline = "bottom";
    for (let tick = Math.ceil(start / rate / step) * step; tick <= end / rate; tick += step) {
      const x = Math.round(this.x(tick * rate)) + 0.5;
      context.fillStyle = color(this, "--grid");
      context.fillRect(x - 0.5, 0, 1, this.height - RULER_PX + 4);
      context.fillStyle = color(this, "--muted");
      const text = clock(tick, step < 0.1 ? 2 : step < 1 ? 2 : 0);
      const width = context.measureText(text).width;
      if (x + width + 4 < this.width) context.fillText(text, x + 4, this.height - 1);
    }
  }

  drawPeaks(context, side, fill) {
    const peaks = this.peaks?.[side];
    if (!peaks) return;
    const columns = peaks.data.length / 2;
    const middle = (this.height - RULER_PX) / 2;
    const scale = 0.95 / this.highestPeak();
    const framesPerColumn = peaks.frames / columns;
    context.fillStyle = fill;
    for (let x = 0; x < this.width; x++) {
      const from = Math.floor((this.frameAt(x) - peaks.start) / framesPerColumn);
      const to = Math.max(from + 1, Math.ceil((this.frameAt(x + 1) - peaks.start) / framesPerColumn));
      if (to <= 0 || from >= columns) continue;
      let [low, high] = [Infinity, -Infinity];
      for (let i = Math.max(0, from); i < Math.min(columns, to); i++) {
        low = Math.min(low, peaks.data[2 * i]);
        high = Math.max(high, peaks.data[2 * i + 1]);
      }
      const top = middle * (1 - Math.min(1, scale * high));
      const bottom = middle * (1 - Math.max(-1, scale * low));
      context.fillRect(x, top, 1, Math.max(1, bottom - top));
    }
  }

  /** The highest peak of both sides, so that the waveform fills the height; quiet tracks grow by 20 dB at most. */
  highestPeak() {
    if (this.scaledPeaks !== this.peaks) {
      this.scaledPeaks = this.peaks;
      const sides = Object.values(this.peaks ?? {});
      this.highest = sides.reduce((highest, { data }) => data.reduce((a, b) => Math.max(a, Math.abs(b)), highest), 0.1);
    }
    return this.highest;
  }

  place(event) {
    return event.clientX - this.getBoundingClientRect().left;
  }

  down(event) {
    if (event.button !== 0 || !this.track) return;
    this.setPointerCapture(event.pointerId);
    this.drag = { x: this.place(event), isLoop: false };
  }

  move(event) {
    if (!this.drag) return;
    const x = this.place(event);
    if (Math.abs(x - this.drag.x) > DRAG_PX) this.drag.isLoop = true;
    if (!this.drag.isLoop) return;
    const [a, b] = [this.frameAt(Math.min(x, this.drag.x)), this.frameAt(Math.max(x, this.drag.x))];
    this.drag.loop = { start: a, end: b };
    this.loop = this.drag.loop;
  }

  up(event) {
    if (!this.drag) return;
    const { isLoop, loop } = this.drag;
    this.drag = null;
    if (!isLoop) this.send("seek", { frame: this.frameAt(this.place(event)) });
    else this.send("loopchange", { loop });
  }

  wheel(event) {
    if (!this.track) return;
    event.preventDefault();
    const pixels = (event.deltaMode === 1 ? 16 : 1) * (event.deltaX || event.deltaY);
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(pixels / this.width);
    else this.zoom(1.002 ** pixels, this.place(event) / this.width);
  }

  /** @param {number} share  of the shown part */
  pan(share) {
    const { start, end } = this.shown;
    const length = end - start;
    const first = Math.min(Math.max(0, start + share * length), this.track.frames - length);
    this.send("viewchange", { view: { start: Math.round(first), end: Math.round(first + length) } });
  }

  /**
   * @param {number} factor  of the shown duration
   * @param {number} share  of the width that stays in place
   */
  zoom(factor, share) {
    const { start, end } = this.shown;
    const shortest = SHORTEST_VIEW_S * this.track.sampleRate;
    const length = Math.min(this.track.frames, Math.max(shortest, (end - start) * factor));
    const anchor = start + share * (end - start);
    const first = Math.min(Math.max(0, anchor - share * length), this.track.frames - length);
    this.send("viewchange", { view: { start: Math.round(first), end: Math.round(first + length) } });
  }
}

drawnProperties(Waveform, ["track", "peaks", "side", "loop", "view"]);
// Set at every frame of the screen, so it moves the play head alone.
Object.defineProperty(Waveform.prototype, "position", {
  get() {
    return this._position ?? 0;
  },
  set(value) {
    this._position = value;
    this.changed("position");
  },
});
customElements.define("nm-waveform", Waveform);
