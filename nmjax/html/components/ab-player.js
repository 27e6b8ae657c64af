// @ts-check
/**
 * `<nm-ab-player>`: sides of an excerpt, such as original, master and reference, switched while they play.
 *
 * All sides play together and only one is audible, so that switching keeps the position. Its children hold an `<audio>`
 * element per side, `data-side` by its name, which a browser without scripts shows. Properties: `seconds`, `sides`
 * {name, label, key, peaks} with peaks as `[minimum, maximum, …]` of equal parts. The keys go to the player that was
 * used last.
 */
import { clock } from "./format.js";
import "./waveform.js";

const FADE_S = 0.005; // of a switch: too short to notice, long enough not to click
const SEEK_S = 5; // of an arrow key
const FRAME_RATE = 1000; // of the waveform's frames

/** @type {AudioContext | undefined} */
let context;
/** @type {AbPlayer[]} */
const players = [];
/** @type {AbPlayer | undefined} */
let active;

/** @param {string} url  with base64 data */
const decodeBase64 = (url) => Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (c) => c.charCodeAt(0)).buffer;

export class AbPlayer extends HTMLElement {
  seconds = 0;
  /** @type {{name: string, label: string, key: string, peaks: number[]}[]} */
  sides = [];
  side = "master";
  offset = 0; // the position while stopped
  startTime = 0; // in the time of the audio context
  loading = false;
  /** @type {{start: number, end: number} | null} in seconds */
  loop = null;
  /** @type {{name: string, node: AudioBufferSourceNode, gain: GainNode}[] | null} while it plays */
  sources = null;
  /** @type {AudioBuffer[] | null} once decoded */
  buffers = null;

