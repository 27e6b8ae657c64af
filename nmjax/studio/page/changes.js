// @ts-check
/**
 * Changes of the settings: shown at once, sent to the server one at a time, and played as soon as the first piece is
 * there. While a control moves, only its newest value is sent.
 */
import { getCurves, getMeters, getTrack, patchState, postStep } from "./api.js";
import { loadPeaks, openTrack, player, whenStale } from "./listening.js";
import * as store from "./store.js";

const FIRST_PIECE_LIMIT_MS = 400;
const [CURVES_PAUSE_MS, METERS_PAUSE_MS, METERS_POLL_MS] = [150, 700, 1200];
const BANDS = ["bands", "side_bands"];
const MERGED = ["amounts", "deliver", "reference_weights"];

/**
 * What is still to be sent, in order: changes of settings, and other requests, which must not overtake them.
 * @type {({id: string, changes: Record<string, any>, transient: boolean} | {run: () => Promise<void>})[]}
 */
let queue = [];
let busy = false;

/**
 * A state with changes; bands by index, and processors by name, as the server takes them.
 * @param {import("./types.js").State} state
 * @param {Record<string, any>} changes
 * @returns {import("./types.js").State}
 */
export function applyChanges(state, changes) {
  const next = { ...state, ...changes };
  for (const name of MERGED) if (changes[name]) next[name] = { ...state[name], ...changes[name] };
  for (const name of BANDS) {
    if (changes[name]) next[name] = state[name].map((band, i) => ({ ...band, ...changes[name][i] }));
  }
  if (changes.processors) next.processors = mergeGroups(state.processors, changes.processors);
  return next;
}

function mergeGroups(groups, changes) {
  const merged = { ...groups };
  for (const [name, values] of Object.entries(changes)) merged[name] = { ...groups?.[name], ...values };
  return merged;
}

function mergeChanges(first, second) {
  const merged = { ...first, ...second };
  for (const name of MERGED) if (first[name] && second[name]) merged[name] = { ...first[name], ...second[name] };
  for (const name of [...BANDS, "processors"]) {
    if (first[name] && second[name]) merged[name] = mergeGroups(first[name], second[name]);
  }
  return merged;
}

/**
 * Changes the settings of the current track.
 * @param {Record<string, any>} changes
 * @param {boolean} [transient]  the control still moves
 */
export function change(changes, transient = false) {
  const track = store.track.value;
  if (!track?.state) return;
  store.track.value = { ...track, state: applyChanges(track.state, changes) };
  if ([...BANDS, "amounts", "bypass", "solo"].some((name) => name in changes)) store.curvesAreExact.value = false;
  const last = queue.at(-1);
  if (last && "changes" in last && last.transient && last.id === track.id) {
    queue[queue.length - 1] = { id: track.id, changes: mergeChanges(last.changes, changes), transient };
  } else {
    queue.push({ id: track.id, changes, transient });
  }
  send();
}

async function send() {
  if (busy) return;
  busy = true;
  while (queue.length) {
    const next = /** @type {typeof queue[0]} */ (queue.shift());
    if ("run" in next) {
      await next.run();
      continue;
    }
    const { id, changes, transient } = next;
    try {
      const reply = await patchState(id, transient ? { ...changes, transient } : changes);
      await accept(id, reply);
    } catch (error) {
      store.tellError(error);
      queue = queue.filter((other) => "run" in other);
      await reload();
    }
  }
  busy = false;
}

/**
 * Sends a request after the changes that are still waiting.
 * @template T
 * @param {() => Promise<T>} request
 * @returns {Promise<T>}
 */
export function afterChanges(request) {
  return new Promise((resolve, reject) => {
    queue.push({ run: () => request().then(resolve, reject) });
    send();
  });
}

/** Takes the server's reply to a change, and waits until it can be played. */
async function accept(id, reply) {
  const track = store.track.value;
  if (!track || track.id !== id) return;
  const { revision, can_undo, can_redo } = reply;
  const state = queue.length ? track.state : reply.state;
  store.track.value = { ...track, revision, can_undo, can_redo, state };
  const first = player.setRevision(revision);
  refresh();
  await Promise.race([first, new Promise((resolve) => setTimeout(resolve, FIRST_PIECE_LIMIT_MS))]);
}

/** @param {"undo" | "redo" | "reset"} step */
export function step(step) {
  return runChange((id) => postStep(id, step));
}

/**
 * A change that the server makes by itself, such as undo.
 * @param {(id: string) => Promise<any>} request
 */
export async function runChange(request) {
  const track = store.track.value;
  if (!track) return;
  try {
    await afterChanges(async () => {
      const reply = await request(track.id);
      store.curvesAreExact.value = false;
      if (reply?.state) await accept(track.id, reply);
    });
    await reload();
  } catch (error) {
    store.tellError(error);
  }
}

/** Reads the current track again, unless a change is under way, which does so itself. */
export async function reload() {
  const id = store.currentId.value;
  if (!id) return;
  try {
    const track = await getTrack(id);
    // What was read before a change is no longer true.
    if (store.currentId.value !== id || queue.length || track.revision < (store.track.value?.revision ?? 0)) return;
    const isNew = track.revision !== player.source?.revision;
    store.track.value = track;
    await openTrack();
    if (isNew && store.isMastered.value && player.source?.id === id) player.setRevision(track.revision);
    else player.refreshEstimates();
    refresh();
  } catch (error) {
    if (error.status !== 404) store.tellError(error);
  }
}

let reloadTimer = 0;
/** Reads the track again soon; many calls are one. */
export function reloadSoon() {
  clearTimeout(reloadTimer);
  reloadTimer = window.setTimeout(() => (busy ? reloadSoon() : reload()), 120);
}
whenStale(reloadSoon);

/** @type {Record<string, number>} */
const timers = {};
function later(name, pause, run) {
  clearTimeout(timers[name]);
  timers[name] = window.setTimeout(run, pause);
}

/** Reads again what follows from the settings, a moment after the last change. */
export function refresh() {
  if (!store.isMastered.value) return;
  later("curves", CURVES_PAUSE_MS, refreshCurves);
  later("meters", METERS_PAUSE_MS, refreshMeters);
}

async function refreshCurves() {
  const track = store.track.value;
  if (!track || busy) return later("curves", CURVES_PAUSE_MS, refreshCurves);
  try {
    const curves = await getCurves(track.id);
    if (store.track.value?.revision !== track.revision || queue.length) return;
    store.curves.value = curves;
    store.curvesAreExact.value = true;
  } catch (error) {
    store.tellError(error);
  }
}

async function refreshMeters() {
  const track = store.track.value;
  if (!track || busy) return later("meters", METERS_PAUSE_MS, refreshMeters);
  try {
    const [original, master] = await Promise.all(["original", "master"].map((side) => getMeters(track.id, side)));
    if (store.track.value?.id !== track.id) return;
    store.meters.value = { original, master };
    if (original.pending || master.pending) later("meters", METERS_POLL_MS, refreshMeters);
    else loadPeaks("master");
  } catch (error) {
    store.tellError(error);
  }
}
