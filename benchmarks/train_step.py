"""How fast is a 1b training step, and how much memory does it take? nmjax beside the same network in PyTorch.

    python benchmarks/train_step.py --python PEERS/bin/python                      # paper size, 1 × 5 s mono
    python benchmarks/train_step.py --python PEERS/bin/python --width 0.25 --batch 12 --seconds 2
    python benchmarks/train_step.py --memory

nmjax runs here and PyTorch in a separate process (train_step_torch.py), alternating, with the same weights and signals.
Each side runs twice per turn and the second run counts: the first one pays for memory that the system reclaimed while
the other side ran (2 s at paper size), which consecutive steps do not. The table shows the loss of both sides, which
proves that they compute the same. FLOPs are counted by XLA for nmjax's program, after rewriting; the peak is that of a
float32 matrix product in the same run. `--memory` prints XLA's estimate of the memory of a compiled step, without
running it, and times the cost of recomputation at a batch of one.
"""

from nmjax.runtime.allocator import restart_with_tuned_allocator

if __name__ == "__main__":
    restart_with_tuned_allocator()  # as train.py does; the PyTorch process inherits them

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from nmjax.config import load_config
from nmjax.dsp.stft import a_weights
from nmjax.dsp.svf import k_weighting_svf
from nmjax.losses import regularization, signal_loss
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.training.profile import noise_inputs, step_bytes
from nmjax.training.state import initial_variables
from nmjax.training.step import compiler_options, jit_train_step

PARTS = ("encoder", "residual", "step")
KINDS = ("forward", "forward + gradient")


class NmjaxStep:
    """Modules and step of nmjax at one size, compiled; `run(part, gradient)` → loss."""

    def __init__(self, config, signals):
        self.config, self.model = config, build_model(config)
        variables = initial_variables(self.model, 0)
        self.batch_stats = {"batch_stats": variables["batch_stats"]}
        draw = np.random.default_rng(1)
        self.params = variables["params"]
        out = self.params["residual"]["out"]  # initially zero, which would block all gradients
        out["kernel"] = jnp.asarray(0.02 * draw.standard_normal(out["kernel"].shape), jnp.float32)
        self.signals = {name: jnp.asarray(x) for name, x in signals.items()}
        self.adam = optax.adam(1e-4)
        self.state, self.programs = self.adam.init(self.params), {}

    def arguments(self, part):
        source, z = self.signals["source"], self.signals["z"]
        length = jnp.full(len(source), source.shape[1], jnp.int32)
        first = self.params if part == "step" else self.params[part]
        return first, z, source, self.signals["target"], length, self.state

    def loss(self, part, params, z, source, target, length):
        if part == "step":
            return self.full_loss(params, source, target, length)
        method = (lambda m, *a: m.encoder(*a, True)) if part == "encoder" else (lambda m, *a: m.residual(*a, True))
        inputs = (source, length) if part == "encoder" else (source, z, length)
        stats = {name: tree[part] for name, tree in self.batch_stats.items()}
        variables = {name: {part: tree} for name, tree in {"params": params, **stats}.items()}
        y, _ = self.model.apply(variables, *inputs, method=method, mutable=["batch_stats"])
        return jnp.mean(y * y)

    def full_loss(self, params, source, target, length):
        variables = {"params": params, **self.batch_stats}
        (y, prediction), _ = self.model.apply(variables, source, length, True, mutable=["batch_stats"])
        eq, loss = prediction.settings.eq, self.config.loss
        more, _ = regularization(eq.gain_db, eq.q, None, loss, jnp.ones(()))
        return signal_loss(y, target, SAMPLE_RATE, loss)[0] + more

    def forward(self, part, *arguments):
        return self.loss(part, *arguments[:-1])

    def with_gradient(self, part, params, z, *inputs):
        argnums = (0, 1) if part == "residual" else 0
        value, grads = jax.value_and_grad(lambda p, z: self.loss(part, p, z, *inputs[:-1]), argnums)(params, z)
        if part != "step":
            return value, grads
        updates, state = self.adam.update(grads, inputs[-1], params)
        return value, optax.apply_updates(params, updates), state

    def prepare(self, part, gradient):
        function = self.with_gradient if gradient else self.forward
        program = jax.jit(lambda *a: function(part, *a)).lower(*self.arguments(part)).compile(compiler_options())
        self.programs[part, gradient] = program
        return program.cost_analysis()["flops"]

    def run(self, part, gradient):
        wall, cpu = time.perf_counter(), time.process_time()
        result = jax.block_until_ready(self.programs[part, gradient](*self.arguments(part)))
        took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        return took | {"value": float(result[0] if gradient else result)}