  connectedCallback() {
    if (players.includes(this)) return;
    Object.assign(this, JSON.parse(this.dataset.properties ?? "{}"));
    this.fallbacks = /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll(".fallback"));
    for (const fallback of this.fallbacks) fallback.hidden = true;
    this.waveform = this.createWaveform();
    this.controls = this.createControls();
    this.prepend(this.controls, this.waveform);
    for (const name of ["pointerdown", "focusin"]) this.addEventListener(name, () => activate(this));
    players.push(this);
    active ??= this;
    this.render();
  }

  createWaveform() {
    const waveform = /** @type {import("./waveform.js").Waveform} */ (document.createElement("nm-waveform"));
    const frames = Math.round(this.seconds * FRAME_RATE);
    waveform.track = { frames, sampleRate: FRAME_RATE };
    const peaksOf = ({ name, peaks }) => [name, { start: 0, frames, data: Float32Array.from(peaks) }];
    waveform.peaks = Object.fromEntries(this.sides.map(peaksOf));
    const listen = (name, handler) => waveform.addEventListener(name, (event) => handler(/** @type {any} */ (event).detail));
    listen("seek", ({ frame }) => this.seek(frame / FRAME_RATE));
    listen("loopchange", ({ loop }) => this.chooseLoop(loop));
    listen("viewchange", ({ view }) => (waveform.view = view));
    waveform.addEventListener("keydown", (event) => {
      const seconds = { ArrowLeft: -SEEK_S, ArrowRight: SEEK_S }[event.key];
      if (!seconds) return;
      event.preventDefault();
      this.seek(this.position + seconds);
    });
    return waveform;
  }

  createControls() {
    const controls = document.createElement("div");
    controls.className = "controls";
    const add = (text, onClick) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", onClick);
      controls.append(button);
      return button;
    };
    this.playButton = add("Play", () => this.toggle());
    this.playButton.className = "play";
    this.sideButtons = this.sides.map(({ name, label, key }) => {
      const button = add(`${key}: ${label}`, () => this.select(name));
      button.classList.add(`side-${name}`);
      return button;
    });
    this.loopButton = add("Whole excerpt", () => this.chooseLoop(null));
    this.clock = document.createElement("span");
    this.clock.className = "clock";
    this.status = document.createElement("span");
    this.status.className = "status";
    this.status.setAttribute("role", "status");
    controls.append(this.clock, this.status);
    return controls;
  }

  get position() {
    if (!this.sources || !context) return this.offset;
    const { start, end } = this.loop ?? { start: 0, end: this.seconds };
    const position = this.offset + Math.max(0, context.currentTime - this.startTime);
    return position < end ? position : start + ((position - start) % (end - start));
  }

  async toggle() {
    activate(this);
    if (this.sources) return this.stop();
    if (this.loading) return;
    this.loading = true;
    try {
      const audio = (context ??= new AudioContext());
      await audio.resume();
      const urls = this.sides.map(({ name }) => this.querySelector(`audio[data-side="${name}"]`)?.getAttribute("src") ?? "");
      this.buffers ??= await Promise.all(urls.map((url) => audio.decodeAudioData(decodeBase64(url))));
      for (const other of players) if (other !== this) other.stop();
      this.start();
    } catch (error) {
      this.showFallback(error);
    } finally {
      this.loading = false;
    }
  }

  start() {
    if (!context || !this.buffers) return;
    const audio = context;
    this.startTime = audio.currentTime + 0.02;
    this.sources = this.buffers.map((buffer, i) => {
      const { name } = this.sides[i];
      const gain = new GainNode(audio, { gain: name === this.side ? 1 : 0 });
      const node = new AudioBufferSourceNode(audio, { buffer, loop: true });
      node.loopStart = this.loop?.start ?? 0;
      node.loopEnd = this.loop?.end ?? this.seconds;
      node.connect(gain).connect(audio.destination);
      node.start(this.startTime, this.offset);
      return { name, node, gain };
    });
    this.render();
    this.follow();
  }

  stop() {
    if (!this.sources) return;
    this.offset = this.position;
    for (const { node } of this.sources) node.stop();
    this.sources = null;
    this.render();
  }

  /** @param {string} name  of a side */
  select(name) {
    if (!this.sides.some((side) => side.name === name)) return;
    this.side = name;
    for (const source of this.sources ?? []) {
      source.gain.gain.setTargetAtTime(source.name === name ? 1 : 0, context?.currentTime ?? 0, FADE_S / 3);
    }
    this.render();
  }

  /** @param {number} seconds */
  seek(seconds) {
    const isPlaying = this.sources !== null;
    this.stop();
    const { start, end } = this.loop ?? { start: 0, end: this.seconds };
    this.offset = Math.min(Math.max(start, seconds), Math.max(start, end - 0.05));
    if (isPlaying) this.start();
    this.render();
  }

  /** @param {{start: number, end: number} | null} loop  in frames of the waveform */
  chooseLoop(loop) {
    const { position } = this;
    this.loop = loop && { start: loop.start / FRAME_RATE, end: Math.min(this.seconds, loop.end / FRAME_RATE) };
    if (this.waveform) this.waveform.loop = loop;
    this.seek(position);
  }

  follow() {
    if (!this.sources) return;
    this.renderPosition();
    requestAnimationFrame(() => this.follow());
  }

  render() {
    if (!this.playButton || !this.waveform || !this.status || !this.loopButton) return;
    const isPlaying = this.sources !== null;
    this.playButton.textContent = isPlaying ? "Pause" : "Play";
    this.sides.forEach(({ name }, i) => this.sideButtons?.[i].setAttribute("aria-pressed", String(name === this.side)));
    this.waveform.side = this.side;
    this.loopButton.hidden = !this.loop;
    this.status.textContent = isPlaying ? `Playing: ${this.sides.find(({ name }) => name === this.side)?.label}` : "";
    this.renderPosition();
  }

  renderPosition() {
    if (!this.clock || !this.waveform) return;
    this.waveform.position = this.position * FRAME_RATE;
    this.clock.textContent = `${clock(this.position)} / ${clock(this.seconds)}`;
  }

  /** @param {Error} error */
  showFallback(error) {
    if (this.status) this.status.textContent = `This browser cannot switch (${error.message}). Use the players below.`;
    for (const fallback of this.fallbacks ?? []) fallback.hidden = false;
  }
}

/** @param {AbPlayer} player */
function activate(player) {
  active = player;
  for (const other of players) other.classList.toggle("is-active", other === player && players.length > 1);
}

const isShortcut = (event) => active && !event.ctrlKey && !event.metaKey && !event.altKey;

document.addEventListener("keydown", (event) => {
  if (!active || !isShortcut(event)) return;
  const key = event.key.toLowerCase();
  const side = active.sides.find((other) => other.key.toLowerCase() === key);
  if (side) active.select(side.name);
  else if (key !== " ") return;
  else if (!event.repeat) active.toggle();
  event.preventDefault();
});
document.addEventListener("keyup", (event) => {
  // Firefox presses a focused button when the key is released.
  if (isShortcut(event) && event.key === " ") event.preventDefault();
});

customElements.define("nm-ab-player", AbPlayer);
