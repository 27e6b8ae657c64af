// @ts-check
/** The equalizer with its numbers, over the spectra; of everything, or of the side of a stereo track. */
import { change } from "../changes.js";
import { frequency } from "../components/format.js";
import { classes, html } from "../html.js";
import { player } from "../listening.js";
import * as store from "../store.js";
import { Slider } from "./controls.js";
import { StageButtons } from "./stages.js";

const VIEWS = /** @type {const} */ ([
  ["all", "All", "The bands of the whole sound"],
  ["side", "Side", "The bands of the side: what differs between left and right"],
]);

/** The factor of the gains; the intensity is in them already. */
function amountOf(state) {
  const isOff = state.bypass.includes("eq") || (state.solo && state.solo !== "eq");
  return isOff ? 0 : (state.amounts.eq ?? 1);
}

/** The name of the shown bands in the state. */
const bandsName = () => (store.showsSide.value ? "side_bands" : "bands");

const bandChange = (event) => {
  const { index, change: values, transient } = event.detail;
  change({ [bandsName()]: { [index]: values } }, transient);
};

function bandReset(event) {
  const { index } = event.detail;
  const suggested = /** @type {any} */ (store.track.value).suggestion?.[bandsName()]?.[index];
  const { freq_hz, gain_db, q } = suggested ?? {};
  change({ [bandsName()]: { [index]: suggested ? { freq_hz, gain_db, q } : { gain_db: 0 } } });
}

export function Tone() {
  const track = /** @type {import("../types.js").Track} */ (store.track.value);
  const { state } = track;
  const isSide = store.showsSide.value;
  const selected = store.selectedBand.value;
  return html`<section class="tone panel" aria-labelledby="tone-heading">
    <div class="panel-head">
      <h2 id="tone-heading">Tone <small>Equalizer</small></h2>
      <${Legend} />
      ${track.channels === 2 && html`<${Views} sideCount=${state.side_bands.length} />`}
      <${StageButtons} name="eq" label="Tone" />
    </div>
    <div class=${classes({ "eq-box": true, "is-off": amountOf(state) === 0 })}>
      ${!isSide && html`<nm-spectrum node=${player.spectrum}></nm-spectrum>`}
      <nm-eq key=${store.eqView.value} bands=${state[bandsName()]} amount=${amountOf(state)} limits=${store.session.value?.band_limits}
        curves=${store.eqCurves.value} isExact=${store.curvesAreExact.value} sampleRate=${track.sample_rate} selected=${selected}
        label=${isSide ? "Side band" : "Band"} onbandchange=${bandChange} onbandreset=${bandReset}
        onbandselect=${(event) => (store.selectedBand.value = event.detail.index)}></nm-eq>
    </div>
    <${BandNumbers} bands=${state[bandsName()]} selected=${selected} />
  </section>`;
}

function Legend() {
  const isSide = store.showsSide.value;
  const { target, typical } = store.curves.value ?? {};
  const lines = /** @type {string[][]} */ ([
    ["before", isSide ? "Side of the original" : "Original"],
    ["after", isSide ? "Side of the master" : "Master"],
    !isSide && target && ["target", store.track.value?.state.style ? "Style" : "Reference"],
    !isSide && typical && ["typical", "Similar music"],
    !isSide && ["live", "Playing now"],
    ["total", isSide ? "Equalizer of the side" : "Equalizer"],
  ].filter(Boolean));
  return html`<ul class="legend" aria-label="Curves">
    ${lines.map(([name, label]) => html`<li class=${`legend-${name}`} key=${name}><i aria-hidden="true"></i>${label}</li>`)}
  </ul>`;
}

/** @param {{sideCount: number}} props  number of bands of the side */
const Views = ({ sideCount }) => html`<div class="views" role="group" aria-label="Bands that are shown">
  ${VIEWS.map(
    ([name, label, hint]) => html`<button key=${name} type="button" class="toggle" aria-pressed=${store.eqView.value === name}
      title=${`${hint} (E)`} onClick=${() => store.chooseEqView(name)}>${label}${name === "side" && sideCount > 0 ? html` <small>${sideCount}</small>` : ""}</button>`,
  )}
</div>`;

/** The chosen band as sliders; a hint where none is chosen. */
function BandNumbers({ bands, selected }) {
  const band = bands[selected];
  const { band_limits: limits, max_side_bands: most = 0 } = store.session.value ?? {};
  const isSide = store.showsSide.value;
  const label = isSide ? "Side band" : "Band";
  const add = () => {
    change({ side_bands: { [bands.length]: { gain_db: 0 } } });
    store.selectedBand.value = bands.length;
  };
  const chooser = html`<div class="band-chooser" role="group" aria-label=${isSide ? "Bands of the side" : "Bands"}>
    ${bands.map(
      ({ freq_hz }, i) => html`<button key=${i} type="button" class=${`band-button band-${i % 8}`} aria-pressed=${i === selected}
        aria-label=${`${label} ${i + 1}, ${frequency(freq_hz)}`} onClick=${() => (store.selectedBand.value = i)}>${i + 1}</button>`,
    )}
    ${isSide && bands.length < most && html`<button type="button" class="quiet" onClick=${add}>Add a band</button>`}
  </div>`;
  if (!band || !limits) return html`<div class="band-numbers">${chooser}<p class="note">${hint(isSide, bands.length)}</p></div>`;
  const set = (name) => (value, transient) => change({ [bandsName()]: { [selected]: { [name]: value } } }, transient);
  const [fLow, fHigh] = limits.freq_hz;
  return html`<div class="band-numbers">${chooser}<div class="band-sliders">
    <${Slider} label="Frequency" unit="Hz" value=${band.freq_hz} low=${fLow} high=${fHigh} scale="log" step=${1}
      onChange=${set("freq_hz")} />
    <${Slider} label="Gain" unit="dB" value=${band.gain_db} low=${limits.gain_db[0]} high=${limits.gain_db[1]} step=${0.1}
      reset=${0} onChange=${set("gain_db")} />
    <${Slider} label="Q" value=${band.q} low=${limits.q[0]} high=${limits.q[1]} scale="log" step=${0.01} onChange=${set("q")} />
  </div></div>`;
}

const hint = (isSide, count) =>
  isSide && !count
    ? "The side is what differs between left and right. It has no band yet; a reference may bring some."
    : "Drag a point to change it. Turn the wheel over it, or pinch, to make it wider or narrower. Double click brings it back.";
