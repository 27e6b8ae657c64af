// @ts-check
/** Markup in template strings: htm with preact. */
import htm from "./vendor/htm.mjs";
import { h } from "./vendor/preact.mjs";

export const html = htm.bind(h);

/** Class names that apply. @param {Record<string, any>} names */
export const classes = (names) =>
  Object.entries(names)
    .filter(([, applies]) => applies)
    .map(([name]) => name)
    .join(" ");

const ICONS = {
  play: "M7 4v16l13-8z",
  pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  loop: "M7 7h9V4l5 4.5-5 4.5v-3H9v4H6V8.500zM17 17H8v3l-5-4.500L8 11v3h7v-3h3v5z",
  undo: "M9 5v4h5a5 5 0 0 1 0 10H8v-2h6a3 3 0 0 0 0-6H9v4L3 10z",
  redo: "M15 5v4h-5a5 5 0 0 0 0 10h6v-2h-6a3 3 0 0 1 0-6h5v4l6-5z",
  close: "M6 4.600 12 10.600 18 4.600 19.400 6 13.400 12 19.400 18 18 19.400 12 13.400 6 19.400 4.600 18 10.600 12 4.600 6z",
  start: "M5 4h3v16H5zM20 4v16L9 12z",
};

/** @param {keyof typeof ICONS} name */
export const icon = (name) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;
