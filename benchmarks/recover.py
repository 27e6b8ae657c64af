"""Are a stage's settings to be found from audio alone? Known settings are played on music; Adam finds them again.

    python benchmarks/recover.py MUSIC.csv              # a table in Markdown; docs/grey-box.md has it

An excerpt of each song, at the model's level, goes through a stage with known settings. Then one setting at a time
starts at the table's start, as an untrained network has it, and Adam moves its raw number through the differentiable
stage so that the squared difference of the two outputs falls; the others stand at their known values. Then all of the
compressor's settings at once: a valley in which Adam creeps, so that Levenberg and Marquardt's steps follow (a damped
least-squares step from the derivative by each setting). Two known values of each, on either side of the start.
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
SECONDS = {"compressor": 2.0, "saturator": 0.5, "width": 1.0}  # the saturator remembers next to nothing
STEPS, MORE_STEPS, RATE = 150, 40, 0.1


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

        def normal(raws, given, target):
            """A step's parts for each song: difference², derivatives' products with each other and the difference."""

            def output(raws):
                values = {name: row.of_raw(raws[:, i]) for i, (name, row) in enumerate(self.rows.items())}
                return played(self.audio, self.stage, values) - target

            units = jnp.eye(len(self.rows))[:, None] * jnp.ones((1, self.audio.shape[0], 1))
            left, slopes = output(raws), jax.lax.map(lambda unit: jax.jvp(output, (raws,), (unit,))[1], units)
            products = jnp.einsum("istc,jstc->sij", slopes, slopes, precision="highest")
            return jnp.sum(left**2, (1, 2)), products, jnp.einsum("istc,stc->si", slopes, left, precision="highest")

        self.normal = jax.jit(normal)
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

    def finish(self, known, found):
        """All settings, from those found so far, by damped least squares; as `find`."""
        given, target = self.values(known), self.render(self.values(known))
        raws = np.stack([[row.raw_of(float(x)) for x in found[name]] for name, row in self.rows.items()], axis=1)
        damping, kept = np.full(len(raws), 1e-2), None
        trial = raws
        for _ in range(MORE_STEPS):
            parts = [np.asarray(x, np.float64) for x in self.normal(jnp.asarray(trial, jnp.float32), given, target)]
            if kept is None:
                kept = parts
            else:
                better = parts[0] < kept[0]
                damping = np.where(better, 0.3, 5.0) * damping
                raws = np.where(better[:, None], trial, raws)
                kept = [
                    np.where(better.reshape(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(parts, kept, strict=True)
                ]
            diagonal = kept[1] * np.eye(len(self.rows)) * damping[:, None, None]
            step = np.linalg.solve(kept[1] + diagonal + 1e-12 * np.eye(len(self.rows)), kept[2][:, :, None])[:, :, 0]
            trial = np.clip(raws - np.clip(step, -0.5, 0.5), -4.0, 4.0)
        changed = np.asarray(jnp.sum((self.audio - target) ** 2, axis=(1, 2)))
        found = {
            name: np.asarray(row.of_raw(jnp.asarray(raws[:, i]))) for i, (name, row) in enumerate(self.rows.items())
        }
        return found, 10.0 * np.log10(np.mean(kept[0] / changed))


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
    parser.add_argument("--stages", nargs="+", choices=list(KNOWN), default=list(KNOWN))
    given = parser.parse_args()
    began = time.monotonic()
    print("| setting | start | known | found (median) | error: median | worst | left of the change |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for stage in given.stages:
        targets, search = KNOWN[stage], Search(excerpts(given.music, given.songs, SECONDS[stage]), stage)
        for name, row in search.rows.items():
            for value in targets[name]:
                known = {other: values[0] for other, values in targets.items()} | {name: value}
                found, left_db = search.find(known, (name,), STEPS)
                line(stage, row, value, found[name], left_db)
        if stage == "compressor":
            for i in (0, 1):
                known = {name: values[i] for name, values in targets.items()}
                found, left_db = search.finish(known, search.find(known, tuple(targets), STEPS)[0])
                for name, row in search.rows.items():
                    line(stage, row, known[name], found[name], left_db, f" (all at once, {i + 1})")
    print(f"{given.songs} songs, {STEPS} and {MORE_STEPS} steps; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
