// @ts-check
/** The dialog that writes files: what, in which format; then progress, the result of each check, and downloads. */
import * as actions from "../actions.js";
import { capital, fixed, parseNumber, size } from "../components/format.js";
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

/** The server says which of them are not ready yet. */
const usableTracks = () => store.tracks.value.filter(({ status }) => status !== "failed");

/** The request of the form's fields. @param {HTMLFormElement} form */
function readForm(form) {
  const data = new FormData(form);
  const goal = data.get("goal");
  const format = String(data.get("format"));
  const typed = (name) => parseNumber(String(data.get(name)));
  const isOwn = goal === "own";
  return {
    tracks: data.has("all") ? usableTracks().map(({ id }) => id) : [store.currentId.value],
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
  if (options.deliver?.length === 0) return store.tell("Choose at least one of Streaming, CD and Club.", true);
  const isOwn = !options.deliver && options.lufs !== "clean";
  if (isOwn && !(Number.isFinite(options.lufs) && Number.isFinite(options.true_peak))) {
    return store.tell("Type the loudness and the peak limit as numbers, such as −14 and −1.", true);
  }
  actions.deliver(options);
}

export function DeliverDialog() {
  const job = store.jobs.value[store.deliveryJob.value ?? ""];
  const forgetFinished = () => {
    if (!isUnderWay(job)) store.deliveryJob.value = null; // the next time, the form
  };
  return html`<${Dialog} title="Deliver" name="deliver" onClosed=${forgetFinished}>
    ${job && job.state !== "canceled" ? html`<${Delivery} job=${job} />` : html`<${DeliverForm} /><${Earlier} />`}
  <//>`;
}

const isUnderWay = (job) => job?.state === "queued" || job?.state === "running";

/** Deliveries of this run of the studio, the newest first. */
function Earlier() {
  const done = Object.values(store.jobs.value).filter(({ kind, state }) => kind === "delivery" && state === "done");
  if (!done.length) return null;
  return html`<section class="earlier" aria-labelledby="earlier-heading">
    <h3 id="earlier-heading">Delivered before</h3>
    <ul>
      ${done.reverse().map(
        ({ id, result }) => html`<li key=${id}><button type="button" class="quiet" onClick=${() => (store.deliveryJob.value = id)}>
          ${result?.tracks.map(({ masters }) => masters.map(({ name }) => name).join(", ")).join(", ")}</button></li>`,
      )}
    </ul>
  </section>`;
}

/** What the form remembers from one delivery to the next. The format decides which bit depths there are. */
const [chosenFormat, chosenBits, isAlbum, isForAll] = [signal("wav"), signal("24"), signal(false), signal(false)];

function DeliverForm() {
  const { presets = [], formats = ["wav"] } = store.session.value ?? {};
  const count = usableTracks().length;
  const state = store.track.value?.state;
  const bits = BITS[chosenFormat.value];
  const current = state?.deliver.name ?? "streaming";
  return html`<form class="deliver-form" onSubmit=${submit}>
    <fieldset>
      <legend>How loud</legend>
      <label class="choice"><input type="radio" name="goal" value="presets" checked /> For these targets; each gets a file of its own</label>
      <div class="preset-choices">
        ${presets.map(
          ({ name, lufs, true_peak }) => html`<label class="choice" key=${name}>
            <input type="checkbox" name="preset" value=${name} defaultChecked=${name === current} /> ${presetLabel(name)}
            <span class="note">${presetNumbers(lufs, true_peak)}</span></label>`,
        )}
      </div>
      <label class="choice"><input type="radio" name="goal" value="clean" /> The loudest that stays clean</label>
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
      ${bits && html`<label class="field bits-field"><span>Bits</span><select name="bits" title="A CD has 16 bits"
        value=${bits.includes(chosenBits.value) ? chosenBits.value : "24"} onChange=${(event) => (chosenBits.value = event.target.value)}>
        ${bits.map((name) => html`<option key=${name} value=${name}>${name === "float" ? "32 float" : name}</option>`)}
      </select></label>`}
      <label class="choice"><input type="checkbox" name="report" defaultChecked=${true} /> Report page</label>
    </fieldset>
    ${count > 1 && html`<${TrackChoice} count=${count} />`}
    ${state?.solo && html`<p class="note">You listen to one stage alone. The file has all stages that are on.</p>`}
    <div class="dialog-actions"><button type="submit" class="primary">Deliver</button></div>
  </form>`;
}

/** One track, all of them, or all of them as an album. @param {{count: number}} props */
function TrackChoice({ count }) {
  const chooseAll = (event) => {
    isForAll.value = event.target.checked;
    if (!isForAll.value) isAlbum.value = false;
  };
  const chooseAlbum = (event) => {
    isAlbum.value = event.target.checked;
    if (isAlbum.value) isForAll.value = true;
  };
  return html`<fieldset>
    <legend>Tracks</legend>
    <p class="note">${isForAll.value ? `All ${count} tracks, each with its own settings` : `Only “${store.track.value?.name}”`}</p>
    <label class="choice"><input type="checkbox" name="all" checked=${isForAll.value} onChange=${chooseAll} /> All ${count} tracks</label>
    <label class="choice"><input type="checkbox" name="album" checked=${isAlbum.value} onChange=${chooseAlbum} />
      As an album: quiet songs stay quieter than loud ones</label>
  </fieldset>`;
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
  const { tracks = [], all_url: all, notes = [] } = job.result ?? {};
  return html`${tracks.map((delivered) => html`<${Delivered} key=${delivered.settings.name} ...${delivered} />`)}
    ${notes.map((note) => html`<p class="note" key=${note}>${capital(note)}</p>`)}
    <div class="dialog-actions">
      ${all && html`<a class="button" href=${all} download>Download everything</a>`}
      <button type="button" class="quiet" onClick=${again}>New delivery</button>
    </div>`;
}

/** The files of a track. @param {import("../types.js").DeliveredTrack} props */
function Delivered({ track, masters, settings, report }) {
  return html`<section class="delivered" aria-label=${track}>
    <h3>${track}</h3>
    <ul>
      ${masters.map(
        ({ name, delivery, compliance, passed, url, bytes }) => html`<li key=${name} class=${passed ? "is-passed" : "is-failed"}>
          <p class="compliance">${capital(presetLabel(delivery))}: ${compliance.replaceAll(/ {2,}/g, " · ")}</p>
          <a class="button primary" href=${url} download=${name}>Download <span class="visually-hidden">${name}</span></a>
          <span class="note">${name}, ${size(bytes)}</span>
        </li>`,
      )}
    </ul>
    <p class="row">
      ${report && html`<a class="button quiet" href=${report.url} target="_blank" rel="noopener">Open the report</a>`}
      <a class="button quiet" href=${settings.url} download=${settings.name}>Download the settings</a>
    </p>
  </section>`;
}
