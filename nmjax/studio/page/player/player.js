// @ts-check
/**
 * The one audio player of the page. It loads pieces of both sides at the same positions, and the worklet plays them.
 *
 * @typedef {"original" | "master" | "reference" | "null"} Side
 * @typedef {{id: string, sampleRate: number, channels: number, frames: number, revision: number}} Source
 * @typedef {(side: string, start: number, frames: number, options: {revision?: number, loudness: string,
 *   signal: AbortSignal}) => Promise<{channels: Float32Array[], isExact: boolean}>} FetchPiece
 */
import { Lane } from "./lane.js";

const START_LIMIT_MS = 5000; // of the sound device

/** Events: "position", "switched", "ended", "error" (detail: the error), "stale" (the master has a newer revision). */
export class Player extends EventTarget {
  /** @param {FetchPiece} fetchPiece */
  constructor(fetchPiece) {
    super();
    this.fetchPiece = fetchPiece;
    /** @type {AudioContext | null} */
    this.context = null;
    /** @type {Promise<void>} */
    this.isLoaded = Promise.resolve(); // the worklet of the context
    /** @type {AudioWorkletNode | null} */
    this.node = null;
    /** @type {AnalyserNode | null} */
    this.spectrum = null;
    /** @type {Source | null} */
    this.source = null;
    /** @type {Side} */
    this.side = "master";
    this.playing = false;
    this.waiting = false;
    /** @type {{start: number, end: number} | null} */
    this.loop = null;
    this.loudness = "equal";
    this.report = { position: 0, frame: 0 };
    this.roundTripS = 0.1;
    /** @type {Record<string, Lane>} */
    this.lanes = {};
  }

  /**
   * Makes a track the one that plays, from its start.
   * @param {Source} source
   * @param {string[]} sides  to load; others follow by `addSide`
   */
  async open(source, sides) {
    this.close();
    this.source = source;
    if (this.context?.sampleRate !== source.sampleRate) {
      this.context?.close();
      this.context = new AudioContext({ sampleRate: source.sampleRate, latencyHint: "interactive" });
      this.isLoaded = this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    }
    try {
      await this.isLoaded;
    } catch (error) {
      this.context = this.source = null; // the next time, everything is tried again
      throw error;
    }
    if (this.source !== source) return;
    this.node = new AudioWorkletNode(this.context, "nmjax-player", {
      numberOfInputs: 0,
      outputChannelCount: [source.channels],
      processorOptions: { frames: source.frames },
    });
    this.spectrum = new AnalyserNode(this.context);
    this.spectrum.fftSize = 4096;
    this.spectrum.smoothingTimeConstant = 0.75;
    this.node.connect(this.spectrum);
    this.node.connect(this.context.destination);
    this.node.port.onmessage = (event) => this.receive(event.data);
    this.tellWorklet();
    for (const side of sides) this.addSide(side);
  }

  /** What was chosen while the worklet was loading. */
  tellWorklet() {
    this.post({ type: "side", side: this.side });
    this.post({ type: "loop", loop: this.loop });
    if (this.report.position) this.post({ type: "seek", frame: this.report.position });
    if (this.playing) this.post({ type: "play" });
  }

  close() {
    for (const lane of Object.values(this.lanes)) lane.stop();
    this.lanes = {};
    this.post({ type: "close" });
    this.node?.disconnect();
    this.node = null;
    this.source = null;
    this.playing = false;
    this.loop = null;
    this.report = { position: 0, frame: 0 };
  }

  /** @param {object} message */
  post(message, transfer = []) {
    this.node?.port.postMessage(message, transfer);
  }

  receive(message) {
    if (message.type === "position") {
      this.report = message;
      this.playing = message.playing;
      this.waiting = message.waiting;
    }
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  /** The frame of the track that sounds now. */
  get position() {
    const { position, frame } = this.report;
    if (!this.source || !this.context || !this.playing || this.waiting) return position;
    const passed = this.context.currentTime * this.source.sampleRate - frame;
    const end = this.loop && position < this.loop.end ? this.loop.end : this.source.frames;
    return Math.min(position + Math.max(0, passed), end);
  }

  async play() {
    if (!this.context || !this.source) return;
    const wait = new Promise((resolve) => setTimeout(resolve, START_LIMIT_MS));
    await Promise.race([this.context.resume(), wait]); // it never resolves without a sound device
    if (this.context.state !== "running") {
      throw new Error("The browser cannot start its sound. Connect a sound device, then reload this page.");
    }
    if (!this.source) return; // another track was chosen meanwhile
    if (this.position >= this.source.frames - 1) this.seek(0);
    this.playing = true;
    this.post({ type: "play" });
  }

  pause() {
    this.playing = false;
    this.post({ type: "pause" });
    this.dispatchEvent(new CustomEvent("position"));
  }

  /** @param {number} frame */
  seek(frame) {
    if (!this.source) return;
    const target = Math.round(Math.min(Math.max(0, frame), this.source.frames - 1));
    this.report = { position: target, frame: (this.context?.currentTime ?? 0) * this.source.sampleRate };
    this.post({ type: "seek", frame: target });
    for (const lane of Object.values(this.lanes)) lane.moved();
    this.dispatchEvent(new CustomEvent("position"));
  }

  /** @param {Side} side */
  setSide(side) {
    this.side = side;
    this.post({ type: "side", side });
  }

  /** @param {{start: number, end: number} | null} loop  frames */
  setLoop(loop) {
    this.loop = loop;
    this.post({ type: "loop", loop });
    if (loop && (this.position < loop.start || this.position >= loop.end)) this.seek(loop.start);
  }

  /** @param {"equal" | "delivered"} loudness */
  setLoudness(loudness) {
    this.loudness = loudness;
    this.lanes.master?.restart();
    this.lanes.reference?.restart();
  }

  /**
   * Plays another rendering of the master as soon as its first piece is there.
   * @param {number} revision
   * @returns {Promise<void>} resolves with that piece
   */
  setRevision(revision) {
    if (!this.source || !this.lanes.master) return Promise.resolve();
    this.source.revision = revision;
    return this.lanes.master.restart();
  }

  /** Reads the master again where its gain was an estimate. */
  refreshEstimates() {
    if (this.lanes.master?.isEstimated) this.lanes.master.restart();
  }

  /** Loads a side as well; a side that is loaded already is read again. @param {string} side */
  addSide(side) {
    this.removeSide(side);
    if (!this.source || !this.node) return;
    const lane = new Lane(this, side);
    this.lanes[side] = lane;
    lane.restart();
    lane.run();
  }

  /** @param {string} side */
  removeSide(side) {
    this.lanes[side]?.stop();
    delete this.lanes[side];
  }
}
