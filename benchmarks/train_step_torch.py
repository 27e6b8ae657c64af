"""Phase 1b and its losses in PyTorch, for `train_step.py`: the same layers and formulas, in the fastest way of PyTorch.

Convolutions use oneDNN and spectra `torch.stft`. The equalizer and the K-weighting multiply the spectrum of the signal,
padded to twice its length, by sampled frequency responses (torchaudio's `lfilter` takes a tenth less, see
docs/results/speed.md).
Parameters are read from a file with flattened Flax names. The worker reads and writes one line of JSON per run.
"""

import json
import math
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

RATE, FLOOR, TINY = 44_100, 1e-5, 1e-8


class Network:
    """The network as functions of named parameters, whose kernels are in PyTorch's order."""

    def __init__(self, path):
        self.params = {name: self.to_torch_order(name, x).requires_grad_() for name, x in np.load(path).items()}

    @staticmethod
    def to_torch_order(name, x):
        return torch.tensor(np.ascontiguousarray(x.T if name.endswith("kernel") else x))  # [K, I, O] → [O, I, K]

    def dense(self, name, x):
        return F.linear(x, self.params[f"{name}/kernel"], self.params[f"{name}/bias"])

    def conv(self, name, x, stride=1, dilation=1):
        kernel = self.params[f"{name}/kernel"]
        return F.conv1d(x, kernel, self.params[f"{name}/bias"], stride, dilation * (kernel.shape[2] // 2), dilation)

    def conv_norm(self, name, x, **how):
        x = self.conv(f"{name}/conv", x, **how)
        mean, var = torch.zeros(x.shape[1]), torch.ones(x.shape[1])  # the running ones
        scale, bias = self.params[f"{name}/norm/scale"], self.params[f"{name}/norm/bias"]
        return F.batch_norm(x, mean, var, scale, bias, True, 0.01, 1e-5)

    def encoder(self, x):
        for name in ("stem_0", "stem_1"):
            x = F.relu(self.conv_norm(f"encoder/{name}", x, stride=4))
        for n, dilation in enumerate((1, 2, 4, 8)):
            name = f"encoder/blocks_{n}"
            y = F.relu(self.conv_norm(f"{name}/first", x, dilation=dilation))
            y = self.conv_norm(f"{name}/second", y, dilation=dilation)
            x = F.relu(y + (self.conv(f"{name}/projection", x) if f"{name}/projection/kernel" in self.params else x))
        return self.dense("encoder/out", x.mean(2))

    def film(self, name, x, z):
        gamma, beta = (self.dense(f"residual/{name}/{part}", z)[:, :, None] for part in ("gamma", "beta"))
        return gamma * F.relu(self.conv_norm(f"residual/{name}/layer", x)) + beta

    def residual(self, x, z):
        time_, skips = x.shape[2], []
        x = F.pad(x, (0, -time_ % 8))
        for level in range(3):
            x = self.film(f"down_{level}", x, z)
            skips.append(x)
            x = F.avg_pool1d(x, 2)
        x = self.film("bottleneck", x, z)
        for level in (2, 1, 0):
            x = F.interpolate(x, scale_factor=2, mode="linear", align_corners=False)
            x = self.film(f"up_{level}", torch.cat([x, skips[level]], 1), z)
        return self.conv("residual/out", x)[:, :, :time_]

    def settings(self, z):
        x = F.relu(self.dense("decoder/hidden_1", F.relu(self.dense("decoder/hidden_0", z))))
        freq, gain, q = (self.dense(f"decoder/{name}/dense", x) for name in ("frequency", "gain", "q"))
        return 20.0 * 1000.0 ** torch.sigmoid(freq), 12.0 * torch.tanh(gain), 0.5 + 4.5 * torch.sigmoid(q)


def apply_biquads(x, b, a):
    """Sections in series, b and a `[batch, sections, 3]`, over `[batch, 1, time]`."""
    size = 2 ** math.ceil(math.log2(2 * x.shape[2] - 1))
    delay = torch.exp(-2j * math.pi * torch.arange(size // 2 + 1) / size) ** torch.arange(3)[:, None]
    sections = (b.to(delay.dtype) @ delay) / (a.to(delay.dtype) @ delay)
    response = sections[:, 0]
    for n in range(1, sections.shape[1]):  # faster than `prod`, whose gradient looks for zeros
        response = response * sections[:, n]
    return torch.fft.irfft(torch.fft.rfft(x, size) * response[:, None], size)[:, :, : x.shape[2]]


def equalize(x, freq_hz, gain_db, q):
    a, w = 10.0 ** (gain_db / 40.0), 2.0 * math.pi / RATE * freq_hz
    alpha, cos = torch.sin(w) / (2.0 * q), torch.cos(w)
    b = torch.stack([1.0 + alpha * a, -2.0 * cos, 1.0 - alpha * a], 2)
    return apply_biquads(x, b, torch.stack([1.0 + alpha / a, -2.0 * cos, 1.0 - alpha / a], 2))


def magnitudes(x, window, max_hz):
    hann = torch.hann_window(window)
    spectrum = torch.stft(x[:, 0], window, window // 4, window=hann, return_complex=True)
    spectrum = spectrum[:, : 1 + int(max_hz * window / RATE)]
    power = spectrum.real.square() + spectrum.imag.square()
    return power.clamp(min=(FLOOR * window / 4) ** 2).sqrt()


def spectral(y, t, windows, max_hz, weights):
    """MR-STFT and, on windows of 2048, A-weighted."""
    total = 0.0
    for window in windows:
        a, b = magnitudes(y, window, max_hz), magnitudes(t, window, max_hz)
        convergence = (a - b).square().sum((1, 2)).clamp(min=1e-30).sqrt() / b.square().sum((1, 2)).clamp(
            min=TINY
        ).sqrt()
        total = total + convergence.mean() + (a.log() - b.log()).abs().mean()
    a, b = magnitudes(y, 2048, max_hz), magnitudes(t, 2048, max_hz)
    weighted = weights[None, : a.shape[1], None]
    a_weighted = ((weighted * (a - b).abs()).sum((1, 2)) / (weighted * b).sum((1, 2)).clamp(min=TINY)).mean()
    return total / len(windows), a_weighted


def loudness(x, b, a):
    """Integrated, gated, `[batch]`; 400 ms blocks every 100 ms from steps of 20 ms, as nmjax has it."""
    energy = apply_biquads(x, b[None], a[None])[:, 0].square()
    hop = RATE // 50 * 5
    hops = energy[:, : energy.shape[1] // hop * hop].reshape(len(x), -1, hop).mean(2)
    blocks = F.avg_pool1d(hops[:, None], 4, 1)[:, 0]
    passed = blocks > 10 ** (-6.9309)
    threshold = 0.1 * (blocks * passed).sum(1) / passed.sum(1).clamp(min=1)
    passed = (passed & (blocks > threshold[:, None])).detach()
    return -0.691 + 10.0 * torch.log10((blocks * passed).sum(1) / passed.sum(1).clamp(min=1))


class StepCase:
    """One part at one size: `forward` and `with_gradient` (of the whole step: with Adam's update)."""

    def __init__(self, case):
        data = np.load(case["data"])
        self.source, self.target = (
            torch.tensor(data[name]).transpose(1, 2).contiguous() for name in ("source", "target")
        )
        self.constants = {name: torch.tensor(data[name]) for name in ("z", "a_weights", "k_b", "k_a")}
        self.loss, self.part = case["loss"], case["part"]
        self.network = Network(case["params"])
        self.params = [p for name, p in self.network.params.items() if self.part in ("step", name.split("/")[0])]
        self.z = self.constants["z"].requires_grad_(case["part"] == "residual")
        self.adam = torch.optim.Adam(self.params, lr=1e-4)

    def value(self):
        if self.part == "encoder":
            return self.network.encoder(self.source).square().mean()
        if self.part == "residual":
            return self.network.residual(self.source, self.z).square().mean()
        return self.full_loss()

    def full_loss(self):
        z = self.network.encoder(self.source)
        freq, gain, q = self.network.settings(z)
        y = equalize(self.source, freq, gain, q) + self.network.residual(self.source, z)
        w, k = self.loss, (self.constants["k_b"], self.constants["k_a"])
        stft, a_weighted = spectral(y, self.target, w["fft_sizes"], w["max_hz"], self.constants["a_weights"])
        lufs = (loudness(y, *k) - loudness(self.target, *k)).abs().mean()
        rounded = gain.square() / ((gain.square() + 0.01).sqrt() + 0.1)
        return (
            w["mr_stft"] * stft + w["a_weighted"] * a_weighted + w["lufs"] * lufs
            + w["gain"] * rounded.mean() + w["q"] * (q - 1.0).square().mean()
        )  # fmt: skip

    def forward(self):
        with torch.no_grad():
            return self.value().item()

    def with_gradient(self):
        self.adam.zero_grad()
        value = self.value()
        value.backward()
        if self.part == "step":
            self.adam.step()
        return value.item()


def main():
    torch.set_num_threads(os.cpu_count())
    print(json.dumps({"torch": torch.__version__}), flush=True)
    case = None
    for line in sys.stdin:
        request = json.loads(line)
        if "part" in request:
            case = None
            case, reply = StepCase(request), {}
        else:
            run = case.with_gradient if request["gradient"] else case.forward
            wall, cpu = time.perf_counter(), time.process_time()
            value = run()
            reply = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "value": value}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
