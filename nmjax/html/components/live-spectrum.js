// @ts-check
/** `<nm-spectrum>`: the spectrum of what sounds now. Property: `node` (an AnalyserNode, or null). Call `refresh()`. */
import { color, Drawing, drawnProperties, prepareCanvas, shareFrequency } from "./base.js";

const MARGIN = { left: 40, right: 40, top: 12, bottom: 22 }; // as in <nm-eq>, which is drawn over it
const [TOP_DB, RANGE_DB] = [-18, 66];
const TILT_DB = 3; // per octave above 1 kHz, so that music looks level

export class LiveSpectrum extends Drawing {
  /** @type {HTMLCanvasElement} */
  canvas;

  build() {
    this.canvas = document.createElement("canvas");
    this.append(this.canvas);
    this.setAttribute("aria-hidden", "true");
  }

  /** Reads the spectrum and draws it; an empty picture where nothing plays. @param {boolean} playing */
  refresh(playing) {
    if (!playing && this.isBlank) return;
    this.isBlank = !playing;
    this.invalidate();
  }

  draw() {
    const context = prepareCanvas(this.canvas, this.width, this.height);
    if (!this.node || this.isBlank) return;
    const levels = new Float32Array(this.node.frequencyBinCount);
    this.node.getFloatFrequencyData(levels);
    const width = this.width - MARGIN.left - MARGIN.right;
    const height = this.height - MARGIN.top - MARGIN.bottom;
    const hzPerBin = this.node.context.sampleRate / this.node.fftSize;
    context.fillStyle = color(this, "--live");
    context.beginPath();
    context.moveTo(MARGIN.left, MARGIN.top + height);
    for (let x = 0; x <= width; x += 2) {
      const [low, high] = [shareFrequency(x / width), shareFrequency((x + 2) / width)];
      const level = highest(levels, low / hzPerBin, high / hzPerBin) + TILT_DB * Math.log2(low / 1000);
      const share = Math.min(1, Math.max(0, (TOP_DB - level) / RANGE_DB));
      context.lineTo(MARGIN.left + x, MARGIN.top + share * height);
    }
    context.lineTo(MARGIN.left + width, MARGIN.top + height);
    context.fill();
  }
}

/** The highest level between two places of a spectrum; interpolated where they are within one bin. */
function highest(levels, low, high) {
  if (Math.floor(high) <= Math.ceil(low)) {
    const i = Math.min(Math.floor(low), levels.length - 2);
    return levels[i] + (low - i) * (levels[i + 1] - levels[i]);
  }
  let level = -Infinity;
  for (let i = Math.ceil(low); i <= Math.min(high, levels.length - 1); i++) level = Math.max(level, levels[i]);
  return level;
}

drawnProperties(LiveSpectrum, ["node"]);
customElements.define("nm-spectrum", LiveSpectrum);
