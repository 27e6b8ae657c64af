// @ts-check
/** The equalizer with its numbers, over the spectra. */
import { change } from "../changes.js";
import { frequency } from "../format.js";
import { classes, html } from "../html.js";
import { player } from "../listening.js";
import * as store from "../store.js";
import { Slider } from "./controls.js";
import { StageButtons } from "./stages.js";

const LEGEND = [
  ["before", "Original"],
  ["after", "Master"],
  ["typical", "Similar music"],
  ["total", "Equalizer"],
];

/** The factor of the gains; the intensity is in them already. */
function amountOf(state) {
  const isOff = state.bypass.includes("eq") || (state.solo && state.solo !== "eq");
  return isOff ? 0 : (state.amounts.eq ?? 1);
}

const bandChange = (event) => {
  const { index, change: values, transient } = event.detail;
  change({ bands: { [index]: values } }, transient);
};

function bandReset(event) {
  const { index } = event.detail;
  const suggested = /** @type {any} */ (store.track.value).suggestion?.bands?.[index];
  const { freq_hz, gain_db, q } = suggested ?? {};
  change({ bands: { [index]: suggested ? { freq_hz, gain_db, q } : { gain_db: 0 } } });
}

export function Tone() {
  const track = /** @type {import("../types.js").Track} */ (store.track.value);
  const { state } = track;
  const curves = store.curves.value;
  const selected = store.selectedBand.value;
  return html`<section class="tone panel" aria-labelledby="tone-heading">
    <div class="panel-head">
      <h2 id="tone-heading">Tone <small>Equalizer</small></h2>
      <ul class="legend" aria-label="Curves">
        ${LEGEND.map(([name, label]) => html`<li class=${`legend-${name}`} key=${name}><i aria-hidden="true"></i>${label}</li>`)}
      </ul>
      <${StageButtons} name="eq" label="Tone" />
    </div>
    <div class=${classes({ "eq-box": true, "is-off": amountOf(state) === 0 })}>
      <nm-spectrum node=${player.spectrum}></nm-spectrum>
      <nm-eq bands=${state.bands} amount=${amountOf(state)} limits=${store.session.value?.band_limits} curves=${curves}
        isExact=${store.curvesAreExact.value} sampleRate=${track.sample_rate} selected=${selected}
        onbandchange=${bandChange} onbandreset=${bandReset}
        onbandselect=${(event) => (store.selectedBand.value = event.detail.index)}></nm-eq>
    </div>
    <${BandNumbers} state=${state} selected=${selected} />
  </section>`;
}

/** The chosen band as sliders; a hint where none is chosen. */
function BandNumbers({ state, selected }) {
  const band = state.bands[selected];
  const limits = store.session.value?.band_limits;
  const chooser = html`<div class="band-chooser" role="group" aria-label="Bands">
    ${state.bands.map(
      ({ freq_hz }, i) => html`<button key=${i} type="button" class=${`band-button band-${i % 8}`} aria-pressed=${i === selected}
        aria-label=${`Band ${i + 1}, ${frequency(freq_hz)}`} onClick=${() => (store.selectedBand.value = i)}>${i + 1}</button>`,
    )}
  </div>`;
  if (!band || !limits) {
    return html`<div class="band-numbers">${chooser}
      <p class="note">Drag a point to change it. Turn the wheel over it to make it wider or narrower. Double click brings it back.</p>
    </div>`;
  }
  const set = (name) => (value, transient) => change({ bands: { [selected]: { [name]: value } } }, transient);
  const [fLow, fHigh] = limits.freq_hz;
  return html`<div class="band-numbers">${chooser}<div class="band-sliders">
    <${Slider} label="Frequency" unit="Hz" value=${band.freq_hz} low=${fLow} high=${fHigh} scale="log" step=${1}
      onChange=${set("freq_hz")} />
    <${Slider} label="Gain" unit="dB" value=${band.gain_db} low=${limits.gain_db[0]} high=${limits.gain_db[1]} step=${0.1}
      reset=${0} onChange=${set("gain_db")} />
    <${Slider} label="Q" value=${band.q} low=${limits.q[0]} high=${limits.q[1]} scale="log" step=${0.01} onChange=${set("q")} />
  </div></div>`;
}
