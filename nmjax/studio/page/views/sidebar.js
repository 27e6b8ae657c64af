// @ts-check
/** The side column: overall amount, loudness, and what was found in the track. */
import { change } from "../changes.js";
import { capital, fixed } from "../components/format.js";
import { html } from "../html.js";
import * as store from "../store.js";
import { Slider, Switch } from "./controls.js";
import { Amount } from "./stages.js";

export function Overall() {
  const { state } = /** @type {import("../types.js").Track} */ (store.track.value);
  const networks = store.session.value?.networks ?? [];
  const network = networks.find(({ name }) => name === state.model);
  return html`<section class="panel" aria-labelledby="overall-heading">
    <div class="panel-head"><h2 id="overall-heading">How much</h2></div>
    <${Slider} label="Intensity" unit="%" value=${100 * state.intensity} low=${0} high=${200} step=${1} reset=${100}
      hint="All stages together: 0 % is the original, 100 % the suggestion"
      onChange=${(value, transient) => change({ intensity: value / 100 }, transient)} />
    <${Amount} name="eq" label="Tone" state=${state} />
    ${networks.length > 1 &&
    html`<label class="field is-stacked"><span>Network</span>
      <select value=${state.model} onChange=${(event) => change({ model: event.target.value })}>
        ${networks.map(({ name, label }) => html`<option key=${name} value=${name}>${label}</option>`)}
      </select></label>
      ${network && html`<p class="note">${capital(network.description)}</p>`}`}
  </section>`;
}

const number = (value, unit) => html`<td>${fixed(value)}<span class="unit"> ${unit}</span></td>`;

export function Levels() {
  const track = /** @type {import("../types.js").Track} */ (store.track.value);
  const { original, master } = store.meters.value;
  const shown = store.side.value === "original" ? original : master;
  const before = original && !original.pending ? original : null;
  const after = master && !master.pending ? master : null;
  const { deliver } = track.state ?? {};
  return html`<section class="panel" aria-labelledby="levels-heading">
    <div class="panel-head"><h2 id="levels-heading">Loudness</h2></div>
    <nm-meters meters=${shown} target=${store.side.value === "original" ? null : deliver?.lufs}></nm-meters>
    <table class="levels">
      <thead><tr><td></td><th scope="col">Original</th><th scope="col">Master</th></tr></thead>
      <tbody>
        <tr><th scope="row">Whole track</th>${number(before?.integrated ?? track.input?.lufs, "LUFS")}${number(after?.integrated, "LUFS")}</tr>
        <tr><th scope="row">Range</th>${number(before?.loudness_range ?? track.input?.loudness_range, "LU")}${number(after?.loudness_range, "LU")}</tr>
        <tr><th scope="row">True peak</th>${number(before?.true_peak_db ?? track.input?.true_peak_db, "dBTP")}${number(after?.true_peak_db, "dBTP")}</tr>
      </tbody>
    </table>
    ${track.loudness_change_db != null && store.loudness.value === "equal" && html`<p class="note">${changeText(track.loudness_change_db)}</p>`}
    ${master?.pending && html`<p class="note" role="status">Measuring the whole master …</p>`}
    ${track.state && html`<${Target} deliver=${track.state.deliver} />`}
    ${after && after.limiter_gain_db?.length > 0 &&
    html`<h3>Limiter</h3>
      <nm-gain-reduction times=${after.times_s} gains=${after.limiter_gain_db} tint="--limiter"></nm-gain-reduction>`}
  </section>`;
}

/** @param {number} change  of the whole master's loudness, in dB */
function changeText(change) {
  return `You compare at the loudness of the original. The delivered master is turned ${change < 0 ? "down" : "up"} by ${fixed(Math.abs(change))} dB.`;
}

