// @ts-check
/** Starts the page. */
import { start } from "./actions.js";
import { App } from "./app.js";
import "./components/eq-display.js";
import "./components/gain-reduction.js";
import "./components/level-meters.js";
import "./components/live-spectrum.js";
import "./components/transfer-curve.js";
import "./components/waveform.js";
import { clock } from "./components/format.js";
import { html } from "./html.js";
import { listenToKeys } from "./keyboard.js";
import { player } from "./listening.js";
import { effect } from "./vendor/signals-core.mjs";
import { render } from "./vendor/preact.mjs";

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
effect(() => render(html`<${App} />`, root));

/** What moves with the play head, at every frame of the screen, without the rest of the page. */
function followPlayHead() {
  requestAnimationFrame(followPlayHead);
  const rate = player.source?.sampleRate;
  if (!rate) return;
  const frame = player.position;
  const seconds = frame / rate;
  const set = (selector, name, value) => {
    for (const element of document.querySelectorAll(selector)) element[name] = value;
  };
  set("nm-waveform", "position", frame);
  set("nm-meters", "seconds", Math.round(seconds * 20) / 20);
  set("nm-gain-reduction", "seconds", seconds);
  set(".clock-now", "textContent", clock(seconds, 1));
  for (const spectrum of document.querySelectorAll("nm-spectrum")) {
    /** @type {any} */ (spectrum).refresh(player.playing && !player.waiting);
  }
}

listenToKeys();
start();
followPlayHead();