class TorchWorker:
    """PyTorch's process."""

    def __init__(self, python):
        worker, pipe = [python, str(Path(__file__).with_name("train_step_torch.py"))], subprocess.PIPE
        self.process = subprocess.Popen(worker, stdin=pipe, stdout=pipe, text=True)
        self.version = json.loads(self.process.stdout.readline())["torch"]

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def make_signals(batch, seconds):
    """A noisy source and target at about −20 LUFS and a z, `[batch, time, 1]` and `[batch, 512]`."""
    draw = np.random.default_rng(0)
    source = 0.1 * draw.standard_normal((batch, round(seconds * SAMPLE_RATE), 1))
    target = source + 0.5 * np.roll(source, 1, axis=1)
    signals = {"source": source, "target": target, "z": 0.3 * draw.standard_normal((batch, 512))}
    return {name: x.astype(np.float32) for name, x in signals.items()}


def k_biquads():
    """The K-weighting's two filters as b and a `[2, 3]`: low- and band-pass over their common denominator."""
    svf = jax.tree.map(lambda x: np.float64(x)[0], k_weighting_svf(SAMPLE_RATE))
    g, k = svf.g, svf.k
    a = np.stack([1 + g * (g + k), 2 * (g * g - 1), 1 - g * k + g * g], 1)
    band, low = g[:, None] * np.array([1.0, 0.0, -1.0]), (g * g)[:, None] * np.array([1.0, 2.0, 1.0])
    return svf.m0[:, None] * a + svf.m1[:, None] * band + svf.m2[:, None] * low, a


def write_torch_inputs(folder, nmjax_step, signals):
    """Files of signals and of weights for PyTorch."""
    (b, a), data, params = k_biquads(), Path(folder) / "data.npz", Path(folder) / "params.npz"
    curve = a_weights(2048, SAMPLE_RATE)
    np.savez(data, a_weights=curve, k_b=b.astype(np.float32), k_a=a.astype(np.float32), **signals)
    np.savez(params, **flax.traverse_util.flatten_dict(nmjax_step.params, sep="/"))
    return {"data": str(data), "params": str(params), "loss": nmjax_step.config.loss.model_dump(mode="json")}


def peak_flops(size=2048):
    """FLOPs a second of a square float32 matrix product, the best of 5."""
    a, product, took = jnp.ones((size, size)), jax.jit(jnp.matmul), []
    for _ in range(6):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        took.append(time.perf_counter() - start)
    return 2 * size**3 / min(took[1:])


def compare_steps(parts, nmjax_step, torch_worker, files, rounds):
    """A row for each part with and without its gradient: medians of wall and CPU time and of each round's ratio."""
    for part in parts:
        torch_worker.ask(part=part, **files)
        for gradient in (False, True):
            flops = nmjax_step.prepare(part, gradient)
            first = nmjax_step.run(part, gradient)["value"], torch_worker.ask(gradient=gradient)["value"]
            turns = []
            peaks = []
            for _ in range(rounds):
                nmjax_step.run(part, gradient)
                nmjax_turn = nmjax_step.run(part, gradient)
                torch_worker.ask(gradient=gradient)
                turns.append((nmjax_turn, torch_worker.ask(gradient=gradient)))
                peaks.append(peak_flops())
            walls, cpus = ([[side[clock] for side in turn] for turn in turns] for clock in ("wall", "cpu"))
            wall, cpu = (np.median(x, axis=0) for x in (walls, cpus))
            ratios = [statistics.median(a / b for a, b in x) for x in (walls, cpus)]
            speed = flops / wall[0]
            yield [
                part, KINDS[gradient], f"{wall[0]:.2f}", f"{wall[1]:.2f}", f"{ratios[0]:.2f}", f"{cpu[0]:.2f}",
                f"{cpu[1]:.2f}", f"{ratios[1]:.2f}", f"{flops / 1e9:.0f}",
                f"{speed / 1e9:.0f} ({speed / statistics.median(peaks):.0%})", f"{first[0]:.5g} / {first[1]:.5g}",
            ]  # fmt: skip


