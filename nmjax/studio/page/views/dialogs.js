// @ts-check
/** Keys, snapshots, the question before a removal; the frame of every dialog, and messages. */
import * as actions from "../actions.js";
import { classes, html, icon } from "../html.js";
import { KEYS } from "../keyboard.js";
import * as store from "../store.js";

/** @param {{title: string, name: string, onClosed?: () => void, children?: any}} props */
export function Dialog({ title, name, onClosed, children }) {
  const close = () => {
    store.dialog.value = null;
    onClosed?.();
  };
  const open = (/** @type {HTMLDialogElement | null} */ element) => element && !element.open && element.showModal();
  const backdrop = (event) => event.target === event.currentTarget && close();
  return html`<dialog class=${`dialog dialog-${name}`} aria-labelledby=${`${name}-title`} ref=${open} onClose=${close}
    onClick=${backdrop}>
    <div class="dialog-inner">
      <div class="dialog-head">
        <h2 id=${`${name}-title`}>${title}</h2>
        <button type="button" class="quiet icon-button" aria-label="Close" onClick=${close}>${icon("close")}</button>
      </div>
      ${children}
    </div>
    <${Messages} />
  </dialog>`;
}

/** Sentences at the bottom; within an open dialog, because it covers the page. */
export function Messages() {
  return html`<div class="messages" aria-live="polite">
    ${store.messages.value.map(
      ({ key, text, isError }) => html`<div key=${key} class=${classes({ message: true, "is-error": isError })} role=${isError ? "alert" : "status"}>
        <span>${text}</span>
        <button type="button" class="quiet icon-button" aria-label="Dismiss" onClick=${() => store.dismiss(key)}>${icon("close")}</button>
      </div>`,
    )}
  </div>`;
}

export function RemoveDialog() {
  const id = store.removedTrack.value;
  const name = store.tracks.value.find((track) => track.id === id)?.name ?? "this track";
  const close = () => (store.dialog.value = null);
  const remove = () => {
    close();
    if (id) actions.removeTrack(id);
  };
  return html`<${Dialog} title=${`Remove “${name}”?`} name="remove">
    <p>Its settings, their history and its snapshots are deleted from the studio. Your own file stays as it is.</p>
    <div class="dialog-actions">
      <button type="button" class="quiet" onClick=${close}>Keep it</button>
      <button type="button" class="primary" onClick=${remove}>Remove</button>
    </div>
  <//>`;
}

export const KeysDialog = () => html`<${Dialog} title="Keys" name="keys">
  <dl class="keys">
    ${KEYS.map(
      ({ keys, text }) => html`<div key=${text}><dt>${keys.map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dt><dd>${text}</dd></div>`,
    )}
  </dl>
<//>`;

export function SnapshotsDialog() {
  const names = store.track.value?.snapshots ?? [];
  const save = async (event) => {
    event.preventDefault();
    const field = event.target.elements.namedItem("name");
    await actions.saveSnapshot(field.value.trim() || actions.freeSnapshotName());
    field.value = "";
  };
  return html`<${Dialog} title="Snapshots" name="snapshots">
    <p class="note">A snapshot remembers all settings of this track. Switch between them while the music plays.</p>
    <ul class="snapshots">
      ${names.map(
        (name) => html`<li key=${name}>
          <button type="button" class="snapshot-name" onClick=${() => actions.restoreSnapshot(name)}>${name}</button>
          <button type="button" class="quiet icon-button" aria-label=${`Delete ${name}`}
            onClick=${() => actions.deleteSnapshot(name)}>${icon("close")}</button>
        </li>`,
      )}
      ${names.length === 0 && html`<li class="note">No snapshot yet.</li>`}
    </ul>
    <form class="row" onSubmit=${save}>
      <input type="text" name="name" aria-label="Name of the snapshot" placeholder=${actions.freeSnapshotName()} maxlength="60" autocomplete="off" />
      <button type="submit" class="primary">Save snapshot</button>
    </form>
  <//>`;
}
