// @ts-check
/** The loading of one side of the track: which piece to ask for, when to start again, when to wait. */
import { Buffer } from "./buffer.js";

const RETRY_MS = 1000;
const IDLE_MS = 50;

let generations = 0;

/** Loads the pieces of one side, one request at a time. */
export class Lane {
  /**
   * @param {import("./player.js").Player} player
   * @param {string} side
   */
  constructor(player, side) {
    this.player = player;
    this.side = side;
    this.generation = 0;
    this.buffer = this.emptyBuffer();
    this.abort = new AbortController();
    this.stopped = false;
    this.stale = false;
    this.wake = () => {};
    /** @type {() => void} */
    this.resolveFirst = () => {};
    this.isReplacing = false; // another rendering plays until the first piece is there
    this.floor = 0;
    this.isEstimated = false; // some piece was rendered before the gain was known exactly
  }

  emptyBuffer() {
    const source = /** @type {import("./player.js").Source} */ (this.player.source);
    return new Buffer(source.sampleRate, source.frames);
  }

  stop() {
    this.stopped = true;
    this.abort.abort();
    this.resolveFirst();
    this.wake();
  }

  /** Starts again with an empty tape; what is loaded plays on until the first new piece is there. */
  restart() {
    this.resolveFirst();
    this.abort.abort();
    this.abort = new AbortController();
    this.generation = ++generations;
    this.buffer = this.emptyBuffer();
    this.stale = false;
    this.isEstimated = false;
    this.isReplacing = true;
    this.player.post({ type: "generation", side: this.side, generation: this.generation });
    /** @type {Promise<void>} */
    const first = new Promise((resolve) => (this.resolveFirst = resolve));
    this.wake();
    return first;
  }

  /**
   * The frame from which on audio is needed: the play head's, or a little later while the previous rendering plays on,
   * because a new piece takes its time to arrive.
   */
  neededFrom() {
    const { player, buffer } = this;
    const position = Math.round(player.position);
    if (!this.isReplacing || !player.playing || player.waiting) return position;
    if (buffer.ranges.length === 0) this.floor = position + Math.round(0.5 * player.roundTripS * buffer.sampleRate);
    const hasLooped = position < this.floor - buffer.sampleRate;
    return hasLooped ? position : Math.max(position, this.floor);
  }

  /** After a seek, nothing plays on. */
  moved() {
    this.isReplacing = false;
    this.wake();
  }

  async run() {
    while (!this.stopped) {
      const { player, buffer, generation } = this;
      const range = this.stale ? null : buffer.next(this.neededFrom(), player.loop);
      if (!range) {
        await this.pause(IDLE_MS);
        continue;
      }
      try {
        await this.load(range);
      } catch (error) {
        if (this.stopped || generation !== this.generation) continue;
        this.stale = error.status === 409;
        player.dispatchEvent(new CustomEvent(this.stale ? "stale" : "error", { detail: error }));
        if (!this.stale) await this.pause(RETRY_MS);
      }
    }
  }

  /** @param {import("./buffer.js").Range} range */
  async load(range) {
    const { player, generation, buffer } = this;
    const isMaster = this.side === "master";
    const began = performance.now();
    const { channels, isExact } = await player.fetchPiece(this.side, range.start, range.end - range.start, {
      revision: isMaster ? player.source?.revision : undefined,
      loudness: player.loudness,
      signal: this.abort.signal,
    });
    if (this.stopped || generation !== this.generation) return;
    if (isExact && this.isEstimated) return void this.restart(); // the pieces before it have another gain
    this.isEstimated = !isExact;
    if (isMaster) player.roundTripS += 0.3 * ((performance.now() - began) / 1000 - player.roundTripS);
    const piece = { ...range, channels };
    player.post(
      { type: "piece", side: this.side, generation, piece },
      channels.map((samples) => samples.buffer),
    );
    buffer.add(range);
    for (const start of buffer.forget(player.position, player.loop)) player.post({ type: "drop", side: this.side, start });
    this.resolveFirst();
  }

  /** @param {number} ms */
  pause(ms) {
    /** @type {Promise<void>} */
    const woken = new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, ms);
    });
    return woken;
  }
}
