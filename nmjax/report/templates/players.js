// A/B players. Both versions of an excerpt play together and only one is audible, so switching keeps the position.
"use strict";
(() => {
  const FADE_SECONDS = 0.005; // of a switch: too short to notice, long enough not to click
  const VERSIONS = ["input", "master"];
  let context = null;
  let active = null;

  const byVersion = (value) => Object.fromEntries(VERSIONS.map((version) => [version, value(version)]));
  const decodeBase64 = (audio) => {
    const text = atob(audio.src.slice(audio.src.indexOf(",") + 1));
    return Uint8Array.from(text, (character) => character.charCodeAt(0)).buffer;
  };
  const formatTime = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  class Player {
    constructor(element) {
      this.element = element;
      this.audio = byVersion((version) => element.querySelector(`audio.${version}`));
      this.buttons = byVersion((version) => element.querySelector(`button.${version}`));
      this.playButton = element.querySelector(".play");
      this.seek = element.querySelector(".seek");
      this.clock = element.querySelector(".clock");
      this.status = element.querySelector(".status");
      this.fallbackPlayers = element.querySelectorAll(".fallback");
      this.duration = Number(element.dataset.seconds);
      this.version = "master";
      this.offset = 0; // the position while stopped
      this.startTime = 0; // in the time of the audio context
      this.sources = null; // while playing
      this.buffers = null; // once decoded
      this.loading = false;
      for (const fallback of this.fallbackPlayers) fallback.hidden = true;
      element.querySelector(".controls").hidden = false;
      this.playButton.addEventListener("click", () => this.toggle());
      for (const version of VERSIONS) this.buttons[version].addEventListener("click", () => this.select(version));
      this.seek.addEventListener("input", () => this.seekTo((this.seek.value / 1000) * this.duration));
      element.addEventListener("pointerdown", () => activate(this));
      element.addEventListener("focusin", () => activate(this));
      this.render();
    }

    get position() {
      if (!this.sources) return this.offset;
      return (this.offset + Math.max(0, context.currentTime - this.startTime)) % this.duration;
    }

    async toggle() {
      activate(this);
      if (this.sources) return this.stop();
      if (this.loading) return;
      this.loading = true;
      try {
        context ??= new AudioContext();
        await context.resume();
        this.buffers ??= await Promise.all(
          VERSIONS.map((version) => context.decodeAudioData(decodeBase64(this.audio[version]))),
        );
        for (const other of players) if (other !== this) other.stop();
        this.start();
      } catch (error) {
        this.showFallback(error);
      } finally {
        this.loading = false;
      }
    }

    start() {
      this.duration = this.buffers[0].duration;
      this.startTime = context.currentTime + 0.02;
      this.sources = VERSIONS.map((version, i) => {
        const node = new AudioBufferSourceNode(context, { buffer: this.buffers[i], loop: true });
        const gain = new GainNode(context, { gain: version === this.version ? 1 : 0 });
        node.connect(gain).connect(context.destination);
        node.start(this.startTime, this.offset);
        return { version, node, gain };
      });
      this.render();
      this.animatePosition();
    }

    stop() {
      if (!this.sources) return;
      this.offset = this.position;
      for (const source of this.sources) source.node.stop();
      this.sources = null;
      this.render();
    }

    select(version) {
      activate(this);
      this.version = version;
      for (const source of this.sources ?? []) {
        source.gain.gain.setTargetAtTime(source.version === version ? 1 : 0, context.currentTime, FADE_SECONDS / 3);
      }
      this.render();
    }

    seekTo(position) {
      const wasPlaying = this.sources !== null;
      this.stop();
      this.offset = position;
      if (wasPlaying) this.start();
      this.render();
    }

    animatePosition() {
      if (!this.sources) return;
      this.renderPosition();
      requestAnimationFrame(() => this.animatePosition());
    }

    render() {
      const isPlaying = this.sources !== null;
      this.playButton.textContent = isPlaying ? "❚❚ Pause" : "▶ Play";
      for (const version of VERSIONS) {
        this.buttons[version].setAttribute("aria-pressed", String(version === this.version));
      }
      this.status.textContent = isPlaying ? `Playing ${this.buttons[this.version].textContent}` : "";
      this.renderPosition();
    }

    renderPosition() {
      this.seek.value = Math.round((1000 * this.position) / this.duration);
      this.clock.textContent = `${formatTime(this.position)} / ${formatTime(this.duration)}`;
    }

    showFallback(error) {
      this.status.textContent = `This browser cannot switch (${error.message}). Use the two players below.`;
      for (const fallback of this.fallbackPlayers) fallback.hidden = false;
    }
  }

  const activate = (player) => {
    active = player;
    for (const other of players) other.element.classList.toggle("active", other === player && players.length > 1);
  };
  const players = [];
  for (const element of document.querySelectorAll(".player")) players.push(new Player(element));
  if (players.length) activate(players[0]);

  const isShortcut = (event) => active && !event.ctrlKey && !event.metaKey && !event.altKey;
  document.addEventListener("keydown", (event) => {
    if (!isShortcut(event)) return;
    const key = event.key.toLowerCase();
    if (key === "a") active.select("input");
    else if (key === "b") active.select("master");
    else if (key !== " ") return;
    else if (!event.repeat) active.toggle();
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    // Firefox presses a focused button when the key is released.
    if (isShortcut(event) && event.key === " ") event.preventDefault();
  });
})();
