"""The systems that `processors.py` measures.

A system is a class that is constructed from a case's signals and has the methods `render()` and, if `has_gradient`,
`with_gradient()`, the gradient of the mean square by the signal and by the settings. Run as a program with a system's
name, this file is a worker: a line of JSON in, a line of JSON out.
"""

import json
import os
import sys
from importlib.metadata import version

import numpy as np
from filter_systems import RATE, time_call

COMPRESSOR = {"threshold_db": -22.0, "ratio": 4.0, "attack_ms": 10.0, "release_ms": 100.0, "knee_db": 6.0}
DRIVE_DB, MIX, LOW, HIGH = 12.0, 0.5, 0.5, 1.5


def signals(case):
    """Noise that swells four times a second, `[batch, time, 2]`, about −20 dBFS."""
    time_s = np.arange(case["time"]) / RATE
    swell = 10.0 ** (0.5 * np.sin(8.0 * np.pi * time_s))
    noise = np.random.RandomState(0).standard_normal((case["batch"], case["time"], 2))
    return (0.05 * swell[:, None] * noise).astype(np.float32)


class Nmjax:
    """Base of the JAX systems, which implement `process(audio, settings)` and `settings(full)`."""

    has_gradient, packages = True, ("jax",)

    def __init__(self, audio):
        import jax
        import jax.numpy as jnp

        self.arguments = [jnp.asarray(audio), self.settings(lambda x: jnp.full((audio.shape[0],), x))]
        self.block_until_ready = jax.block_until_ready
        self.render_program = jax.jit(self.process)
        self.gradient_program = jax.jit(jax.grad(lambda *a: jnp.mean(self.process(*a) ** 2), argnums=(0, 1)))

    def render(self):
        return self.block_until_ready(self.render_program(*self.arguments))

    def with_gradient(self):
        return self.block_until_ready(self.gradient_program(*self.arguments))


class Compress(Nmjax):
    @staticmethod
    def settings(full):
        from nmjax.dsp import Compressor

        return Compressor(**{name: full(x) for name, x in COMPRESSOR.items()}, makeup_db=full(0.0))

    @staticmethod
    def process(audio, settings):
        from nmjax.dsp import compress

        return compress(audio, settings, RATE)[0]


class CompressPerSample(Compress):
    @staticmethod
    def process(audio, settings):
        from nmjax.dsp.compressor_per_sample import compress_per_sample

        return compress_per_sample(audio, settings, RATE)[0]


class Saturate(Nmjax):
    @staticmethod
    def settings(full):
        from nmjax.dsp import Saturator

        return Saturator(drive_db=full(DRIVE_DB), mix=full(MIX), asymmetry=full(0.3))

    @staticmethod
    def process(audio, settings):
        from nmjax.dsp import saturate

        return saturate(audio, settings, RATE)


class Widen(Nmjax):
    @staticmethod
    def settings(full):
        from nmjax.dsp import Width

        return Width(low=full(LOW), high=full(HIGH))

    @staticmethod
    def process(audio, settings):
        from nmjax.dsp import widen

        return widen(audio, settings, RATE)[0]


class Torch:
    """Base of the PyTorch compressors, which implement `process(audio [batch, 2, time], settings)`."""

    has_gradient = True

    def __init__(self, audio):
        import torch

        torch.set_num_threads(os.cpu_count())
        self.torch = torch
        self.audio = torch.tensor(np.moveaxis(audio, 2, 1).copy(), requires_grad=True)
        self.settings = {
            name: torch.full((len(audio),), value, requires_grad=True) for name, value in COMPRESSOR.items()
        }

    def render(self):
        with self.torch.no_grad():
            return self.process(self.audio, self.settings)

    def with_gradient(self):
        self.process(self.audio, self.settings).square().mean().backward()
        return self.audio.grad


class TorchComp(Torch):
    """torchcomp's detector and gain, per sample in C++ or Numba; hard knee, smoothed as a factor, not in dB."""

    packages = ("torchcomp", "torch")

    def process(self, x, s):
        import torchcomp

        power = torchcomp.avg(x.square().mean(1) + 1e-10, torchcomp.ms2coef(self.torch.tensor(10.0), RATE))
        times = (torchcomp.ms2coef(s[name], RATE) for name in ("attack_ms", "release_ms"))
        gain = torchcomp.compexp_gain(power.sqrt(), s["threshold_db"], s["ratio"], -90.0, 0.5, *times)
        return x * gain[:, None]


class Dasp(Torch):
    """dasp-pytorch: by FFT; uses the attack time for the release too."""

    packages = ("dasp-pytorch", "torch")

    def process(self, x, s):
        from dasp_pytorch.functional import compressor

        return compressor(x, RATE, *s.values(), self.torch.zeros(len(x)))


class Pedalboard:
    """Spotify's plug-ins in C++, one signal after the other; no knee."""

    has_gradient, packages = False, ("pedalboard",)

    def __init__(self, audio):
        import pedalboard

        s = COMPRESSOR
        self.board = pedalboard.Compressor(s["threshold_db"], s["ratio"], s["attack_ms"], s["release_ms"])
        self.audio = np.moveaxis(audio, 2, 1).copy()

    def render(self):
        return [self.board(x, RATE) for x in self.audio]


class SciPySaturator:
    """`resample_poly` by 4, tanh, and back."""

    has_gradient, packages = False, ("scipy",)

    def __init__(self, audio):
        self.audio = audio

    def render(self):
        from scipy.signal import resample_poly

        gain = 10.0 ** (DRIVE_DB / 20.0)
        wet = resample_poly(np.tanh(gain * resample_poly(self.audio, 4, 1, axis=1)), 1, 4, axis=1)
        return self.audio + MIX * (wet - self.audio)


class SciPyWidth:
    """`sosfilt` on the side."""

    has_gradient, packages = False, ("scipy",)

    def __init__(self, audio):
        self.audio = audio

    def render(self):
        from scipy.signal import butter, sosfilt

        side = 0.5 * (self.audio[..., :1] - self.audio[..., 1:])
        below = sosfilt(butter(2, 200.0, fs=RATE, output="sos"), side, axis=1)
        more = (HIGH - 1.0) * side + (LOW - HIGH) * below
        return self.audio + np.concatenate([more, -more], axis=2)


SYSTEMS = {
    "compressor: nmjax": Compress,
    "compressor: nmjax, per sample": CompressPerSample,
    "compressor: torchcomp": TorchComp,
    "compressor: dasp-pytorch": Dasp,
    "compressor: pedalboard": Pedalboard,
    "saturator: nmjax": Saturate,
    "saturator: SciPy resample_poly": SciPySaturator,
    "width: nmjax": Widen,
    "width: SciPy sosfilt": SciPyWidth,
}


def run_torchcomp_ballistics(case):
    """Save the envelope of torchcomp's recursion, which attacks where its input falls (hence the signs), in dB."""
    import torch
    from torchcomp import compressor_core

    over = torch.tensor(np.load(case["overshoot"]))
    rates = (torch.full((len(over),), case[name], dtype=over.dtype) for name in ("rise", "fall"))
    np.save(case["envelope"], -compressor_core(-over, over.new_zeros(len(over)), *rates).numpy())
    return {}


def main():
    system, run = SYSTEMS[sys.argv[1]], None
    print(json.dumps({"versions": {name: version(name) for name in system.packages}}), flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        if case["do"] == "ballistics":
            reply = run_torchcomp_ballistics(case)
        elif case["do"] == "prepare":
            instance = system(signals(case))
            run = instance.with_gradient if case["gradient"] else instance.render
            run()
            reply = {}
        else:
            reply = time_call(run)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
