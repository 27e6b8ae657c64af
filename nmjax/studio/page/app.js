// @ts-check
/** The page as a whole. */
import * as actions from "./actions.js";
import { classes, html } from "./html.js";
import * as store from "./store.js";
import { AUDIO, DropArea, FileButton, Progress } from "./views/controls.js";
import { DeliverDialog } from "./views/deliver.js";
import { KeysDialog, Messages, RemoveDialog, SnapshotsDialog } from "./views/dialogs.js";
import { Header } from "./views/header.js";
import { Listen } from "./views/listen.js";
import { Findings, Levels, Overall } from "./views/sidebar.js";
import { Stages } from "./views/stages.js";
import { Target } from "./views/target.js";
import { Tone } from "./views/tone.js";

const DIALOGS = { deliver: DeliverDialog, keys: KeysDialog, snapshots: SnapshotsDialog, remove: RemoveDialog };

export function App() {
  const OpenDialog = store.dialog.value && DIALOGS[store.dialog.value];
  return html`<${DropArea} target="track" className="app" onFiles=${actions.addTracks}>
    <${Header} />
    <${Uploads} />
    <main>${store.track.value ? html`<${Track} />` : html`<${Empty} />`}</main>
    ${OpenDialog ? html`<${OpenDialog} />` : html`<${Messages} />`}
  <//>`;
}

function Track() {
  const track = /** @type {import("./types.js").Track} */ (store.track.value);
  const isMastered = store.isMastered.value;
  if (track.status === "failed") return html`<section class="listen"><p class="summary is-error" role="alert">${track.error}</p></section>`;
  return html`<${Listen} />
    <div class="columns">
      <div class="column-main">
        ${isMastered ? html`<${Tone} /><${Stages} />` : html`<${Analyzing} track=${track} />`}
      </div>
      <div class="column-side">
        ${isMastered && html`<${Overall} /><${Target} />`}
        <${Levels} />
        <${Findings} />
      </div>
    </div>`;
}

const Analyzing = ({ track }) => html`<section class="panel analyzing" aria-busy="true">
  <p>The network analyzes the whole track. Its suggestion appears here.</p>
  <progress aria-label="Analysis"></progress>
</section>`;

function Empty() {
  const isLoading = !store.session.value || store.currentId.value;
  if (isLoading) return html`<p class="loading" role="status">Loading …</p>`;
  return html`<section class=${classes({ empty: true, "is-target": store.dropTarget.value === "track" })}>
    <h2>Drop a track here</h2>
    <p>The studio suggests a master. You can change every setting and compare at equal loudness.</p>
    <${FileButton} label="Choose a track" className="primary large" accept=${AUDIO} multiple onFiles=${actions.addTracks} />
    <p class="note">WAV, FLAC, OGG, Opus, MP3 or AIFF; several files for an album. Nothing leaves this computer.</p>
  </section>`;
}

function Uploads() {
  const uploads = store.uploads.value.filter(({ isReference }) => !isReference);
  if (!uploads.length) return null;
  return html`<ul class="uploads" aria-label="Files under way">
    ${uploads.map(({ key, name, share }) => html`<li key=${key}><span class="name">${name}</span><${Progress} value=${share} label=${`Sending ${name}`} /></li>`)}
  </ul>`;
}

