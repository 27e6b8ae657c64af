"""The systems that `filters.py` measures: each renders a cascade of peaking filters and, where possible, a gradient.

A system is a class that is constructed from a case's inputs and has the methods `render()` and, if `has_gradient`,
`with_gradient()`; both return the output as `[batch, time]`. The gradient is that of the mean square by signal,
frequency, gain and Q. Run as a program with a system's name, this file is a worker: a line of JSON in, a line out.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

RATE = 44_100


def inputs(case):
    """Noise `[batch, time]` and freq_hz, gain_db and q `[batch, bands]` over the model's range, float32."""
    draw = np.random.RandomState(case["bands"])
    shape = case["batch"], case["bands"]
    settings = 20 * 1000 ** draw.uniform(size=shape), draw.uniform(-12, 12, shape), draw.uniform(0.5, 5.0, shape)
    block = 0.1 * draw.standard_normal((case["batch"], RATE)).astype(np.float32)  # a second, repeated
    audio = np.tile(block, (1, math.ceil(case["time"] / RATE)))[:, : case["time"]]
    return audio, tuple(x.astype(np.float32) for x in settings)


def biquads(lib, freq_hz, gain_db, q):
    """RBJ's peaking filters, b and a `[batch, bands, 3]`, with NumPy or torch."""
    a, w = 10.0 ** (gain_db / 40.0), 2.0 * math.pi / RATE * freq_hz
    alpha, cos = lib.sin(w) / (2.0 * q), lib.cos(w)
    norm = 1.0 + alpha / a
    b = lib.stack([(1.0 + alpha * a) / norm, -2.0 * cos / norm, (1.0 - alpha * a) / norm], -1)
    return b, lib.stack([norm / norm, -2.0 * cos / norm, (1.0 - alpha / a) / norm], -1)


class NmjaxBlocks:
    """nmjax as it is used: `equalize`."""

    has_gradient, packages = True, ("nmjax", "jax")

    def __init__(self, audio, settings):
        import jax
        import jax.numpy as jnp

        def render(audio, *settings):
            return self.apply_filters(audio[:, :, None], settings)[:, :, 0]

        def loss(*arguments):
            y = render(*arguments)
            return jnp.mean(y * y), y

        self.arguments = [jnp.asarray(x) for x in (audio, *settings)]
        self.block_until_ready = jax.block_until_ready
        self.render_program = jax.jit(render)
        self.gradient_program = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2, 3), has_aux=True))

    @staticmethod
    def apply_filters(audio, settings):
        from nmjax.dsp import Bands, equalize

        return equalize(audio, Bands(*settings), RATE)[0]

    def render(self):
        return self.block_until_ready(self.render_program(*self.arguments))

    def with_gradient(self):
        return self.block_until_ready(self.gradient_program(*self.arguments))[0][1]


class NmjaxPerSample(NmjaxBlocks):
    """nmjax's reference form: one `lax.scan` step per sample."""

    @staticmethod
    def apply_filters(audio, settings):
        from nmjax.dsp import Bands
        from nmjax.dsp.cascade import cascade_per_sample, initial_state

        svf = Bands(*settings).svf(RATE)
        return cascade_per_sample(audio, svf, initial_state(svf, audio.shape[0], 1))[0]


class NmjaxFloat64(NmjaxBlocks):
    """nmjax as used to render files: `equalize` in float64."""

    has_gradient = False

    def __init__(self, audio, settings):
        import jax

        self.enable_x64 = jax.enable_x64
        with self.enable_x64(True):
            super().__init__(audio.astype(np.float64), [x.astype(np.float64) for x in settings])

    def render(self):
        with self.enable_x64(True):
            return super().render()


class SciPy:
    """`sosfilt` in float64, one signal after the other; also the reference for the error."""

    has_gradient, packages = False, ("scipy",)

    def __init__(self, audio, settings):
        from scipy.signal import sosfilt

        b, a = biquads(np, *(x.astype(np.float64) for x in settings))
        self.filter, self.audio, self.sos = sosfilt, audio.astype(np.float64), np.concatenate([b, a], axis=2)

    def render(self):
        return np.stack([self.filter(sos, x) for sos, x in zip(self.sos, self.audio, strict=True)])


class Pedalboard:
    """Spotify's plug-ins in C++: a board of PeakFilters per signal."""

    has_gradient, packages = False, ("pedalboard",)

    def __init__(self, audio, settings):
        from pedalboard import PeakFilter, Pedalboard

        rows = zip(*(x.tolist() for x in settings), strict=True)
        self.boards = [Pedalboard([PeakFilter(*band) for band in zip(*row, strict=True)]) for row in rows]
        self.audio = audio

    def render(self):
        return np.stack([board(x[None], RATE)[0] for board, x in zip(self.boards, self.audio, strict=True)])