/** Loudness and peak that the master gets. */
function Target({ deliver }) {
  const presets = store.session.value?.presets ?? [];
  const preset = presets.find(({ name }) => name === deliver.name);
  const lufs = typeof deliver.lufs === "number" ? deliver.lufs : (preset?.lufs ?? -14);
  const peak = typeof deliver.true_peak === "number" ? deliver.true_peak : (preset?.true_peak ?? -1);
  const isClean = deliver.lufs === "clean";
  const isOwn = !isClean && (deliver.lufs !== null || deliver.true_peak !== null);
  const choose = (event) => {
    const { value } = event.target;
    if (value === "clean") change({ deliver: { lufs: "clean", true_peak: peak } });
    else if (value === "own") change({ deliver: { lufs, true_peak: peak } });
    else change({ deliver: { name: value, lufs: null, true_peak: null, max_limiting: null } });
  };
  const own = (name) => (value, transient) => {
    change({ deliver: { lufs: isClean ? "clean" : lufs, true_peak: peak, [name]: value } }, transient);
  };
  return html`<label class="field"><span>Target</span>
      <select value=${isClean ? "clean" : isOwn ? "own" : preset?.name} onChange=${choose}>
        ${presets.map(({ name }) => html`<option key=${name} value=${name}>${presetLabel(name)}</option>`)}
        <option value="clean">Loudest that stays clean</option>
        <option value="own">Own numbers</option>
      </select></label>
    ${!isClean && html`<${Slider} label="Loudness" unit="LUFS" value=${lufs} low=${-30} high=${-6} step=${0.1} onChange=${own("lufs")} />`}
    <${Slider} label="Peak limit" unit="dBTP" value=${peak} low=${-9} high=${0} step=${0.1} onChange=${own("true_peak")} />`;
}

/** @param {string} name  of a preset */
export const presetLabel = (name) => (name === "cd" ? "CD" : capital(name).replaceAll("_", " "));

const SEVERITY = { problem: "Problem", warning: "Check", info: "Note" };

export function Findings() {
  const track = /** @type {import("../types.js").Track} */ (store.track.value);
  const findings = track.findings ?? [];
  if (!track.state) return null;
  return html`<section class="panel" aria-labelledby="findings-heading">
    <div class="panel-head"><h2 id="findings-heading">What was found</h2></div>
    ${findings.length === 0 && html`<p class="note">Nothing that needs attention.</p>`}
    <ul class="findings">
      ${findings.map(
        (finding) => html`<li key=${finding.name} class=${`finding is-${finding.repaired ? "repaired" : finding.severity}`}>
          <strong><span class="severity">${finding.repaired ? "Repaired" : SEVERITY[finding.severity]}</span> ${finding.title}</strong>
          <p>${finding.sentence}</p>
          ${finding.repaired ? html`<p class="repaired">${finding.repaired}</p>` : finding.remedy && html`<p class="remedy">${finding.remedy}</p>`}
        </li>`,
      )}
    </ul>
    ${track.state && html`<${Repairs} state=${track.state} />`}
  </section>`;
}

const REPAIRS = {
  clip: "Clipped peaks",
  saturation: "Saturated peaks",
  dc: "Constant offset",
  hum: "Hum",
  tone: "Steady tones",
  resonance: "Resonances",
  delay: "Delay between channels",
  polarity: "Inverted channel",
  bass_polarity: "Inverted bass",
  bass_mono: "Wide bass to mono",
};

function Repairs({ state }) {
  const chosen = Array.isArray(state.repair) ? state.repair : [state.repair];
  const names = store.session.value?.repairs ?? [];
  const set = (name, on) => change({ repair: on ? [...chosen.filter((other) => other !== "none"), name] : chosen.filter((other) => other !== name) });
  return html`<details class="repairs">
    <summary>Repairs</summary>
    <${Switch} label="Everything that is certain" on=${chosen.includes("auto")} onChange=${(on) => set("auto", on)} />
    ${names.map((name) => html`<${Switch} key=${name} label=${REPAIRS[name] ?? name} on=${chosen.includes(name)} onChange=${(on) => set(name, on)} />`)}
  </details>`;
}
