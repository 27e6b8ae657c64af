// @ts-check
/** The bar at the top: tracks, undo and redo, snapshots, settings, delivery. */
import * as actions from "../actions.js";
import { settingsUrl } from "../api.js";
import { step } from "../changes.js";
import { classes, html, icon } from "../html.js";
import * as store from "../store.js";
import { AUDIO, FileButton } from "./controls.js";

const STATUS = { decoding: "reading", analyzing: "analyzing", ready: "", failed: "failed" };

export function Header() {
  const { value: track } = store.track;
  const isReady = store.isMastered.value;
  return html`<header class="top">
    <h1>nmjax studio</h1>
    <${Tracks} />
    <div class="top-actions" role="toolbar" aria-label="Settings of this track">
      <button type="button" class="quiet icon-button" aria-label="Undo" title="Undo (Ctrl+Z)" disabled=${!track?.can_undo}
        onClick=${() => step("undo")}>${icon("undo")}</button>
      <button type="button" class="quiet icon-button" aria-label="Redo" title="Redo (Ctrl+Shift+Z)"
        disabled=${!track?.can_redo} onClick=${() => step("redo")}>${icon("redo")}</button>
      <button type="button" class="quiet" disabled=${!isReady} title="Snapshots (S)"
        onClick=${() => (store.dialog.value = "snapshots")}>Snapshots</button>
      <${SettingsMenu} />
      <button type="button" class="quiet icon-button" aria-label="Keyboard" title="Keys (?)"
        onClick=${() => (store.dialog.value = "keys")}>?</button>
      <button type="button" class="primary" disabled=${!isReady} title="Deliver (D)"
        onClick=${() => (store.dialog.value = "deliver")}>Deliver</button>
    </div>
  </header>`;
}

function Tracks() {
  const list = store.tracks.value;
  return html`<nav class="tracks" aria-label="Tracks">
    ${list.map(
      (track) => html`<span key=${track.id} class=${classes({ "track-tab": true, "is-current": track.id === store.currentId.value })}>
        <button type="button" class="track-name" aria-current=${track.id === store.currentId.value ? "true" : undefined}
          title=${track.name} onClick=${() => actions.chooseTrack(track.id)}>
          <span class="name">${track.name}</span>
          ${STATUS[track.status] && html`<span class="track-status">${STATUS[track.status]}</span>`}
        </button>
        <button type="button" class="track-close" aria-label=${`Remove ${track.name}`}
          onClick=${() => askToRemove(track.id)}>${icon("close")}</button>
      </span>`,
    )}
    ${list.length > 0 &&
    html`<${FileButton} label="Add track" className="quiet" accept=${AUDIO} multiple onFiles=${actions.addTracks} />`}
  </nav>`;
}

/** @param {string} id */
function askToRemove(id) {
  store.removedTrack.value = id;
  store.dialog.value = "remove";
}

function SettingsMenu() {
  const track = store.track.value;
  const isReady = store.isMastered.value;
  const save = (event) => {
    event.preventDefault();
    if (isReady && track) actions.saveSettings(settingsUrl(track.id));
  };
  const closeOnEscape = (event) => {
    if (event.key !== "Escape" || !event.currentTarget.open) return;
    event.currentTarget.open = false;
    event.currentTarget.querySelector("summary").focus();
  };
  return html`<details class="menu" onKeyDown=${closeOnEscape}>
    <summary title="Settings file">Settings</summary>
    <div class="menu-items" onClick=${(event) => event.currentTarget.parentElement.removeAttribute("open")}>
      <a class=${classes({ button: true, quiet: true, "is-disabled": !isReady })}
        href=${isReady && track ? settingsUrl(track.id) : undefined} download onClick=${save}>Save settings</a>
      <${FileButton} label="Load settings" className="quiet" accept=".json,application/json" disabled=${!isReady}
        onFiles=${([file]) => actions.loadSettings(file)} />
      <button type="button" class="quiet" disabled=${!isReady} onClick=${() => step("reset")}>Back to the suggestion</button>
    </div>
  </details>`;
}
