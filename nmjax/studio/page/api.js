// @ts-check
/** Requests to the server: one function each. */

/** An error with a sentence for the person. */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status  of HTTP; 0 where the server could not be reached
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const UNREACHABLE = "The studio does not respond. If it has stopped, start it again and open the address that its terminal shows.";
const LOST_AFTER_MS = 3000; // without a connection

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError(UNREACHABLE, 0);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new RequestError(body.error ?? `The studio refused this request (${response.status}).`, response.status);
}

/** @param {string} method @param {string} path @param {unknown} [body] */
async function json(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  }
  const text = await (await request(path, options)).text();
  return text ? JSON.parse(text) : null;
}

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined));
const track = (id) => `/api/tracks/${encodeURIComponent(id)}`;

/** @returns {Promise<import("./types.js").Session>} */
export const getSession = () => json("GET", "/api/session");
/** @returns {Promise<import("./types.js").Track>} */
export const getTrack = (id) => json("GET", track(id));
export const deleteTrack = (id) => json("DELETE", track(id));
/** @returns {Promise<import("./types.js").Curves>} */
export const getCurves = (id) => json("GET", `${track(id)}/curves`);
/** @returns {Promise<import("./types.js").Meters>} */
export const getMeters = (id, side) => json("GET", `${track(id)}/meters?${query({ side })}`);
export const patchState = (id, changes) => json("PATCH", `${track(id)}/state`, changes);
/** @param {"undo" | "redo" | "reset"} step */
export const postStep = (id, step) => json("POST", `${track(id)}/${step}`);
export const saveSnapshot = (id, name) => json("POST", `${track(id)}/snapshots`, { name });
export const restoreSnapshot = (id, name) =>
  json("POST", `${track(id)}/snapshots/${encodeURIComponent(name)}/restore`);
export const deleteSnapshot = (id, name) => json("DELETE", `${track(id)}/snapshots/${encodeURIComponent(name)}`);
export const settingsUrl = (id) => `${track(id)}/settings.json`;
export const putSettings = (id, settings) => json("PUT", settingsUrl(id), settings);
/** @returns {Promise<import("./types.js").Job>} */
export const postDelivery = (options) => json("POST", "/api/deliveries", options);
/** @returns {Promise<import("./types.js").Job[]>} */
export const getJobs = () => json("GET", "/api/jobs");
export const cancelJob = (id) => json("DELETE", `/api/jobs/${encodeURIComponent(id)}`);

/**
 * Sends a file with its progress, which `fetch` does not report.
 * @param {string} path
 * @param {File} file
 * @param {(share: number) => void} onProgress
 */
export function upload(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open("POST", `${path}?${query({ name: file.name })}`);
    sent.upload.onprogress = (event) => onProgress(event.total ? event.loaded / event.total : 0);
    sent.onerror = () => reject(new RequestError(UNREACHABLE, 0));
    sent.onload = () => {
      const body = parse(sent.responseText);
      if (sent.status < 300) resolve(body);
      else reject(new RequestError(body?.error ?? `“${file.name}” was not accepted (${sent.status}).`, sent.status));
    };
    sent.send(file);
  });
}
export const uploadTrack = (file, onProgress) => upload("/api/tracks", file, onProgress);
export const uploadReference = (id, file, onProgress) => upload(`${track(id)}/references`, file, onProgress);

const parse = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

/**
 * Minima and maxima of columns of samples, `[columns, 2]`.
 * @returns {Promise<Float32Array>}
 */
export async function getPeaks(id, side, columns, start, frames) {
  const response = await request(`${track(id)}/peaks?${query({ side, columns, start, frames })}`);
  return new Float32Array(await response.arrayBuffer());
}

/**
 * A piece of audio, one array per channel.
 * @param {string} id
 * @param {number} channelCount
 * @param {() => string} playedReference  which of several references to play
 * @returns {import("./player/player.js").FetchPiece}
 */
export const pieceFetcher = (id, channelCount, playedReference) => async (side, start, frames, options) => {
  const { revision, loudness, signal } = options;
  const reference = side === "reference" ? playedReference() : undefined;
  const path = `${track(id)}/audio?${query({ side, revision, start, frames, loudness, reference })}`;
  const response = await request(path, { signal });
  const samples = new Float32Array(await response.arrayBuffer());
  const count = Math.floor(samples.length / channelCount);
  const channels = Array.from({ length: channelCount }, () => new Float32Array(count));
  channels.forEach((channel, c) => {
    for (let i = 0; i < count; i++) channel[i] = samples[i * channelCount + c];
  });
  return { channels, isExact: response.headers.get("X-Exact") !== "0" };
};

/**
 * @param {Record<string, (data: any) => void>} handlers  by event name
 * @param {() => void} onReturn  when the server responds again after an interruption
 * @param {() => void} onLost  when it has not responded for a while
 */
export function listen(handlers, onReturn, onLost) {
  const source = new EventSource("/api/events");
  let isFirst = true;
  let lost = 0;
  source.addEventListener("open", () => {
    clearTimeout(lost);
    lost = 0;
    if (!isFirst) onReturn();
    isFirst = false;
  });
  source.addEventListener("error", () => (lost ||= window.setTimeout(onLost, LOST_AFTER_MS)));
  for (const [name, handler] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handler(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  }
  return source;
}