class Torch:
    """Base of the PyTorch systems, which implement `chain(audio, b, a)`."""

    has_gradient = True

    def __init__(self, audio, settings):
        import torch

        torch.set_num_threads(os.cpu_count())
        self.torch = torch
        self.arguments = [torch.tensor(x, requires_grad=True) for x in (audio, *settings)]

    def run(self):
        audio, *settings = self.arguments
        return self.chain(audio, *biquads(self.torch, *settings))

    def render(self):
        with self.torch.no_grad():
            return self.run().numpy()

    def with_gradient(self):
        y = self.run()
        self.torch.autograd.grad((y * y).mean(), self.arguments)
        return y.detach().numpy()


class TorchAudio(Torch):
    """`lfilter`, one band after the other."""

    packages = ("torchaudio", "torch")

    def chain(self, x, b, a):
        from torchaudio.functional import lfilter

        for n in range(b.shape[1]):
            x = lfilter(x, a[:, n], b[:, n], clamp=False, batching=True)
        return x


class FrequencySampling(Torch):
    """One FFT over the whole signal, padded to twice its length, as in dasp-pytorch and DeepAFx-ST."""

    packages = ("torch",)

    def chain(self, x, b, a):
        fft, size = self.torch.fft, 2 ** math.ceil(math.log2(2 * x.shape[1] - 1))
        spectrum = fft.rfft(x, size)
        for n in range(b.shape[1]):
            spectrum = spectrum * (fft.rfft(b[:, n], size) / fft.rfft(a[:, n], size))
        return fft.irfft(spectrum, size)[:, : x.shape[1]]


class TorchLpc(Torch):
    """`sample_wise_lpc` for the poles, a short FIR for the zeros."""

    packages = ("torchlpc", "torch")

    def chain(self, x, b, a):
        from torchlpc import sample_wise_lpc

        for n in range(b.shape[1]):
            padded = self.torch.nn.functional.pad(x, (2, 0))
            zeros = sum(b[:, n, i, None] * padded[:, 2 - i : padded.shape[1] - i] for i in range(3))
            x = sample_wise_lpc(zeros, a[:, n, None, 1:].expand(-1, x.shape[1], -1))
        return x


class PhilTorch(Torch):
    """`lti.lfilter`, one band after the other."""

    packages = ("philtorch", "torch")

    def chain(self, x, b, a):
        from philtorch.lti import lfilter

        for n in range(b.shape[1]):
            x = lfilter(b[:, n], a[:, n, 1:], x)
        return x


SYSTEMS = {
    "nmjax": NmjaxBlocks,
    "nmjax, float64": NmjaxFloat64,
    "nmjax, per sample": NmjaxPerSample,
    "SciPy sosfilt, float64": SciPy,
    "pedalboard": Pedalboard,
    "torchaudio lfilter": TorchAudio,
    "PyTorch, one FFT": FrequencySampling,
    "torchlpc": TorchLpc,
    "philtorch": PhilTorch,
}


def memory_mb(field):
    """A field of this process's status in MB; NaN where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan
    return next(int(line.split()[1]) / 1024 for line in status.read_text().split("\n") if line.startswith(field + ":"))


def reset_peak_memory():
    """Return freed memory and reset the peak resident size (Linux with glibc; elsewhere no effect)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def measure_first_run(run, case, compiled):
    """Peak memory of a run beyond the inputs, and the error over the first 5 s against the reference in dB."""
    reset_peak_memory()
    before = memory_mb("VmRSS")
    if compiled:
        run()  # the compilation needs memory too
    reset_peak_memory()
    y = np.asarray(run())
    result = {"peak_mb": memory_mb("VmHWM") - before}
    if case["reference"]:
        reference = np.load(case["reference"], mmap_mode="r")
        error = np.abs(y[:, : reference.shape[1]] - reference).max(axis=1) / np.abs(reference).max(axis=1)
        result["error_db"] = 20 * math.log10(max(float(error.max()), 1e-30))
    if case["save"]:
        np.save(case["save"], y[:, : 5 * RATE])
    return result


def time_call(run):
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def main():
    system, run = SYSTEMS[sys.argv[1]], None
    print(json.dumps({"versions": {name: version(name) for name in system.packages}}), flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        if case["do"] == "prepare":
            instance = run = None
            reset_peak_memory()
            instance = system(*inputs(case))
            run = instance.with_gradient if case["gradient"] else instance.render
            reply = measure_first_run(run, case, issubclass(system, NmjaxBlocks))
        else:
            reply = time_call(run)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