HEAD = [
    "part", "what", "nmjax s", "PyTorch s", "ratio", "nmjax CPU s", "PyTorch CPU s", "CPU ratio", "GFLOP",
    "GFLOP/s (of peak)", "loss nmjax / PyTorch",
]  # fmt: skip


def print_speed(options):
    overrides = [f"model.width={options.width}", "model.dropout=0", f"data.batch_size={options.batch}"]
    signals = make_signals(options.batch, options.seconds)
    nmjax_step, torch_worker = NmjaxStep(load_config("1b", [], overrides), signals), TorchWorker(options.python)
    print(f"## Width {options.width}, {options.batch} × {options.seconds} s mono\n")
    print(f"{os.cpu_count()} cores, jax {jax.__version__}, torch {torch_worker.version}, medians of {options.rounds}.")
    print(f"Before it: {peak_flops() / 1e9:.0f} GFLOP/s for a matrix product, load {os.getloadavg()[0]:.1f}.\n")
    print_row(HEAD)
    print_row(["---"] * 2 + ["---:"] * (len(HEAD) - 2))
    with tempfile.TemporaryDirectory() as folder:
        for row in compare_steps(
            options.parts, nmjax_step, torch_worker, write_torch_inputs(folder, nmjax_step, signals), options.rounds
        ):
            print_row(row)


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def step_program(batch, channels, seconds, **model):
    """The compiled train step as it is used, from shapes alone, and its config."""
    overrides = [f"model.{name}={str(value).lower()}" for name, value in model.items()]
    data = [f"data.batch_size={batch}", f"data.channels={channels}", f"data.excerpt_seconds={seconds}"]
    config = load_config("1b", [], [*overrides, *data])
    return jit_train_step(config).lower(*jax.eval_shape(lambda: noise_inputs(config))).compile(), config


def print_memory(options):
    print(f"## Memory of a compiled 1b step, width {options.width}, excerpts of {options.seconds} s, GB\n")
    print_row(["batch", "channels", "dtype", "plain", "remat"])
    print_row(["---:", "---:", "---", "---:", "---:"])
    for batch, channels, dtype in [(16, 1, "float32"), (32, 1, "float32"), (32, 1, "bfloat16"), (32, 2, "float32")]:
        model_options = {"width": options.width, "dtype": dtype}
        programs = [step_program(batch, channels, options.seconds, remat=r, **model_options)[0] for r in (False, True)]
        gigabytes = [step_bytes(program) / 1e9 for program in programs]
        print_row([str(batch), str(channels), dtype, *(f"{gb:.1f}" for gb in gigabytes)])
    times = {False: [], True: []}
    programs = {r: step_program(1, 1, options.seconds, width=options.width, remat=r) for r in times}
    for _ in range(options.rounds + 1):
        for remat, (program, config) in programs.items():
            inputs = noise_inputs(config)
            start = time.process_time()
            jax.block_until_ready(program(*inputs))
            times[remat].append(time.process_time() - start)
    ratio = statistics.median(b / a for a, b in zip(times[False][1:], times[True][1:], strict=True))
    print(f"\nRecomputing takes {ratio:.2f} times the CPU time of the plain step (batch 1).")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="the Python of PyTorch")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    (print_memory if options.memory else print_speed)(options)


if __name__ == "__main__":
    main()
