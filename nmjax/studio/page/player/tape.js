// @ts-check
/**
 * Decoded audio of one side of a track (original, master, reference) in pieces.
 *
 * @typedef {{start: number, end: number, channels: Float32Array[]}} Piece  frames [start, end) of the track
 */

export class Tape {
  /** @param {number} generation  counts the renderings of a side */
  constructor(generation) {
    this.generation = generation;
    /** @type {Piece[]} sorted by start; a later piece replaces the one with the same start */
    this.pieces = [];
    /** @type {Piece | null} the piece of the last look-up */
    this.last = null;
  }

  /** @param {Piece} piece */
  add(piece) {
    const pieces = this.pieces.filter((other) => other.start !== piece.start);
    pieces.push(piece);
    pieces.sort((a, b) => a.start - b.start);
    this.pieces = pieces;
  }

  /** @param {number} start  of the piece that is no longer needed */
  drop(start) {
    this.pieces = this.pieces.filter((piece) => piece.start !== start);
    this.last = null;
  }

  /**
   * The piece that holds a frame.
   * @param {number} frame
   * @returns {Piece | null}
   */
  find(frame) {
    const last = this.last;
    if (last && frame >= last.start && frame < last.end) return last;
    for (const piece of this.pieces) {
      if (piece.start > frame) break;
      if (frame < piece.end) return (this.last = piece);
    }
    return null;
  }

  /**
   * How many frames from `frame` on are here without a gap, up to `limit`.
   * @param {number} frame
   * @param {number} limit
   */
  available(frame, limit) {
    let position = frame;
    for (const piece of this.pieces) {
      if (piece.start > position) break;
      if (piece.end > position) position = piece.end;
      if (position - frame >= limit) return limit;
    }
    return position - frame;
  }
}
