// @ts-check
/** Cards of the stages after the equalizer, with their few controls, bypass and solo. */
import { change } from "../changes.js";
import { html } from "../html.js";
import * as store from "../store.js";
import { Slider } from "./controls.js";

/** Plain headings; the field's word is beside it. */
export const STAGES = {
  compressor: { heading: "Dynamics", term: "Compressor", text: "Makes loud passages quieter, so that the whole can be louder." },
  saturator: { heading: "Warmth", term: "Saturator", text: "Adds harmonics; more on loud passages." },
  width: { heading: "Stereo width", term: "Mid/side", text: "How wide the bass is, and everything above it." },
  residual: { heading: "Fine correction", term: "Residual", text: "What the network adds beyond the stages." },
};

/** Bypass and solo of a stage. @param {{name: string, label: string}} props */
export function StageButtons({ name, label }) {
  const state = /** @type {import("../types.js").State} */ (store.track.value?.state);
  const isOff = state.bypass.includes(name);
  const isSolo = state.solo === name;
  const toggle = () => {
    const bypass = isOff ? state.bypass.filter((other) => other !== name) : [...state.bypass, name];
    change({ bypass });
  };
  return html`<div class="stage-buttons">
    <button type="button" class="toggle" aria-pressed=${!isOff} aria-label=${`${label}: ${isOff ? "off" : "on"}`}
      title="Switch this stage off or on" onClick=${toggle}>${isOff ? "Off" : "On"}</button>
    <button type="button" class="toggle" aria-pressed=${isSolo} aria-label=${`${label}: solo`}
      title="Listen to this stage alone; the delivery has all stages" onClick=${() => change({ solo: isSolo ? null : name })}>Solo</button>
  </div>`;
}

function isActive(state, name) {
  return !state.bypass.includes(name) && (!state.solo || state.solo === name);
}

export function Stages() {
  const { state } = /** @type {import("../types.js").Track} */ (store.track.value);
  const rows = store.session.value?.processors ?? [];
  const processors = rows.filter(({ name }) => state.processors?.[name]);
  if (processors.length === 0 && state.has_residual === false) {
    return html`<p class="note only-tone">The chosen network sets the tone alone. For dynamics, warmth and width, choose another one under “How much”.</p>`;
  }
  return html`<div class="cards">
    ${processors.map((row) => html`<${ProcessorCard} key=${row.name} row=${row} state=${state} />`)}
    ${state.has_residual !== false && html`<${Card} name="residual" state=${state} />`}
  </div>`;
}

function Card({ name, state, children }) {
  const { heading, term, text } = STAGES[name] ?? { heading: name, term: "", text: "" };
  return html`<section class=${`card panel${isActive(state, name) ? "" : " is-off"}`} aria-labelledby=${`${name}-heading`}>
    <div class="panel-head">
      <h2 id=${`${name}-heading`} title=${text}>${heading} <small>${term}</small></h2>
      <${StageButtons} name=${name} label=${heading} />
    </div>
    <div class="card-body">
      ${children}
      <${Amount} name=${name} label="Amount" state=${state} />
    </div>
  </section>`;
}

/** How far a stage goes. */
export const Amount = ({ name, label, state }) =>
  html`<${Slider} label=${label} unit="%" value=${100 * (state.amounts[name] ?? 1)} low=${0} high=${200} step=${1} reset=${100}
    hint="100 % is the suggestion, 0 % is nothing"
    onChange=${(value, transient) => change({ amounts: { [name]: value / 100 } }, transient)} />`;

function ProcessorCard({ row, state }) {
  const values = state.processors[row.name];
  const set = (setting) => (value, transient) => change({ processors: { [row.name]: { [setting]: value } } }, transient);
  return html`<${Card} name=${row.name} state=${state}>
    <${Graphs} name=${row.name} />
    ${row.settings.map(
      (setting) => html`<${Slider} key=${setting.name} label=${setting.label} unit=${setting.unit} value=${values[setting.name]}
        low=${setting.low} high=${setting.high} scale=${setting.scale} step=${setting.step}
        reset=${suggested(row.name, setting)} onChange=${set(setting.name)} />`,
    )}
  <//>`;
}

const suggested = (name, setting) =>
  /** @type {any} */ (store.track.value).suggestion?.processors?.[name]?.[setting.name] ?? setting.neutral;

function Graphs({ name }) {
  const curves = store.curves.value;
  const { compressor, saturator } = curves ?? {};
  const measured = store.meters.value.master;
  if (name === "compressor") {
    return html`<div class="graphs">
      ${compressor && html`<nm-curve inputs=${compressor.input_db} outputs=${compressor.output_db} unit="dB"></nm-curve>`}
      <nm-gain-reduction times=${measured?.times_s} gains=${measured?.compressor_gain_db} tint="--compressor"></nm-gain-reduction>
    </div>`;
  }
  if (name === "saturator") {
    return html`<div class="graphs">
      ${saturator && html`<nm-curve inputs=${saturator.input} outputs=${saturator.output} unit=""></nm-curve>`}
    </div>`;
  }
  return null;
}
