// @ts-check
/** What the track should sound like: a style, or references with weights, and how far the master follows them. */
import * as actions from "../actions.js";
import { change } from "../changes.js";
import { capital, clock, fixed, parseTime } from "../components/format.js";
import { html, icon } from "../html.js";
import { listenToReference } from "../listening.js";
import * as store from "../store.js";
import { AUDIO, DropArea, FileButton, Progress, Slider, Switch } from "./controls.js";

const ASPECTS = { tone: "Tone", dynamics: "Dynamics", width: "Stereo width" };
const FILES = `${AUDIO},.json`;
const WEIGHTS = { low: 0.1, high: 10 };

export function Target() {
  const track = /** @type {import("../types.js").Track} */ (store.track.value);
  const { state } = track;
  const references = store.references.value;
  const hasTarget = Boolean(state.style) || references.length > 0;
  return html`<section class="panel" aria-labelledby="target-heading">
    <div class="panel-head"><h2 id="target-heading">Sound like …</h2></div>
    <${Style} style=${state.style} />
    <${DropArea} target="reference" className="drop-small" onFiles=${actions.addReferences}>
      ${references.length > 0 &&
      html`<ul class="references" aria-label="References">
        ${references.map((reference) => html`<${Reference} key=${reference.id} reference=${reference} isAlone=${references.length === 1} />`)}
      </ul>`}
      ${references.length === 0 && html`<p class="note">Or drop music that your track should sound like, or a saved target. Several are averaged.</p>`}
      <${FileButton} label=${references.length ? "Add a reference" : "Choose a reference"} className="quiet" accept=${FILES}
        multiple onFiles=${actions.addReferences} />
    <//>
    <${Work} track=${track} />
    ${hasTarget && html`<${Strengths} state=${state} hasReferences=${references.length > 0} />`}
    ${hasTarget && (track.target_notes ?? []).map((note) => html`<p class="note" key=${note}>${note}</p>`)}
  </section>`;
}

/** @param {{style: string | null}} props */
function Style({ style }) {
  const styles = store.session.value?.styles ?? [];
  const choose = (event) => change({ style: event.target.value || null, references: [] });
  return html`<label class="field" title="The usual sound of a kind of music. The track moves part of the way toward it. A style replaces references.">
    <span>Style</span>
    <select aria-label="Style" value=${style ?? ""} onChange=${choose}>
      <option value="">${store.references.value.length ? "None: references" : "None"}</option>
      ${styles.map((name) => html`<option key=${name} value=${name}>${capital(name)}</option>`)}
    </select></label>`;
}

/** Changes the references of the current track by `update`. */
function changeReferences(update, transient = false) {
  const chosen = /** @type {any} */ (store.track.value).state.references;
  change({ references: update(chosen) }, transient);
}

/** @param {{reference: import("../types.js").Reference, isAlone: boolean}} props */
function Reference({ reference, isAlone }) {
  const { id, name, weight, is_music: isMusic } = reference;
  const isPlayed = store.side.value === "reference" && store.playedReference.value === id;
  const weigh = (value, transient) =>
    changeReferences((chosen) => chosen.map((other) => (other.id === id ? { ...other, weight: value } : other)), transient);
  return html`<li>
    <span class="reference-name">${name}</span>
    ${isMusic
      ? html`<button type="button" class="toggle" aria-pressed=${isPlayed} aria-label=${`Listen to ${name}`}
          onClick=${() => listenToReference(id)}>Listen</button>`
      : html`<span class="note">Target</span>`}
    <button type="button" class="quiet icon-button" aria-label=${`Remove ${name}`} title="Remove"
      onClick=${() => changeReferences((chosen) => chosen.filter((other) => other.id !== id))}>${icon("close")}</button>
    ${isMusic && html`<${Times} reference=${reference} />`}
    ${!isAlone &&
    html`<${Slider} label="Weight" name=${`Weight of ${name}`} value=${weight} low=${WEIGHTS.low} high=${WEIGHTS.high} scale="log"
      reset=${1} hint=${`Its part of the average: ${shareText(weight)}`} onChange=${weigh} />`}
  </li>`;
}

