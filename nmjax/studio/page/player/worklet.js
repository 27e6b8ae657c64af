// @ts-check
/**
 * The audio thread of the player: plays tapes from a position, and changes what it plays by crossfades of 5 ms.
 *
 * A voice is a side at a position. Each change (another side, a new rendering, a seek, the wrap of a loop) starts a
 * voice; the older ones fade out. All voices advance together, so that no change moves the music in time.
 */
import { Tape } from "./tape.js";

const FADE_S = 0.005;
const READY_S = 0.03; // of audio that must be there before a voice starts
const REPORT_BLOCKS = 6;

/** What each side plays: tapes and their signs. The null signal is what the master adds to the original. */
const PARTS = {
  original: [["original", 1]],
  master: [["master", 1]],
  reference: [["reference", 1]],
  null: [["master", 1], ["original", -1]],
};

class PlayerProcessor extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.frames = options.processorOptions.frames;
    this.fadeFrames = Math.max(1, Math.round(FADE_S * sampleRate));
    this.readyFrames = Math.round(READY_S * sampleRate);
    /** @type {Record<string, Tape>} */
    this.tapes = { original: new Tape(0), master: new Tape(0), reference: new Tape(0) };
    this.side = "master";
    this.playing = false;
    this.gate = 0; // 0 … 1: fades play, pause and missing audio
    this.loop = null;
    this.active = this.voice("master", 0);
    this.activeGain = 1;
    /** @type {{voice: any, weight: number}[]} */
    this.fading = [];
    this.blocks = 0;
    this.port.onmessage = (event) => this.receive(event.data);
  }

  voice(side, position) {
    return { side, position, parts: PARTS[side].map(([name, sign]) => ({ tape: this.tapes[name], sign })) };
  }

  receive(message) {
    if (message.type === "piece") {
      const tape = this.tapes[message.side];
      if (tape.generation === message.generation) tape.add(message.piece);
    } else if (message.type === "drop") {
      this.tapes[message.side].drop(message.start);
    } else if (message.type === "generation") {
      this.tapes[message.side] = new Tape(message.generation);
    } else if (message.type === "side") {
      this.side = message.side;
    } else if (message.type === "loop") {
      this.loop = message.loop;
    } else if (message.type === "seek") {
      this.start(this.voice(this.active.side, message.frame));
      this.report();
    } else if (message.type === "play" || message.type === "pause") {
      this.playing = message.type === "play";
      this.report();
    } else if (message.type === "close") {
      this.closed = true;
    }
  }

  /** Frames that can be played from the position of a voice on. */
  available(voice, limit) {
    const left = this.frames - voice.position;
    if (left <= 0) return limit;
    const needed = Math.min(limit, left);
    const shortest = Math.min(...voice.parts.map((part) => part.tape.available(voice.position, needed)));
    return shortest >= needed ? limit : shortest;
  }

  /** Crossfades to another voice; what sounds now keeps its share and fades together. */
  start(voice) {
    this.fading = this.fading.map((old) => ({ voice: old.voice, weight: old.weight * (1 - this.activeGain) }));
    this.fading.push({ voice: this.active, weight: this.activeGain });
    if (this.gate === 0) this.fading = [];
    this.active = voice;
    this.activeGain = this.fading.length ? 0 : 1;
  }

  /** Starts the voice that the chosen side and the newest tapes ask for, as soon as its audio is there. */
  update() {
    const isCurrent =
      this.active.side === this.side &&
      PARTS[this.side].every(([name], i) => this.active.parts[i].tape === this.tapes[name]);
    if (isCurrent) return;
    const next = this.voice(this.side, this.active.position);
    if (this.gate > 0 && this.available(next, this.readyFrames) < this.readyFrames) return;
    this.start(next);
    const generation = this.tapes.master.generation;
    this.port.postMessage({ type: "switched", side: this.side, generation, frame: currentFrame });
  }

  process(_inputs, outputs) {
    if (this.closed) return false;
    const output = outputs[0];
    const frames = output[0].length;
    this.update();
    const needed = this.gate > 0 ? this.fadeFrames + frames : this.readyFrames;
    const isThere = this.available(this.active, needed) >= needed;
    const target = this.playing && isThere ? 1 : 0;
    this.waiting = this.playing && !isThere;
    if (target > 0 || this.gate > 0) this.render(output, frames, target);
    if (++this.blocks % REPORT_BLOCKS === 0 && (this.playing || this.gate > 0)) this.report();
    return true;
  }

  /** One block; split where a loop wraps. */
  render(output, frames, target) {
    let done = 0;
    while (done < frames) {
      let count = frames - done;
      const position = this.active.position;
      const wraps = this.loop && position < this.loop.end && position + count >= this.loop.end;
      if (wraps) count = this.loop.end - position;
      this.mix(output, done, count, target);
      if (wraps) this.start(this.voice(this.active.side, this.loop.start));
      done += count;
    }
    if (this.activeGain === 1) this.fading = [];
    if (this.active.position >= this.frames && this.playing) {
      this.playing = false;
      this.report();
      this.port.postMessage({ type: "ended" });
    }
  }

  mix(output, offset, count, target) {
    const step = 1 / this.fadeFrames;
    for (let i = 0; i < count; i++) {
      this.gate = target > this.gate ? Math.min(target, this.gate + step) : Math.max(target, this.gate - step);
      this.activeGain = Math.min(1, this.activeGain + step);
      const gain = this.gate * this.activeGain;
      this.addFrame(output, offset + i, this.active, i, gain);
      if (this.activeGain < 1) {
        const rest = this.gate * (1 - this.activeGain);
        for (const old of this.fading) this.addFrame(output, offset + i, old.voice, i, rest * old.weight);
      }
    }
    this.active.position += count;
    for (const old of this.fading) old.voice.position += count;
  }

  addFrame(output, index, voice, ahead, gain) {
    for (const { tape, sign } of voice.parts) {
      const frame = voice.position + ahead;
      const piece = tape.find(frame);
      if (!piece) continue;
      for (let channel = 0; channel < output.length; channel++) {
        const samples = piece.channels[channel] ?? piece.channels[0];
        output[channel][index] += gain * sign * samples[frame - piece.start];
      }
    }
  }

  report() {
    this.port.postMessage({
      type: "position",
      position: this.active.position,
      frame: currentFrame,
      side: this.active.side,
      playing: this.playing,
      waiting: Boolean(this.playing && this.waiting),
    });
  }
}

registerProcessor("nmjax-player", PlayerProcessor);
