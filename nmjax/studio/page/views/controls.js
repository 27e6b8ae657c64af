// @ts-check
/** Controls that several parts of the page use: sliders with a number, switches, file choosers, drop areas. */
import { fixed, parseNumber } from "../components/format.js";
import { classes, html } from "../html.js";
import { dropTarget } from "../store.js";

const STEPS = 1000;

/** @param {number} value */
const toShare = (value, { low, high, scale }) =>
  scale === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
const fromShare = (share, { low, high, scale }) =>
  scale === "log" ? low * (high / low) ** share : low + share * (high - low);

/** Digits after the point: as a step needs them, or three figures on a logarithmic scale. */
function digitsOf(value, step, scale) {
  if (step >= 1) return 0;
  if (scale === "log") return value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return Math.max(1, -Math.ceil(Math.log10(step) - 1e-9));
}

/**
 * A slider with its value as an editable number; `name` is for screen readers where the label alone does not say it.
 * @param {{label: string, name?: string, value: number, low: number, high: number, scale?: string, step?: number, unit?: string,
 *   reset?: number | null, hint?: string, disabled?: boolean, onChange: (value: number, transient: boolean) => void}} props
 */
export function Slider(props) {
  const { label, name = label, value, low, high, scale = "linear", step = 0.01, unit = "", hint, disabled, onChange } = props;
  const range = { low, high, scale };
  const digits = digitsOf(value, step, scale);
  const text = fixed(value, digits);
  const round = (raw) => Math.min(high, Math.max(low, Number((Math.round(raw / step) * step).toFixed(6))));
  const moved = (event, transient) => onChange(round(fromShare(Number(event.target.value) / STEPS, range)), transient);
  const typed = (event) => {
    const number = parseNumber(event.target.value);
    const isNumber = Number.isFinite(number);
    const next = isNumber ? Math.min(high, Math.max(low, number)) : value;
    event.target.value = fixed(next, digitsOf(next, step, scale));
    if (isNumber) onChange(next, false);
  };
  const reset = () => props.reset !== undefined && props.reset !== null && onChange(props.reset, false);
  return html`<div class="slider" title=${hint}>
    <label>
      <span class="slider-label">${label}</span>
      <input type="range" min="0" max=${STEPS} step="1" value=${Math.round(STEPS * toShare(value, range))}
        aria-label=${name === label ? undefined : name} aria-valuetext=${`${text} ${unit}`} disabled=${disabled} onDblClick=${reset}
        onInput=${(event) => moved(event, true)} onChange=${(event) => moved(event, false)} />
    </label>
    <input class="number" type="text" inputmode="decimal" aria-label=${`${name}${unit ? ` in ${unit}` : ""}`}
      disabled=${disabled} onChange=${typed} onFocus=${(event) => event.target.select()}
      ref=${(field) => field && document.activeElement !== field && (field.value = text)} />
    <span class="unit">${unit}</span>
  </div>`;
}

/** @param {{label: string, on: boolean, onChange: (on: boolean) => void, hint?: string, disabled?: boolean}} props */
export const Switch = ({ label, on, onChange, hint, disabled }) =>
  html`<label class="switch" title=${hint}>
    <input type="checkbox" role="switch" checked=${on} disabled=${disabled}
      onChange=${(event) => onChange(event.target.checked)} />
    <span>${label}</span>
  </label>`;

/**
 * A button that opens the file chooser.
 * @param {{label: string, accept: string, multiple?: boolean, className?: string, disabled?: boolean,
 *   onFiles: (files: File[]) => void}} props
 */
export function FileButton({ label, accept, multiple, className = "", disabled, onFiles }) {
  const choose = (event) => {
    const input = event.currentTarget.nextElementSibling;
    input.value = "";
    input.click();
  };
  return html`<span class="file-button">
    <button type="button" class=${className} disabled=${disabled} onClick=${choose}>${label}</button>
    <input type="file" hidden accept=${accept} multiple=${multiple} aria-label=${label}
      onChange=${(event) => onFiles([...event.target.files])} />
  </span>`;
}

export const AUDIO = "audio/*,.wav,.flac,.ogg,.oga,.opus,.mp3,.aif,.aiff";

/**
 * An area that takes dropped files.
 * @param {{target: "track" | "reference", onFiles: (files: File[]) => void, className?: string, children?: any}} props
 */
export function DropArea({ target, onFiles, className = "", children }) {
  const hover = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    dropTarget.value = target;
  };
  const leave = (event) => {
    if (!event.currentTarget.contains(event.relatedTarget)) dropTarget.value = null;
  };
  const drop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    dropTarget.value = null;
    onFiles([...event.dataTransfer.files]);
  };
  return html`<div class=${`${className} ${classes({ "is-target": dropTarget.value === target })}`}
    onDragOver=${hover} onDragEnter=${hover} onDragLeave=${leave} onDrop=${drop}>${children}</div>`;
}

/** @param {{value: number, label: string}} props  value 0 to 1 */
export const Progress = ({ value, label }) =>
  html`<progress max="1" value=${value} aria-label=${label}></progress>`;
