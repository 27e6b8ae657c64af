// @ts-check
/** What a person does, besides moving controls: files, snapshots, references, deliveries. */
import * as api from "./api.js";
import { afterChanges, reload, reloadSoon, runChange } from "./changes.js";
import { player } from "./listening.js";
import * as store from "./store.js";

/** The states of a job in their order; the last three are ends. */
const STATES = ["queued", "running", "done", "failed", "canceled"];

/** Reads the session, and what happens from now on. */
export async function start() {
  await readSession();
  api.listen({ track: takeBrief, tracks: takeTracks, job: takeJob }, returned, lost);
}

const LOST = "The studio has stopped. Start it again, and open the address that its terminal shows.";

function returned() {
  store.messages.value = store.messages.value.filter(({ text }) => text !== LOST);
  readSession();
}

const lost = () => store.tell(LOST, true, Infinity);

async function readSession() {
  try {
    store.session.value = await api.getSession();
    takeTracks(store.session.value.tracks);
    for (const job of await api.getJobs()) takeJob(job);
    const running = Object.values(store.jobs.value).find(({ kind, state }) => kind === "delivery" && state === "running");
    store.deliveryJob.value ??= running?.id ?? null; // after a reload
    reloadSoon();
  } catch (error) {
    store.tellError(error);
  }
}

function takeBrief(brief) {
  const known = store.tracks.value.some((track) => track.id === brief.id);
  store.tracks.value = known
    ? store.tracks.value.map((track) => (track.id === brief.id ? { ...track, ...brief } : track))
    : [...store.tracks.value, brief];
  if (brief.id === store.currentId.value) reloadSoon();
}

function takeTracks(list) {
  store.tracks.value = list;
  const isHere = list.some((track) => track.id === store.currentId.value);
  if (!isHere) chooseTrack(list[0]?.id ?? null);
}

/** @param {import("./types.js").Job} job */
function takeJob(job) {
  const before = store.jobs.value[job.id];
  if (before && STATES.indexOf(before.state) > STATES.indexOf(job.state)) return; // a reply that is older than an event
  store.jobs.value = { ...store.jobs.value, [job.id]: job };
  const isDelivery = job.kind === "delivery";
  const isShown = isDelivery
    ? store.dialog.value === "deliver" && job.id === store.deliveryJob.value
    : job.kind === "analysis" && job.track === store.currentId.value;
  if (isDelivery && job.state === "done" && before && before.state !== "done" && !isShown) {
    store.tell("The delivery is done: press Deliver (D) to download it.");
  }
  if (job.state === "failed" && before && before.state !== "failed" && !isShown) store.tell(job.message, true);
  if (job.kind === "reference" && job.state === "done" && job.track === store.currentId.value) reloadSoon();
}

/** @param {string | null} id */
export async function chooseTrack(id) {
  if (id === store.currentId.value) return;
  player.close();
  store.playing.value = false;
  store.currentId.value = id;
  store.track.value = null;
  store.curves.value = null;
  store.meters.value = {};
  store.peaks.value = {};
  store.selectedBand.value = -1;
  if (id) await reload();
}

/** @param {string} id */
export async function removeTrack(id) {
  try {
    await api.deleteTrack(id);
    takeTracks(store.tracks.value.filter((track) => track.id !== id));
  } catch (error) {
    store.tellError(error);
  }
}

/**
 * Adds tracks; the first of them becomes the current one.
 * @param {Iterable<File>} files
 */
export async function addTracks(files) {
  let isFirst = true;
  for (const file of files) {
    const brief = await send(file, false, (onProgress) => api.uploadTrack(file, onProgress));
    if (!brief) continue;
    takeBrief(brief);
    if (isFirst) chooseTrack(brief.id);
    isFirst = false;
  }
}

/** Music and target files that the current track is matched to. @param {Iterable<File>} files */
export async function addReferences(files) {
  const id = store.currentId.value;
  if (!id) return;
  for (const file of files) {
    const job = await send(file, true, (onProgress) => api.uploadReference(id, file, onProgress));
    if (job?.id) takeJob(job);
  }
}

async function send(file, isReference, upload) {
  const key = store.nextKey();
  const limit = store.session.value?.upload_limit_bytes ?? Infinity;
  if (file.size > limit) {
    store.tell(`“${file.name}” is larger than ${(limit / 1e9).toFixed(1)} GB: export a smaller file.`, true);
    return null;
  }
  const others = () => store.uploads.value.filter((other) => other.key !== key);
  const show = (share) => (store.uploads.value = [...others(), { key, name: file.name, share, isReference }]);
  show(0);
  try {
    return await upload(show);
  } catch (error) {
    store.tellError(error);
    return null;
  } finally {
    store.uploads.value = others();
  }
}

/** @param {string} name */
export const saveSnapshot = (name) => runChange((id) => api.saveSnapshot(id, name));
/** @param {string} name */
export const restoreSnapshot = (name) => runChange((id) => api.restoreSnapshot(id, name));
/** @param {string} name */
export const deleteSnapshot = (name) => runChange((id) => api.deleteSnapshot(id, name));

/** The first free name among "Snapshot 1", "Snapshot 2", … */
export function freeSnapshotName() {
  const used = new Set(store.track.value?.snapshots);
  let number = 1;
  while (used.has(`Snapshot ${number}`)) number++;
  return `Snapshot ${number}`;
}

/** @param {File | undefined} file */
export async function loadSettings(file) {
  if (!file) return;
  let settings;
  try {
    settings = JSON.parse(await file.text());
  } catch {
    return store.tell(`“${file.name}” is not a settings file; choose a JSON file that the studio or nmjax saved.`, true);
  }
  await runChange((id) => api.putSettings(id, settings));
}

/** Saves the settings of a track as a file, with all changes until now. @param {string} url */
export async function saveSettings(url) {
  await afterChanges(async () => {});
  const link = document.createElement("a");
  link.href = url;
  link.download = "";
  link.click();
}

/** @param {object} options */
export async function deliver(options) {
  try {
    const job = await afterChanges(() => api.postDelivery(options));
    store.deliveryJob.value = job.id;
    takeJob(job);
  } catch (error) {
    store.tellError(error);
  }
}

/** @param {string} id */
export async function cancel(id) {
  try {
    await api.cancelJob(id);
  } catch (error) {
    store.tellError(error);
  }
}
