// @ts-check
/**
 * `<nm-meters>`: loudness at the play head as bars, momentary and short-term, with the target as a line.
 * Properties: `meters` (of the server), `target` (LUFS or null), `offset` (dB added to what is shown), `seconds`.
 */
import { fixed } from "./format.js";
import { Drawing, drawnProperties } from "./base.js";

const [LOWEST, HIGHEST] = [-42, -3]; // LUFS
const BARS = [
  ["momentary", "Now", "Momentary loudness, 0.4 s"],
  ["short_term", "3 s", "Short-term loudness, 3 s"],
];

const share = (lufs) => Math.min(1, Math.max(0, (lufs - LOWEST) / (HIGHEST - LOWEST)));

export class LevelMeters extends Drawing {
  /** @type {{name: string, bar: HTMLElement, target: HTMLElement, value: HTMLElement}[]} */
  bars = [];

  build() {
    this.bars = BARS.map(([name, label, title]) => {
      const row = element("div", "meter", this);
      row.title = title;
      element("span", "meter-label", row).textContent = label;
      const track = element("div", "meter-track", row);
      const bar = element("div", "meter-bar", track);
      const target = element("div", "meter-target", track);
      const value = element("span", "meter-value", row);
      return { name, bar, target, value };
    });
  }

  draw() {
    const { meters } = this;
    const index = meters && !meters.pending ? indexAt(meters.times_s, this.seconds ?? 0) : -1;
    for (const { name, bar, target, value } of this.bars) {
      const lufs = index < 0 ? Number.NaN : meters[name][index] + (this.offset ?? 0);
      bar.style.transform = `scaleX(${Number.isFinite(lufs) ? share(lufs).toFixed(3) : 0})`;
      value.textContent = lufs < -70 ? "−∞" : fixed(lufs);
      target.hidden = typeof this.target !== "number";
      if (typeof this.target === "number") target.style.left = `${(100 * share(this.target)).toFixed(1)}%`;
    }
  }
}

/** Index of the last time at or before `seconds`. @param {number[]} times @param {number} seconds */
export function indexAt(times, seconds) {
  if (!times.length) return -1;
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= seconds) low = middle;
    else high = middle - 1;
  }
  return low;
}

function element(name, className, parent) {
  const child = document.createElement(name);
  child.className = className;
  parent.append(child);
  return child;
}

drawnProperties(LevelMeters, ["meters", "target", "offset", "seconds"]);
customElements.define("nm-meters", LevelMeters);
