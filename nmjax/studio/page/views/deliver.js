// @ts-check
/** The dialog that writes files: what, in which format; then progress, the result of each check, and downloads. */
import * as actions from "../actions.js";
import { parseNumber, size, fixed } from "../components/format.js";
import { html } from "../html.js";
import * as store from "../store.js";
import { signal } from "../vendor/signals-core.mjs";
import { Progress } from "./controls.js";
import { Dialog } from "./dialogs.js";
import { presetLabel } from "./sidebar.js";

/** Bit depths by format; lossy formats have none. @type {Record<string, string[]>} */
const BITS = {
  wav: ["16", "24", "32", "float"],
  aiff: ["16", "24", "32", "float"],
  flac: ["16", "24"],
};

/** The request of the form's fields. @param {HTMLFormElement} form */
function readForm(form) {
  const data = new FormData(form);
  const goal = data.get("goal");
  const format = String(data.get("format"));
  const typed = (name) => parseNumber(String(data.get(name)));
  const isOwn = goal === "own";
  return {
    tracks: data.has("all") ? store.tracks.value.filter(({ status }) => status === "ready").map(({ id }) => id) : [store.currentId.value],
    ...(goal === "presets" ? { deliver: data.getAll("preset") } : {}),
    lufs: isOwn ? typed("lufs") : goal === "clean" ? "clean" : null,
    true_peak: isOwn ? typed("true_peak") : null,
    max_limiting: null,
    format,
    bits: data.get("bits"),
    report: data.has("report"),
    album: data.has("album"),
  };
}

function submit(event) {
  event.preventDefault();
  const options = readForm(event.target);
  if (options.deliver?.length === 0) return store.tell("Choose at least one target.", true);
  const isOwn = !options.deliver && options.lufs !== "clean";
  if (isOwn && !(Number.isFinite(options.lufs) && Number.isFinite(options.true_peak))) {
    return store.tell("Type the loudness and the peak limit as numbers, such as −14 and −1.", true);
  }
  actions.deliver(options);
}

export function DeliverDialog() {
  const job = store.jobs.value[store.deliveryJob.value ?? ""];
  return html`<${Dialog} title="Deliver" name="deliver">
    ${job && job.state !== "canceled" ? html`<${Delivery} job=${job} />` : html`<${DeliverForm} />`}
  <//>`;
}

/** Format of the form, because it decides which bit depths there are. @type {{value: string}} */
const chosenFormat = signal("wav");

function DeliverForm() {
  const { presets = [], formats = ["wav"] } = store.session.value ?? {};
  const ready = store.tracks.value.filter(({ status }) => status === "ready");
  const state = store.track.value?.state;
  const bits = BITS[chosenFormat.value];
  const current = state?.deliver.name ?? "streaming";
  return html`<form class="deliver-form" onSubmit=${submit}>
    <fieldset>
      <legend>How loud</legend>
      <label class="choice"><input type="radio" name="goal" value="presets" checked /> For</label>
      <div class="preset-choices">
        ${presets.map(
          ({ name, lufs, true_peak }) => html`<label class="choice" key=${name}>
            <input type="checkbox" name="preset" value=${name} defaultChecked=${name === current} /> ${presetLabel(name)}
            <span class="note">${presetNumbers(lufs, true_peak)}</span></label>`,
        )}
      </div>
      <label class="choice"><input type="radio" name="goal" value="clean" /> As loud as stays clean</label>
      <div class="choice own"><label><input type="radio" name="goal" value="own" /> Own numbers</label>
        <input class="number" type="text" name="lufs" inputmode="decimal" aria-label="Loudness in LUFS" defaultValue="−14.0" /> LUFS
        <input class="number" type="text" name="true_peak" inputmode="decimal" aria-label="Peak limit in dBTP" defaultValue="−1.0" /> dBTP
      </div>
    </fieldset>
    <fieldset class="row">
      <legend>File</legend>
      <label class="field"><span>Format</span><select name="format" value=${chosenFormat.value}
        onChange=${(event) => (chosenFormat.value = event.target.value)}>
        ${formats.map((name) => html`<option key=${name} value=${name}>${name.toUpperCase()}</option>`)}
      </select></label>
      ${bits && html`<label class="field bits-field"><span>Bits</span><select name="bits">
        ${bits.map((name) => html`<option key=${name} value=${name} selected=${name === "24"}>${name === "float" ? "32 float" : name}</option>`)}
      </select></label>`}
      <label class="choice"><input type="checkbox" name="report" defaultChecked=${true} /> Report page</label>
    </fieldset>
    ${ready.length > 1 &&
    html`<fieldset>
      <legend>Tracks</legend>
      <label class="choice"><input type="checkbox" name="all" /> All ${ready.length} tracks</label>
      <label class="choice"><input type="checkbox" name="album" /> As an album: songs keep their loudness to each other</label>
    </fieldset>`}
    <div class="dialog-actions"><button type="submit" class="primary">Deliver</button></div>
  </form>`;
}

const presetNumbers = (lufs, peak) =>
  [typeof lufs === "number" ? `${fixed(lufs)} LUFS` : "", typeof peak === "number" ? `${fixed(peak)} dBTP` : ""].filter(Boolean).join(", ");

/** @param {{job: import("../types.js").Job}} props */
function Delivery({ job }) {
  const again = () => (store.deliveryJob.value = null);
  if (job.state === "failed") {
    return html`<p class="is-error" role="alert">${job.message}</p>
      <div class="dialog-actions"><button type="button" onClick=${again}>Change and try again</button></div>`;
  }
  if (job.state !== "done") {
    return html`<p role="status">${job.message || "Waiting"} … <span class="figures">${Math.round(100 * job.progress)} %</span></p>
      <${Progress} value=${job.progress} label="Delivery" />
      <div class="dialog-actions"><button type="button" onClick=${() => actions.cancel(job.id)}>Cancel</button></div>`;
  }
  const { files = [], report_url: report, notes = [] } = job.result ?? {};
  return html`${notes.map((note) => html`<p class="note" key=${note}>${note}</p>`)}
    <ul class="delivered">
      ${files.map(
        (file) => html`<li key=${file.name} class=${file.passed === false ? "is-failed" : "is-passed"}>
          <p class="compliance">${file.compliance}</p>
          <a class="button primary" href=${file.url} download=${file.name}>Download <span class="visually-hidden">${file.name}</span></a>
          <span class="note">${file.name}, ${size(file.bytes)}</span>
        </li>`,
      )}
    </ul>
    <div class="dialog-actions">
      ${report && html`<a class="button quiet" href=${report} target="_blank" rel="noopener">Open the report</a>`}
      <button type="button" class="quiet" onClick=${again}>Deliver more</button>
    </div>`;
}