/** The section of a reference: from and to; empty for all of it. @param {{reference: import("../types.js").Reference}} props */
function Times({ reference: { id, name, section } }) {
  const text = (seconds) => (seconds === undefined ? "" : clock(seconds, Number.isInteger(seconds) ? 0 : 1));
  const choose = (event) => {
    const [from, to] = [...event.currentTarget.querySelectorAll("input")];
    const isEmpty = !from.value.trim() && !to.value.trim();
    if (!isEmpty && !(from.value.trim() && to.value.trim())) return; // the other one is still to be typed
    const [start, end] = [parseTime(from.value), parseTime(to.value)];
    if (!isEmpty && !(start < end)) return store.tell("Type the times of a section as 1:20 and 1:50, the later one last.", true);
    changeReferences((chosen) =>
      chosen.map((other) => (other.id === id ? { ...other, section: isEmpty ? null : { start, end } } : other)),
    );
  };
  const field = (label, value) => html`<input type="text" class="number" placeholder=${label} aria-label=${`${label} of ${name}`} defaultValue=${text(value)} />`;
  return html`<div class="times" onChange=${choose} title="A section that is most like the track, such as its loudest part">
    <span>Section</span> ${field("start", section?.start)} – ${field("end", section?.end)}
  </div>`;
}

/** The part of a weight in the sum of all. @param {number} weight */
function shareText(weight) {
  const sum = store.references.value.reduce((total, reference) => total + reference.weight, 0);
  return `${fixed((100 * weight) / sum, 0)} %`;
}

/** Uploads and matches under way. */
function Work({ track }) {
  const uploads = store.uploads.value.filter(({ isReference }) => isReference);
  const jobs = Object.values(store.jobs.value).filter(
    ({ kind, state, track: id }) => kind !== "delivery" && id === track.id && ["queued", "running"].includes(state),
  );
  return html`${uploads.map(({ key, name, share }) => html`<p key=${key}>${name}</p><${Progress} value=${share} label=${`Sending ${name}`} />`)}
    ${jobs.map(
      (job) => html`<div key=${job.id} class="target-work" role="status">
        <p>${job.message || "Waiting"} …</p>
        <${Progress} value=${job.progress} label="Matching the target" />
        ${job.kind === "reference" &&
        html`<button type="button" class="quiet" onClick=${() => actions.cancel(job.id)}>Cancel</button>`}
      </div>`,
    )}`;
}

/** The largest boost of the equalizer; the default depends on whether it is the same song. */
function MostBoost({ state }) {
  const { max_boost: defaults } = store.session.value ?? {};
  const usual = (state.same_song && !state.style ? defaults?.same_song : defaults?.default) ?? 6;
  const set = (value, transient) => change({ max_boost: value === usual ? null : value }, transient);
  return html`<${Slider} label="Largest boost" unit="dB" value=${state.max_boost ?? usual} low=${0} high=${18} step=${0.5} reset=${usual}
    hint="What the equalizer may add toward the target, at equal loudness; half as much below 60 Hz" onChange=${set} />`;
}

const Strengths = ({ state, hasReferences }) => html`
  <${Slider} label="Strength" unit="%" value=${100 * state.reference_strength} low=${0} high=${100} step=${1} reset=${100}
    onChange=${(value, transient) => change({ reference_strength: value / 100 }, transient)} />
  ${Object.entries(ASPECTS).map(
    ([name, label]) => html`<${Slider} key=${name} label=${label} name=${`${label} of the target`} unit="%" value=${100 * (state.reference_weights[name] ?? 1)}
      low=${0} high=${100} step=${1} reset=${100}
      onChange=${(value, transient) => change({ reference_weights: { [name]: value / 100 } }, transient)} />`,
  )}
  <${MostBoost} state=${state} />
  ${hasReferences &&
  html`<${Switch} label="It is the same song" hint="The reference is another mix, take or section of this very song: the match goes much further" on=${state.same_song}
    onChange=${(on) => change({ same_song: on })} />`}`;
