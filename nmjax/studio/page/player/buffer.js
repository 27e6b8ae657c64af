// @ts-check
/**
 * Which pieces of a side are loaded, and which one comes next.
 *
 * @typedef {{start: number, end: number}} Range  frames [start, end)
 */

const PIECE_S = 0.5;
const FIRST_PIECE_S = 0.25; // after a change, so that it sounds soon
const SHORTEST_S = 0.12;
const AHEAD_S = 4;
const STORED_S = 20; // on either side of the play head

export class Buffer {
  /**
   * @param {number} sampleRate
   * @param {number} frames  of the track
   */
  constructor(sampleRate, frames) {
    this.sampleRate = sampleRate;
    this.frames = frames;
    /** @type {Range[]} sorted */
    this.ranges = [];
  }

  /** @param {Range} range */
  add(range) {
    this.ranges = [...this.ranges.filter((other) => other.start !== range.start), range];
    this.ranges.sort((a, b) => a.start - b.start);
  }

  /**
   * The first frame at or after `frame` that is not loaded.
   * @param {number} frame
   */
  firstGap(frame) {
    let gap = frame;
    for (const range of this.ranges) {
      if (range.start > gap) break;
      gap = Math.max(gap, range.end);
    }
    return gap;
  }

  /**
   * The next piece to ask for, or null where enough is loaded.
   * @param {number} position  frame from which on audio is needed
   * @param {Range | null} loop
   * @returns {Range | null}
   */
  next(position, loop) {
    const ahead = AHEAD_S * this.sampleRate;
    const isInside = loop && position < loop.end;
    const fade = Math.round(0.02 * this.sampleRate);
    const end = isInside ? Math.min(position + ahead, loop.end + fade) : position + ahead;
    const piece = this.within(position, end);
    if (piece || !isInside || position + ahead < loop.end) return piece;
    return this.within(loop.start, Math.min(loop.start + ahead, loop.end + fade));
  }

  /** @returns {Range | null} */
  within(position, end) {
    const start = this.firstGap(position);
    const isFirst = start === position;
    if (start >= Math.min(end, this.frames)) return null;
    const grid = Math.round((isFirst ? FIRST_PIECE_S : PIECE_S) * this.sampleRate);
    const shortest = Math.round(SHORTEST_S * this.sampleRate);
    const boundary = Math.ceil((start + shortest) / grid) * grid;
    const following = this.ranges.find((range) => range.start > start)?.start ?? this.frames;
    return { start, end: Math.min(boundary, following, this.frames) };
  }

  /**
   * Forgets what is far from the play head and from the start of the loop, and returns the starts of those pieces.
   * @param {number} position
   * @param {Range | null} loop
   * @returns {number[]}
   */
  forget(position, loop) {
    const reach = STORED_S * this.sampleRate;
    const isNear = (range, frame) => range.end >= frame - reach && range.start <= frame + reach;
    const isFar = (range) => !isNear(range, position) && !(loop && isNear(range, loop.start));
    const far = this.ranges.filter(isFar);
    if (far.length) this.ranges = this.ranges.filter((range) => !isFar(range));
    return far.map((range) => range.start);
  }
}
