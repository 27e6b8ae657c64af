// @ts-check
/** What the page shows, as signals. The truth about a track is the server's; the rest is the view of this page. */
import { computed, signal } from "./vendor/signals-core.mjs";

/** @template T @typedef {{value: T}} Signal */

/** @type {Signal<import("./types.js").Session | null>} */
export const session = signal(null);
/** @type {Signal<import("./types.js").TrackBrief[]>} */
export const tracks = signal([]);
/** @type {Signal<string | null>} */
export const currentId = signal(null);
/** @type {Signal<import("./types.js").Track | null>} */
export const track = signal(null);
/** @type {Signal<import("./types.js").Curves | null>} */
export const curves = signal(null);
/** Whether `curves` belong to the settings that are shown. @type {Signal<boolean>} */
export const curvesAreExact = signal(false);
/** @type {Signal<Record<string, import("./types.js").Meters>>} */
export const meters = signal({});
/** Peaks of the whole track and of the shown part, by side. @type {Signal<Record<string, any>>} */
export const peaks = signal({});
/** @type {Signal<Record<string, import("./types.js").Job>>} */
export const jobs = signal({});
/** @type {Signal<{key: number, name: string, share: number, isReference: boolean}[]>} */
export const uploads = signal([]);
/** @type {Signal<{key: number, text: string, isError: boolean}[]>} */
export const messages = signal([]);

/** @type {Signal<import("./player/player.js").Side>} */
export const side = signal("master");
/** @type {Signal<boolean>} */
export const playing = signal(false);
/** @type {Signal<boolean>} */
export const waiting = signal(false);
/** @type {Signal<"equal" | "delivered">} */
export const loudness = signal("equal");
/** @type {Signal<{start: number, end: number} | null>} */
export const loop = signal(null);
/** @type {Signal<{start: number, end: number} | null>} shown part of the track; null is all of it */
export const view = signal(null);
/** @type {Signal<number>} */
export const selectedBand = signal(-1);
/** Which bands the equalizer shows: those of everything, or those of the side. @type {Signal<"all" | "side">} */
export const eqView = signal("all");
/** @type {Signal<"deliver" | "keys" | "snapshots" | "remove" | null>} */
export const dialog = signal(null);
/** @type {Signal<string | null>} id of the delivery that the dialog shows */
export const deliveryJob = signal(null);
/** @type {Signal<string | null>} id of the track that the dialog asks about */
export const removedTrack = signal(null);
/** @type {Signal<"track" | "reference" | null>} what a dragged file would become */
export const dropTarget = signal(null);

/** The current track has settings and can be changed, even while another network analyzes it again. */
export const isMastered = computed(() => {
  const { status, state } = track.value ?? {};
  return Boolean(state) && (status === "ready" || status === "analyzing");
});

/** The bands of the side are shown; only a stereo track has a side. */
export const showsSide = computed(() => eqView.value === "side" && track.value?.channels === 2);

/** @param {"all" | "side"} view */
export function chooseEqView(view) {
  eqView.value = view;
  selectedBand.value = -1;
}

/** What the equalizer draws: of everything, or of the side. */
export const eqCurves = computed(() => {
  if (!curves.value || !showsSide.value) return curves.value;
  const { freq_hz, side_bands: bands, side_total: total, side_spectrum_before, side_spectrum_after } = curves.value;
  const spectra = { spectrum_before: side_spectrum_before, spectrum_after: side_spectrum_after };
  return { freq_hz, bands, total: total ?? freq_hz.map(() => 0), ...spectra };
});

/** The references that the current track follows, with their names and weights. */
export const references = computed(() => {
  const { state, references: files = [] } = track.value ?? {};
  const chosen = state?.references ?? [];
  return chosen.flatMap(({ id, weight, section }) => files.filter((file) => file.id === id).map((file) => ({ ...file, weight, section })));
});

/** @type {Signal<string | null>} the reference that a person chose to listen to */
export const chosenReference = signal(null);
/** The reference that is the third side; undefined where none can be played. */
export const playedReference = computed(() => {
  const ids = references.value.filter(({ is_music: isMusic }) => isMusic).map(({ id }) => id);
  return ids.find((id) => id === chosenReference.value) ?? ids[0];
});

let keys = 0;
export const nextKey = () => ++keys;

const [READ_MS, READ_ERROR_MS] = [5000, 15000];

/**
 * Shows a sentence at the bottom of the page for a while.
 * @param {string} text
 * @param {boolean} [isError]
 * @param {number} [ms]  how long; infinite until it is dismissed
 */
export function tell(text, isError = false, ms = isError ? READ_ERROR_MS : READ_MS) {
  if (messages.value.some((message) => message.text === text)) return;
  const key = nextKey();
  messages.value = [...messages.value.slice(-2), { key, text, isError }];
  if (Number.isFinite(ms)) setTimeout(() => dismiss(key), ms);
}

/** @param {{message: string, name?: string}} error */
export function tellError(error) {
  if (error.name !== "AbortError") tell(error.message, true);
}

/** @param {number} key */
export function dismiss(key) {
  messages.value = messages.value.filter((message) => message.key !== key);
}
