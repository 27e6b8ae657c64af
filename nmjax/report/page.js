// A/B players: both sides of an excerpt run together and only one is heard, so that switching keeps the place to the sample.
"use strict";
(() => {
  const FADE = 0.005; // seconds of a switch, too short to hear and long enough not to click
  let context = null;
  let active = null;

  const bytes = (audio) => {
    const text = atob(audio.src.slice(audio.src.indexOf(",") + 1));
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;
  };
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  class Player {
    constructor(box) {
      this.box = box;
      this.audio = { a: box.querySelector("audio.a"), b: box.querySelector("audio.b") };
      this.button = { a: box.querySelector("button.a"), b: box.querySelector("button.b") };
      this.play = box.querySelector(".play");
      this.seek = box.querySelector(".seek");
      this.clock = box.querySelector(".clock");
      this.now = box.querySelector(".now");
      this.length = Number(box.dataset.seconds);
      Object.assign(this, { side: "b", offset: 0, started: 0, voices: null, buffers: null, loading: false });
      this.plain = box.querySelectorAll(".plain");
      for (const plain of this.plain) plain.hidden = true;
      box.querySelector(".controls").hidden = false;
      this.play.addEventListener("click", () => this.toggle());
      for (const side of ["a", "b"]) this.button[side].addEventListener("click", () => this.choose(side));
      this.seek.addEventListener("input", () => this.jump((this.seek.value / 1000) * this.length));
      box.addEventListener("pointerdown", () => activate(this));
      box.addEventListener("focusin", () => activate(this));
      this.show();
    }

    get place() {
      return this.voices ? (this.offset + Math.max(0, context.currentTime - this.started)) % this.length : this.offset;
    }

    async toggle() {
      activate(this);
      if (this.voices) return this.stop();
      if (this.loading) return;
      this.loading = true;
      try {
        context ??= new AudioContext();
        await context.resume();
        this.buffers ??= await Promise.all(["a", "b"].map((side) => context.decodeAudioData(bytes(this.audio[side]))));
        for (const other of players) if (other !== this) other.stop();
        this.start();
      } catch (error) {
        this.fallBack(error);
      } finally {
        this.loading = false;
      }
    }

    start() {
      this.length = this.buffers[0].duration;
      this.started = context.currentTime + 0.02;
      this.voices = ["a", "b"].map((side, i) => {
        const source = new AudioBufferSourceNode(context, { buffer: this.buffers[i], loop: true });
        const gain = new GainNode(context, { gain: side === this.side ? 1 : 0 });
        source.connect(gain).connect(context.destination);
        source.start(this.started, this.offset);
        return { side, source, gain };
      });
      this.show();
      this.follow();
    }

    stop() {
      if (!this.voices) return;
      this.offset = this.place;
      for (const voice of this.voices) voice.source.stop();
      this.voices = null;
      this.show();
    }

    choose(side) {
      activate(this);
      this.side = side;
      for (const voice of this.voices ?? []) {
        voice.gain.gain.setTargetAtTime(voice.side === side ? 1 : 0, context.currentTime, FADE / 3);
      }
      this.show();
    }

    jump(place) {
      const playing = this.voices !== null;
      this.stop();
      this.offset = place;
      if (playing) this.start();
      this.show();
    }

    follow() {
      if (!this.voices) return;
      this.showPlace();
      requestAnimationFrame(() => this.follow());
    }

    show() {
      const playing = this.voices !== null;
      this.play.textContent = playing ? "❚❚ Pause" : "▶ Play";
      for (const side of ["a", "b"]) this.button[side].setAttribute("aria-pressed", String(side === this.side));
      this.now.textContent = playing ? `Playing ${this.button[this.side].textContent}` : "";
      this.showPlace();
    }

    showPlace() {
      this.seek.value = Math.round((1000 * this.place) / this.length);
      this.clock.textContent = `${clock(this.place)} / ${clock(this.length)}`;
    }

    fallBack(error) {
      this.now.textContent = `This browser cannot switch (${error.message}); here are two plain players.`;
      for (const plain of this.plain) plain.hidden = false;
    }
  }

  const activate = (player) => {
    active = player;
    for (const other of players) other.box.classList.toggle("active", other === player && players.length > 1);
  };
  const players = [];
  for (const box of document.querySelectorAll(".player")) players.push(new Player(box));
  if (players.length) activate(players[0]);

  const ours = (event) => active && !event.ctrlKey && !event.metaKey && !event.altKey;
  document.addEventListener("keydown", (event) => {
    if (!ours(event)) return;
    const key = event.key.toLowerCase();
    if (key === "a" || key === "b") active.choose(key);
    else if (key !== " ") return;
    else if (!event.repeat) active.toggle();
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (ours(event) && event.key === " ") event.preventDefault(); // Firefox presses a focused button when the key comes up
  });
})();
