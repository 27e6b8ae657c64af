"""Recovery of a processor's settings from audio: known settings are applied to music, and Adam estimates them.

    python benchmarks/settings_recovery.py MUSIC.csv    # a table in Markdown; docs/explanation/processors.md has it

An excerpt of each song, at the model's level, is processed with known settings. Then one setting at a time starts at
the initial value of an untrained network, and Adam minimizes the squared difference of the two outputs through the
differentiable processor; the other settings have their known values. Then all settings of the compressor are estimated
at once: Adam is slow in the narrow valley of that loss, so Levenberg-Marquardt steps follow (damped least squares from
the derivative by each setting). Two known values for each setting, on either side of the start.
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
from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.models.processors import PROCESSORS, apply_chain

KNOWN_SETTINGS = {  # two known values of each setting; the first ones hold while another setting is estimated
    "compressor": {
        "threshold_db": (-30.0, -18.0),
        "ratio": (4.0, 1.8),
        "attack_ms": (5.0, 45.0),
        "release_ms": (70.0, 400.0),
        "knee_db": (3.0, 14.0),
        "makeup_db": (-3.0, 4.0),
    },
    "saturator": {"drive_db": (5.0, 14.0), "mix": (0.6, -0.3), "asymmetry": (0.1, 0.7)},
    "width": {"low": (0.4, 1.3), "high": (0.6, 1.6)},
}
SECONDS = {"compressor": 2.0, "saturator": 0.5, "width": 1.0}  # the saturator has almost no memory
STEPS, MORE_STEPS, RATE = 150, 40, 0.1


def excerpts(csv, count, seconds):
    """`[songs, time, 2]` at the model's level, from the middle of songs at the model's rate."""
    result = []
    for song in find_songs(csv):
        recording = song.target
        if (
            recording.sample_rate == SAMPLE_RATE
            and recording.channels == 2
            and recording.frames > 2 * seconds * SAMPLE_RATE
        ):
            size = round(seconds * SAMPLE_RATE)
            result.append(soundfile.read(recording.path, size, recording.frames // 2, dtype="float32")[0])
        if len(result) == count:
            break
    audio = jnp.asarray(np.stack(result))
    gain_db = MODEL_LUFS - integrated_loudness(audio, SAMPLE_RATE)
    return audio * 10.0 ** (gain_db / 20.0)[:, None, None]


def render(audio, processor, values):
    flat = EqSettings(*(jnp.ones((audio.shape[0], 1)) for _ in range(4)))
    settings = at_model_level(flat).replace(**{processor: PROCESSORS[processor].settings_type(**values)})
    return apply_chain(audio, settings, SAMPLE_RATE)


@dataclasses.dataclass
class SettingsSearch:
    """Estimates settings of one processor on all songs, each song by itself."""

    audio: jax.Array
    processor: str

    def __post_init__(self):
        self.rows = {row.name: row for row in PROCESSORS[self.processor].settings}

        def distance(raws, fixed, is_free, target):
            """The squared error relative to the processor's change, summed over songs (with separate gradients)."""
            candidates = {name: row.from_raw(raws[name]) for name, row in self.rows.items()}
            values = {name: jnp.where(is_free[name], candidates[name], fixed[name]) for name in self.rows}
            energy = jnp.sum((render(self.audio, self.processor, values) - target) ** 2, axis=(1, 2))
            return jnp.sum(energy / jnp.sum((self.audio - target) ** 2, axis=(1, 2)))

        def step(raws, state, rate, fixed, is_free, target):
            loss, gradient = jax.value_and_grad(distance)(raws, fixed, is_free, target)
            gradient = {name: jnp.where(is_free[name], g, 0.0) for name, g in gradient.items()}
            updates, state = optax.scale_by_adam().update(gradient, state)
            return jax.tree.map(lambda x, u: x - rate * u, raws, updates), state, loss

        def normal(raws, fixed, target):
            """Parts of the normal equations for each song: squared error, JᵀJ and Jᵀ·error."""

            def output(raws):
                values = {name: row.from_raw(raws[:, i]) for i, (name, row) in enumerate(self.rows.items())}
                return render(self.audio, self.processor, values) - target

            units = jnp.eye(len(self.rows))[:, None] * jnp.ones((1, self.audio.shape[0], 1))
            residual, slopes = output(raws), jax.lax.map(lambda unit: jax.jvp(output, (raws,), (unit,))[1], units)
            products = jnp.einsum("istc,jstc->sij", slopes, slopes, precision="highest")
            return (
                jnp.sum(residual**2, (1, 2)),
                products,
                jnp.einsum("istc,stc->si", slopes, residual, precision="highest"),
            )

        self.normal = jax.jit(normal)
        self.render = jax.jit(lambda values: render(self.audio, self.processor, values))
        self.step = jax.jit(step)

    def values(self, settings):
        return {name: jnp.full((self.audio.shape[0],), settings[name], jnp.float32) for name in self.rows}

    def run_adam(self, known, names, steps):
        """The estimates, `{name: [songs]}`, and the remaining share of the change in dB."""
        fixed, target = self.values(known), self.render(self.values(known))
        raws = {name: jnp.zeros(self.audio.shape[0]) for name in self.rows}
        is_free = {name: jnp.asarray(name in names) for name in self.rows}
        state, rates = optax.scale_by_adam().init(raws), optax.cosine_decay_schedule(RATE, steps)
        for number in range(steps):
            raws, state, loss = self.step(raws, state, rates(number), fixed, is_free, target)
        estimates = {name: np.asarray(self.rows[name].from_raw(raws[name])) for name in names}
        return estimates, 10.0 * np.log10(float(loss) / self.audio.shape[0])

    def run_levenberg_marquardt(self, known, estimates):
        """All settings, from the given estimates, by damped least squares; returns the same as `run_adam`."""
        fixed, target = self.values(known), self.render(self.values(known))
        raws = np.stack([[row.to_raw(float(x)) for x in estimates[name]] for name, row in self.rows.items()], axis=1)
        damping, accepted = np.full(len(raws), 1e-2), None
        trial = raws
        for _ in range(MORE_STEPS):
            parts = [np.asarray(x, np.float64) for x in self.normal(jnp.asarray(trial, jnp.float32), fixed, target)]
            if accepted is None:
                accepted = parts
            else:
                better = parts[0] < accepted[0]
                damping = np.where(better, 0.3, 5.0) * damping
                raws = np.where(better[:, None], trial, raws)
                accepted = [
                    np.where(better.reshape(-1, *[1] * (x.ndim - 1)), x, y)
                    for x, y in zip(parts, accepted, strict=True)
                ]
            diagonal = accepted[1] * np.eye(len(self.rows)) * damping[:, None, None]
            step = np.linalg.solve(accepted[1] + diagonal + 1e-12 * np.eye(len(self.rows)), accepted[2][:, :, None])[
                :, :, 0
            ]
            trial = np.clip(raws - np.clip(step, -0.5, 0.5), -4.0, 4.0)
        changed = np.asarray(jnp.sum((self.audio - target) ** 2, axis=(1, 2)))
        estimates = {
            name: np.asarray(row.from_raw(jnp.asarray(raws[:, i]))) for i, (name, row) in enumerate(self.rows.items())
        }
        return estimates, 10.0 * np.log10(np.mean(accepted[0] / changed))


