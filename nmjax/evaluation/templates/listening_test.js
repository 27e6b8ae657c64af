// Plays the versions of each song, records which one is chosen as best, and reveals the answers on request.
"use strict";
(() => {
  // For each song, the names of its versions in the order of their letters.
  const answers = JSON.parse(atob(document.querySelector("main").dataset.answers));
  let playing = null; // the song that was started last

  class Song {
    constructor(element, index) {
      this.index = index;
      this.audios = [...element.querySelectorAll("audio")];
      this.versionButtons = [...element.querySelectorAll(".version")];
      this.bestButtons = [...element.querySelectorAll(".best")];
      this.playButton = element.querySelector(".play");
      this.seek = element.querySelector(".seek");
      this.answer = element.querySelector(".answer");
      this.selected = 0;
      this.best = null;
      this.versionButtons.forEach((button, i) => button.addEventListener("click", () => this.select(i)));
      this.bestButtons.forEach((button, i) => button.addEventListener("click", () => this.chooseBest(i)));
      this.playButton.addEventListener("click", () => this.toggle());
      this.seek.addEventListener("input", () => {
        this.audio.currentTime = (this.seek.value / 1000) * (this.audio.duration || 0);
      });
      for (const audio of this.audios) {
        audio.loop = true;
        audio.addEventListener("timeupdate", () => {
          if (audio === this.audio) this.seek.value = (1000 * audio.currentTime) / audio.duration;
        });
      }
      this.render();
    }

    get audio() {
      return this.audios[this.selected];
    }

    toggle() {
      if (!this.audio.paused) {
        this.audio.pause();
      } else {
        if (playing && playing !== this) playing.audio.pause();
        playing = this;
        this.audio.play();
      }
      for (const song of songs) song.render();
    }

    select(index) {
      const { currentTime, paused } = this.audio;
      this.audio.pause();
      this.selected = index;
      this.audio.currentTime = currentTime;
      if (!paused) this.audio.play();
      this.render();
    }

    chooseBest(index) {
      this.best = index;
      this.render();
    }

    render() {
      this.versionButtons.forEach((button, i) => button.setAttribute("aria-pressed", i === this.selected));
      this.bestButtons.forEach((button, i) => button.setAttribute("aria-pressed", i === this.best));
      this.playButton.textContent = this.audio.paused ? "▶ Play" : "❚❚ Pause";
    }

    reveal() {
      const names = answers[this.index].map((name, i) => `${this.versionButtons[i].textContent} ${name}`);
      this.answer.textContent = names.join(" · ");
    }
  }

  const songs = [...document.querySelectorAll("section.song")].map((element, i) => new Song(element, i));

  const countVotes = () => {
    const votes = new Map([...answers[0]].sort().map((name) => [name, 0]));
    for (const song of songs) {
      if (song.best === null) continue;
      const name = answers[song.index][song.best];
      votes.set(name, votes.get(name) + 1);
    }
    return votes;
  };

  const addRow = (table, cellTag, texts) => {
    const row = table.appendChild(document.createElement("tr"));
    for (const text of texts) row.appendChild(document.createElement(cellTag)).textContent = text;
  };

  document.getElementById("reveal").addEventListener("click", () => {
    for (const song of songs) song.reveal();
    const table = document.createElement("table");
    addRow(table, "th", ["Version", "Chosen as best"]);
    for (const [name, count] of countVotes()) addRow(table, "td", [name, count]);
    document.getElementById("result").replaceChildren(table);
  });

  document.addEventListener("keydown", (event) => {
    if (!playing || event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") {
      event.preventDefault();
      playing.toggle();
    }
    const index = event.key.length === 1 ? event.key.toUpperCase().charCodeAt(0) - 65 : -1;
    if (index >= 0 && index < playing.audios.length) playing.select(index);
  });
})();
