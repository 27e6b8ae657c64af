// @ts-check
/** What was done, the waveform, and the controls of listening. */
import * as listening from "../listening.js";
import { clock } from "../components/format.js";
import { classes, html, icon } from "../html.js";
import * as store from "../store.js";
import { STAGES } from "./stages.js";

const SIDES = [
  ["original", "Original", "A", "The track as you gave it"],
  ["master", "Master", "B", "The track with all settings"],
  ["reference", "Reference", "R", "The music that the master follows"],
  ["null", "Only changes", "N", "Master minus original: what the settings add and take away"],
];

export function Listen() {
  const track = /** @type {import("../types.js").Track} */ (store.track.value);
  const source = { frames: track.frames, sampleRate: track.sample_rate };
  return html`<section class="listen" aria-label="Listen">
    <${Summary} track=${track} />
    <div class="waveform-box">
      <nm-waveform track=${sameSource(source)} peaks=${store.peaks.value} side=${store.side.value} loop=${store.loop.value}
        view=${store.view.value} onseek=${(event) => listening.player.seek(event.detail.frame)}
        onloopchange=${(event) => listening.chooseLoop(event.detail.loop)}
        title="Click: play from here. Drag: loop. Wheel: zoom."
        onviewchange=${(event) => listening.chooseView(event.detail.view)}></nm-waveform>
      ${!store.peaks.value.original && html`<p class="waveform-note">Drawing the waveform …</p>`}
    </div>
  </section>
  <${Transport} track=${track} />`;
}

let lastSource = { frames: 0, sampleRate: 0 };
/** The same object for the same track, so that the waveform is not drawn again for nothing. */
function sameSource(source) {
  if (lastSource.frames !== source.frames || lastSource.sampleRate !== source.sampleRate) lastSource = source;
  return lastSource;
}

function Summary({ track }) {
  const [first, ...rest] = track.summary ?? [];
  if (track.status === "failed") return html`<p class="summary is-error">${track.error}</p>`;
  if (!first) {
    return html`<p class="summary is-waiting" role="status">
      <span class="spinner" aria-hidden="true"></span>
      ${" "}${track.frames ? "Analyzing the track. You can already listen to it." : "Reading the file …"}
    </p>`;
  }
  const work = Object.values(store.jobs.value).find(
    ({ kind, state, track: id }) => kind !== "delivery" && state === "running" && id === track.id,
  );
  if (track.status === "analyzing") {
    return html`<p class="summary is-waiting" role="status"><span class="spinner" aria-hidden="true"></span>${" "}
      ${work?.message || "Working"} … Until then, the settings before are played.</p>`;
  }
  const solo = STAGES[track.state?.solo]?.heading ?? (track.state?.solo ? "Tone" : "");
  return html`<p class="summary">
    ${solo && html`<span class="solo-note">You listen to ${solo.toLowerCase()} alone. </span>`}<strong>${first}</strong> ${rest.join(" ")}</p>`;
}

function Transport({ track }) {
  const { playing, side, loop, loudness, view } = store;
  return html`<section class="transport" aria-label="Player">
    <div class="transport-group">
      <button type="button" class="round primary" disabled=${!track.frames} aria-label=${playing.value ? "Pause" : "Play"} title="Play or pause (Space)"
        onClick=${listening.togglePlay}>${icon(playing.value ? "pause" : "play")}</button>
      <button type="button" class="quiet icon-button" aria-label="Back to the start" title="Start (Home)"
        onClick=${() => listening.player.seek(store.loop.value?.start ?? 0)}>${icon("start")}</button>
      <button type="button" class=${classes({ quiet: true, "icon-button": true, "is-on": loop.value })} aria-label="Loop"
        aria-pressed=${Boolean(loop.value)} title="Loop (L); drag over the waveform to choose the passage"
        onClick=${listening.toggleLoop}>${icon("loop")}</button>
      <output class="clock" aria-label="Position"><span class="clock-now">0:00.0</span>
        <span class="clock-all"> / ${clock(track.duration_s)}</span></output>
      ${store.waiting.value && html`<span class="spinner" role="status" aria-label="Loading audio"></span>`}
    </div>
    <div class="sides" role="radiogroup" aria-label="What you listen to">
      ${SIDES.map(([name, label, key, hint]) => {
        const disabled =
          (name === "reference" && !store.playedReference.value) || ((name === "master" || name === "null") && !store.isMastered.value);
        if (name === "reference" && disabled) return null;
        return html`<button key=${name} type="button" role="radio" aria-checked=${side.value === name}
          class=${`side side-${name}`} disabled=${disabled} title=${`${hint} (${key})`}
          onClick=${() => listening.chooseSide(/** @type {any} */ (name))}>${label} <kbd>${key}</kbd></button>`;
      })}
    </div>
    <div class="transport-group">
      <label class="switch" title="Plays every side as loud as the original, because louder always seems better">
        <input type="checkbox" role="switch" checked=${loudness.value === "equal"}
          onChange=${(event) => listening.chooseLoudness(event.target.checked ? "equal" : "delivered")} />
        <span>Equal loudness</span>
      </label>
      ${view.value &&
      html`<button type="button" class="quiet"
        onClick=${() => listening.chooseView({ start: 0, end: track.frames })}>Show all</button>`}
    </div>
  </section>`;
}
