// @ts-check
/**
 * `<nm-gain-reduction>`: gain reduction over time around the play head, 0 dB at the top.
 * Properties: `times` (s), `gains` (dB, 0 or less), `seconds` (of the play head), `tint` (name of a style sheet color).
 */
import { fixed } from "./format.js";
import { color, Drawing, drawnProperties, prepareCanvas } from "./base.js";
import { indexAt } from "./level-meters.js";

const WINDOW_S = 12;
const LEAST_RANGE_DB = 3;

export class GainReduction extends Drawing {
  /** @type {HTMLCanvasElement} */
  canvas;
  deepest = 0;

  build() {
    this.canvas = document.createElement("canvas");
    this.append(this.canvas);
    this.setAttribute("role", "img");
  }

  /** @param {string} name */
  changed(name) {
    if (name === "gains") this.deepest = Math.min(0, ...sampled(this.gains ?? []));
  }

  draw() {
    const context = prepareCanvas(this.canvas, this.width, this.height);
    const { times, gains } = this;
    if (!times?.length || !gains?.length) {
      this.setAttribute("aria-label", "Gain reduction: not measured yet");
      return;
    }
    const seconds = this.seconds ?? 0;
    const range = Math.max(LEAST_RANGE_DB, -this.deepest * 1.1);
    const y = (db) => (-db / range) * (this.height - 2);
    const x = (time) => ((time - seconds) / WINDOW_S + 0.5) * this.width;
    const first = indexAt(times, seconds - WINDOW_S / 2);
    const last = indexAt(times, seconds + WINDOW_S / 2);
    context.fillStyle = color(this, this.tint ?? "--accent");
    context.beginPath();
    context.moveTo(x(times[first]), 0);
    for (let i = first; i <= last; i++) context.lineTo(x(times[i]), y(Math.min(0, gains[i])));
    context.lineTo(x(times[last]), 0);
    context.fill();
    context.fillStyle = color(this, "--text");
    context.fillRect(Math.round(this.width / 2), 0, 1, this.height);
    this.label(context, range, gains[indexAt(times, seconds)]);
  }

  label(context, range, now) {
    context.font = `12px ${getComputedStyle(this).fontFamily}`;
    context.fillStyle = color(this, "--muted");
    context.textAlign = "right";
    context.fillText(`${fixed(-range, 0)} dB`, this.width - 4, this.height - 4);
    context.textAlign = "left";
    context.fillStyle = color(this, "--text");
    context.fillText(`${fixed(now)} dB`, 4, this.height - 4);
    this.setAttribute("aria-label", `Gain reduction, at most ${fixed(this.deepest)} decibels`);
  }
}

/** At most a few thousand values, because a call takes no more arguments. */
const sampled = (values) => values.filter((_, i) => i % Math.ceil(values.length / 5000 || 1) === 0);

drawnProperties(GainReduction, ["times", "gains", "seconds", "tint"]);
customElements.define("nm-gain-reduction", GainReduction);