def print_row(processor, row, known, estimate, left_db, note=""):
    error = np.abs(estimate - known)
    unit = f" {row.unit}" if row.unit else ""
    cells = [f"{processor}.{row.name}{note}", f"{row.start:g}{unit}", f"{known:g}{unit}"]
    cells += [f"{np.median(estimate):.4g}{unit}", f"{np.median(error):.2g}", f"{error.max():.2g}", f"{left_db:.0f} dB"]
    print("| " + " | ".join(cells).replace("-", "−") + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("music", type=Path)
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--processors", nargs="+", choices=list(KNOWN_SETTINGS), default=list(KNOWN_SETTINGS))
    args = parser.parse_args()
    start_time = time.monotonic()
    print("| setting | start | known | estimate (median) | error: median | worst | remaining change |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for processor in args.processors:
        targets, search = (
            KNOWN_SETTINGS[processor],
            SettingsSearch(excerpts(args.music, args.songs, SECONDS[processor]), processor),
        )
        for name, row in search.rows.items():
            for value in targets[name]:
                known = {other: values[0] for other, values in targets.items()} | {name: value}
                estimates, left_db = search.run_adam(known, (name,), STEPS)
                print_row(processor, row, value, estimates[name], left_db)
        if processor == "compressor":
            for i in (0, 1):
                known = {name: values[i] for name, values in targets.items()}
                estimates, left_db = search.run_levenberg_marquardt(
                    known, search.run_adam(known, tuple(targets), STEPS)[0]
                )
                for name, row in search.rows.items():
                    print_row(processor, row, known[name], estimates[name], left_db, f" (all at once, {i + 1})")
    print(f"{args.songs} songs, {STEPS} and {MORE_STEPS} steps; {time.monotonic() - start_time:.0f} s")


if __name__ == "__main__":
    main()
