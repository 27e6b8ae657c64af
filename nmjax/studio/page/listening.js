// @ts-check
/** The page's player, connected to the store: what plays, which side, the loop, and the part that is shown. */
import { getPeaks, pieceFetcher } from "./api.js";
import { Player } from "./player/player.js";
import * as store from "./store.js";

const COLUMNS = 2048;
const DETAIL_PAUSE_MS = 120;

/** Id of the reference whose audio the player loads, until it is closed. */
let openedReference = "";

export const player = new Player((side, start, frames, options) => {
  const { id, channels } = /** @type {import("./player/player.js").Source} */ (player.source);
  return pieceFetcher(id, channels, () => openedReference)(side, start, frames, options);
});

/** Called with no argument when the server has a newer rendering than the page asked for. */
export let onStale = () => {};
/** @param {() => void} handler */
export const whenStale = (handler) => (onStale = handler);

function readPlayer() {
  store.playing.value = player.playing;
  store.waiting.value = player.waiting;
}
player.addEventListener("position", readPlayer);
player.addEventListener("ended", readPlayer);
player.addEventListener("stale", () => onStale());
player.addEventListener("error", (event) => store.tellError(/** @type {CustomEvent} */ (event).detail));

/** Opens the current track in the player as far as it can be played yet. */
export async function openTrack() {
  const track = store.track.value;
  if (!track || !track.frames || track.status === "decoding" || track.status === "failed") return;
  const isOpen = player.source?.id === track.id;
  if (!isOpen) {
    store.loop.value = null;
    store.view.value = null;
    store.peaks.value = {};
    const { id, sample_rate: sampleRate, channels, frames, revision } = track;
    chooseSide(store.isMastered.value ? "master" : "original");
    await player.open({ id, sampleRate, channels, frames, revision }, ["original"]);
    loadPeaks("original");
  }
  if (player.source?.id !== track.id) return;
  if (store.isMastered.value && !player.lanes.master) {
    player.source.revision = track.revision;
    player.addSide("master");
    chooseSide("master");
  }
  openReference();
}

/** Opens the reference that is to be played as a side, and closes one that is gone. */
function openReference() {
  const id = store.playedReference.value;
  if (id && (!player.lanes.reference || id !== openedReference)) {
    openedReference = id;
    player.addSide("reference");
  }
  if (!id && player.lanes.reference) {
    player.removeSide("reference");
    if (store.side.value === "reference") chooseSide("master");
  }
}

/** @param {string} id  of a reference */
export function listenToReference(id) {
  store.chosenReference.value = id;
  openReference();
  chooseSide("reference");
}

export async function togglePlay() {
  if (player.playing) player.pause();
  else await player.play().catch(store.tellError);
  readPlayer();
}

/** @param {import("./player/player.js").Side} side */
export function chooseSide(side) {
  if (side === "reference" && !store.playedReference.value) return;
  if ((side === "master" || side === "null") && !store.isMastered.value) return;
  if (side === "null" && store.loudness.value !== "equal") chooseLoudness("equal");
  store.side.value = side;
  player.setSide(side);
}

/** @param {"equal" | "delivered"} loudness */
export function chooseLoudness(loudness) {
  store.loudness.value = loudness;
  player.setLoudness(loudness);
}

/** @param {number} seconds */
export const seekBy = (seconds) => player.seek(player.position + seconds * (player.source?.sampleRate ?? 0));

/** @param {{start: number, end: number} | null} loop */
export function chooseLoop(loop) {
  const shortest = 0.05 * (player.source?.sampleRate ?? 44100);
  store.loop.value = loop && loop.end - loop.start > shortest ? loop : null;
  player.setLoop(store.loop.value);
}

/** Loop of 8 s around the play head, or none. */
export function toggleLoop() {
  const source = player.source;
  if (store.loop.value || !source) return chooseLoop(null);
  const start = Math.round(player.position);
  chooseLoop({ start, end: Math.min(source.frames, start + 8 * source.sampleRate) });
}

/** Moves the start or the end of the loop to the play head. @param {"start" | "end"} which */
export function markLoop(which) {
  const source = player.source;
  if (!source) return;
  const loop = { start: 0, end: source.frames, ...store.loop.value, [which]: Math.round(player.position) };
  chooseLoop(loop.start < loop.end ? loop : null);
}

let detailTimer = 0;

/** @param {{start: number, end: number}} view */
export function chooseView(view) {
  const frames = player.source?.frames ?? 0;
  store.view.value = view.start <= 0 && view.end >= frames ? null : view;
  clearTimeout(detailTimer);
  detailTimer = window.setTimeout(() => Object.keys(store.peaks.value).forEach(loadPeaks), DETAIL_PAUSE_MS);
}

/** Reads the peaks of a side, for the shown part with a margin; the whole track where all is shown. */
export async function loadPeaks(side) {
  const source = player.source;
  if (!source || (side === "master" && !store.isMastered.value)) return;
  const view = store.view.value ?? { start: 0, end: source.frames };
  const margin = view.end - view.start;
  const start = Math.max(0, view.start - margin);
  const frames = Math.min(source.frames, view.end + margin) - start;
  try {
    const data = await getPeaks(source.id, side, Math.min(frames, COLUMNS * 2), start, frames);
    if (player.source === source) store.peaks.value = { ...store.peaks.value, [side]: { start, frames, data } };
  } catch (error) {
    if (error.status !== 409) store.tellError(error);
  }
}
