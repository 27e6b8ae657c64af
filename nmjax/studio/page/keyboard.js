// @ts-check
/** Keys of the whole page. */
import { change, step } from "./changes.js";
import * as listening from "./listening.js";
import * as store from "./store.js";

const CHAIN = ["eq", "compressor", "saturator", "width", "residual"];

/** What the list of keys shows. */
export const KEYS = [
  { keys: ["Space"], text: "Play or pause" },
  { keys: ["A", "B"], text: "Original, master" },
  { keys: ["X"], text: "Switch between original and master" },
  { keys: ["R"], text: "Reference" },
  { keys: ["N"], text: "Only what changes" },
  { keys: ["←", "→"], text: "5 seconds back or forward, with Shift 1 second" },
  { keys: ["Home"], text: "Start of the track or loop" },
  { keys: ["L"], text: "Loop on or off" },
  { keys: ["[", "]"], text: "Start or end of the loop at the play head" },
  { keys: ["+", "−"], text: "Zoom the waveform at the play head" },
  { keys: ["0"], text: "Show the whole track" },
  { keys: ["E"], text: "Equalizer of everything or of the side" },
  { keys: ["1", "…", "5"], text: "Tone, dynamics, warmth, stereo width, fine correction: off and on" },
  { keys: ["Shift", "1", "…", "5"], text: "Listen to one of them alone" },
  { keys: ["Ctrl", "Z"], text: "Undo, with Shift redo" },
  { keys: ["S"], text: "Snapshots" },
  { keys: ["D"], text: "Deliver" },
  { keys: ["Tab"], text: "Next control; the points of the equalizer too" },
  { keys: ["↑", "↓", "←", "→"], text: "On a point: gain and frequency, with Shift finer" },
  { keys: ["Page ↑", "Page ↓"], text: "On a point: narrower, wider" },
  { keys: ["Delete"], text: "On a point: back to the suggestion" },
  { keys: ["?"], text: "This list" },
];

/** @param {string} name */
function toggleBypass(name) {
  const state = store.track.value?.state;
  if (!state) return;
  const isOff = state.bypass.includes(name);
  change({ bypass: isOff ? state.bypass.filter((other) => other !== name) : [...state.bypass, name] });
}

/** @param {string} name */
function toggleSolo(name) {
  const state = store.track.value?.state;
  if (state) change({ solo: state.solo === name ? null : name });
}

function zoom(factor) {
  const waveform = /** @type {any} */ (document.querySelector("nm-waveform"));
  if (waveform) waveform.zoom(factor, Math.min(1, Math.max(0, waveform.x(waveform.position) / waveform.width)));
}

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const ACTIONS = {
  " ": () => listening.togglePlay(),
  a: () => listening.chooseSide("original"),
  b: () => listening.chooseSide("master"),
  x: () => listening.chooseSide(store.side.value === "original" ? "master" : "original"),
  r: () => listening.chooseSide("reference"),
  n: () => listening.chooseSide(store.side.value === "null" ? "master" : "null"),
  l: () => listening.toggleLoop(),
  "[": () => listening.markLoop("start"),
  "]": () => listening.markLoop("end"),
  arrowleft: (event) => listening.seekBy(event.shiftKey ? -1 : -5),
  arrowright: (event) => listening.seekBy(event.shiftKey ? 1 : 5),
  home: () => listening.player.seek(store.loop.value?.start ?? 0),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => listening.chooseView({ start: 0, end: store.track.value?.frames ?? 0 }),
  e: () => store.isMastered.value && store.chooseEqView(store.eqView.value === "all" ? "side" : "all"),
  s: () => store.isMastered.value && (store.dialog.value = "snapshots"),
  d: () => store.isMastered.value && (store.dialog.value = "deliver"),
  "?": () => (store.dialog.value = "keys"),
};

/** Whether a key belongs to the focused control, such as letters to a text field and the space bar to a button. */
function isTaken(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.closest("select, textarea")) return true;
  if (target instanceof HTMLInputElement) {
    return target.type === "text" || (target.type === "range" ? event.key.startsWith("Arrow") || event.key === "Home" : event.key === " ");
  }
  const isPressable = target.closest("button, a, summary");
  if (isPressable && [" ", "Enter"].includes(event.key)) return true;
  return Boolean(target.closest("[role=radiogroup]")) && event.key.startsWith("Arrow");
}

/** @param {KeyboardEvent} event */
function handleKey(event) {
  if (event.defaultPrevented || store.dialog.value || isTaken(event) || !store.track.value) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") step(event.shiftKey ? "redo" : "undo");
    else if (key === "y") step("redo");
    else return;
    return event.preventDefault();
  }
  if (event.altKey) return;
  const stage = /^Digit([1-5])$/.exec(event.code)?.[1];
  const action = stage ? () => (event.shiftKey ? toggleSolo : toggleBypass)(CHAIN[Number(stage) - 1]) : ACTIONS[key];
  if (!action) return;
  event.preventDefault();
  action(event);
}

/**
 * After a mouse or a finger, the keys go to the page again: Space plays, and letters choose no entry of a list.
 * @param {Event} event
 */
function giveBackFocus(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const control = /** @type {HTMLElement | null} */ (target.closest("button, select, input[type=checkbox], .switch"));
  if (usesPointer && control?.contains(document.activeElement) && !target.closest("dialog, .menu")) {
    /** @type {HTMLElement} */ (document.activeElement).blur();
  }
}

let usesPointer = false;

export function listenToKeys() {
  document.addEventListener("keydown", handleKey);
  document.addEventListener("keydown", () => (usesPointer = false), true);
  document.addEventListener("pointerdown", () => (usesPointer = true), true);
  document.addEventListener("click", (event) => !(event.target instanceof HTMLSelectElement) && giveBackFocus(event));
  document.addEventListener("change", (event) => event.target instanceof HTMLSelectElement && giveBackFocus(event));
}
