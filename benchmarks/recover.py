"""Are a stage's settings to be found from audio alone? Known settings are played on music; Adam finds them again.

    python benchmarks/recover.py MUSIC.csv              # a table in Markdown; docs/grey-box.md has it

An excerpt of each song, at the model's level, goes through a stage with known settings. Then one setting at a time
starts at the table's start, as an untrained network has it, and Adam moves its raw number through the differentiable
stage so that the squared difference of the two outputs falls; the others stand at their known values. Last, all of the
compressor's settings at once. Two known values of each, on either side of the start.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import soundfile

from nmjax.data import find_songs
from nmjax.dsp import integrated_loudness
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.settings import EqSettings, at_model_level
from nmjax.models.stages import STAGES, play, settings_of

KNOWN = {  # the two targets of each setting; as one, the stage's settings while another one is looked for
    "compressor": {"threshold_db": (-30.0, -18.0), "ratio": (4.0, 1.8), "attack_ms": (5.0, 45.0),
                   "release_ms": (70.0, 400.0), "knee_db": (3.0, 14.0), "makeup_db": (-3.0, 4.0)},
    "saturator": {"drive_db": (5.0, 14.0), "mix": (0.6, -0.3), "asymmetry": (0.1, 0.7)},
    "width": {"low": (0.4, 1.3), "high": (0.6, 1.6)},
}  # fmt: skip
STEPS, ALL_STEPS, RATE = 150, 500, 0.1


def excerpts(csv, count, seconds):
    """`[songs, time, 2]` at the model's level, from the middle of songs at the model's rate."""
    found = []
    for song in find_songs(csv):
        sound = song.target
        if sound.sample_rate == SAMPLE_RATE and sound.channels == 2 and sound.frames > 2 * seconds * SAMPLE_RATE:
            size = round(seconds * SAMPLE_RATE)
            found.append(soundfile.read(sound.path, size, sound.frames // 2, dtype="float32")[0])
        if len(found) == count:
            break
    audio = jnp.asarray(np.stack(found))
    gain_db = MODEL_LUFS - integrated_loudness(audio, SAMPLE_RATE)
    return audio * 10.0 ** (gain_db / 20.0)[:, None, None]


def played(audio, stage, values):
    flat = EqSettings(*(jnp.ones((audio.shape[0], 1)) for _ in range(4)))
    return play(audio, at_model_level(flat).replace(**{stage: STAGES[stage](**values)}), SAMPLE_RATE)


@dataclasses.dataclass
class Search:
    """Finds settings of one stage on all songs, each row for itself."""

    audio: jax.Array
    stage: str

    def __post_init__(self):
        self.rows = {row.name: row for row in settings_of(self.stage)}

        def distance(raws, given, sought, target):
            """Summed over songs, so that each one's gradient is its own; as a share of what the stage changed."""
            moved = {name: row.of_raw(raws[name]) for name, row in self.rows.items()}
            values = {name: jnp.where(sought[name], moved[name], given[name]) for name in self.rows}
            energy = jnp.sum((played(self.audio, self.stage, values) - target) ** 2, axis=(1, 2))
            return jnp.sum(energy / jnp.sum((self.audio - target) ** 2, axis=(1, 2)))

        def step(raws, state, rate, given, sought, target):
            found, gradient = jax.value_and_grad(distance)(raws, given, sought, target)
            gradient = {name: jnp.where(sought[name], g, 0.0) for name, g in gradient.items()}
            updates, state = optax.scale_by_adam().update(gradient, state)
            return jax.tree.map(lambda x, u: x - rate * u, raws, updates), state, found

        self.render = jax.jit(lambda values: played(self.audio, self.stage, values))
        self.step = jax.jit(step)

    def values(self, chosen):
        return {name: jnp.full((self.audio.shape[0],), chosen[name], jnp.float32) for name in self.rows}

    def find(self, known, names, steps):
        """`{name: [songs]}` that were found, and what share of the change was left at last, in dB."""
        given, target = self.values(known), self.render(self.values(known))
        raws = {name: jnp.zeros(self.audio.shape[0]) for name in self.rows}
        sought = {name: jnp.asarray(name in names) for name in self.rows}
        state, rates = optax.scale_by_adam().init(raws), optax.cosine_decay_schedule(RATE, steps)
        for number in range(steps):
            raws, state, left = self.step(raws, state, rates(number), given, sought, target)
        found = {name: np.asarray(self.rows[name].of_raw(raws[name])) for name in names}
        return found, 10.0 * np.log10(float(left) / self.audio.shape[0])


def line(stage, row, known, found, left_db, note=""):
    error = np.abs(found - known)
    unit = f" {row.unit}" if row.unit else ""
    cells = (f"{stage}.{row.name}{note}", f"{row.start:g}{unit}", f"{known:g}{unit}", f"{np.median(found):.4g}{unit}",
             f"{np.median(error):.2g}", f"{error.max():.2g}", f"{left_db:.0f} dB")  # fmt: skip
    print("| " + " | ".join(cells).replace("-", "−") + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("music", type=Path)
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    audio = excerpts(given.music, given.songs, given.seconds)
    began = time.monotonic()
    print("| setting | start | known | found (median) | error: median | worst | left of the change |")
    print("|---|---|---|---|---|---|---|")
    for stage, targets in KNOWN.items():
        search = Search(audio, stage)
        for name, row in search.rows.items():
            for i in (0, 1):
                known = {other: values[0] for other, values in targets.items()} | {name: targets[name][i]}
                found, left_db = search.find(known, (name,), STEPS)
                line(stage, row, known[name], found[name], left_db)
        if stage == "compressor":
            for i in (0, 1):
                known = {name: values[i] for name, values in targets.items()}
                found, left_db = search.find(known, tuple(targets), ALL_STEPS)
                for name, row in search.rows.items():
                    line(stage, row, known[name], found[name], left_db, f" (all at once, {i + 1})")
    took = time.monotonic() - began
    print(f"{audio.shape[0]} songs of {given.seconds:g} s, {STEPS} and {ALL_STEPS} steps; {took:.0f} s")


if __name__ == "__main__":
    main()
