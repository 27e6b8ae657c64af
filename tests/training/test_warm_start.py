"""Warm starts: a later phase renders what the earlier one does, and reports what was transferred."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import response_db
from nmjax.models import PHASES, MasteringModel
from nmjax.models.decoder import FIVE_BANDS_HZ, TEN_BANDS_HZ, AdaptiveDecoder, ParametricDecoder
from nmjax.models.processor_decoders import ProcessorDecoders
from nmjax.runtime.checkpoints import MergeReport, merge_variables
from nmjax.training.warm_start import as_spectral_branch, nearest_bands, transfer_params
from tests.models.helpers import init_shapes, random_variables

WIDTH = 0.05
INITIAL_GATE = 1.0 / (1.0 + np.exp(-2.0))
Z = jnp.asarray(np.random.default_rng(1).standard_normal((6, 512)), jnp.float32)
AUDIO = jnp.asarray(np.random.default_rng(2).standard_normal((2, 500, 2)), jnp.float32)
POINTS = jnp.geomspace(20.0, 20_000.0, 300)
NEAREST_BANDS = [int(np.argmin([abs(np.log2(f / g)) for g in TEN_BANDS_HZ])) for f in FIVE_BANDS_HZ]
OTHER_BANDS = [n for n in range(10) if n not in NEAREST_BANDS]
TOLERANCE_001_DB = 10.0 ** (0.01 / 20.0) - 1.0  # 0.01 dB as a fraction of the peak


def leaves(tree):
    """Name → array."""
    pairs = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in pairs}


@functools.cache
def jit_model(model):
    return jax.jit(model.apply)


@functools.cache
def phase_variables(phase, frequency_map="log"):
    """Untrained variables; 1a is 1b without residual, 1c is 1b with the other decoder, 2 is 1c with processors."""
    if phase == "1b":
        fast_compile = {"xla_backend_optimization_level": 0}
        model = MasteringModel("1b", WIDTH, frequency_map)
        return jax.jit(model.init, compiler_options=fast_compile)(jax.random.key(3, impl="rbg"), AUDIO[:, :64])
    variables = dict(phase_variables("1b", frequency_map))
    if phase == "1a":
        return {name: {k: v for k, v in tree.items() if k != "residual"} for name, tree in variables.items()}
    if phase == "2":
        variables = phase_variables("1c", frequency_map)
        processors = ProcessorDecoders().init(jax.random.key(5), Z, Z)["params"]
        return {**variables, "params": {**variables["params"], "processors": processors}}
    decoder = AdaptiveDecoder(frequency_map).init(jax.random.key(4), Z)
    params = {**variables["params"], "decoder": decoder["params"]}
    return {**variables, "params": params, "warm_start": {"decoder": decoder["warm_start"]}}


@functools.cache
def perturbed_variables(phase, frequency_map="log"):
    """Untrained variables with random changes, as by training; gains stay below 12 dB times the initial gate."""
    rng = np.random.default_rng(7)

    def perturb(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        size = 0.01 if "/encoder/out/" in name else 0.012 if "decoder/gain" in name else 0.1
        unit = rng.standard_normal(leaf.shape)
        value = leaf * np.exp(0.3 * unit) if name.endswith("/var") else leaf + size * unit
        return jnp.asarray(value, jnp.float32)

    return jax.tree_util.tree_map_with_path(perturb, phase_variables(phase, frequency_map))


def decode_eq(decoder, variables, z=Z):
    part = {name: tree["decoder"] for name, tree in variables.items() if "decoder" in tree}
    return jit_model(decoder)(part, z)[0]


def set_gains(variables, gains_db):
    """Five gains that are the same for every z."""
    decoder = variables["params"]["decoder"]
    bias = jnp.arctanh(jnp.asarray(gains_db, jnp.float32) / 12.0)
    gain = {"dense": {"kernel": 0.0 * decoder["gain"]["dense"]["kernel"], "bias": bias}}
    return {**variables, "params": {**variables["params"], "decoder": {**decoder, "gain": gain}}}


@pytest.mark.parametrize("phase", ["1a", "1c", "2"])
def test_helper_variables_have_the_structure_of_the_phase(phase):
    shapes = jax.eval_shape(MasteringModel(phase, WIDTH).init, jax.random.key(0), AUDIO)
    assert {k: v.shape for k, v in leaves(phase_variables(phase)).items()} == {
        jax.tree_util.keystr(p, simple=True, separator="/"): x.shape
        for p, x in jax.tree_util.tree_leaves_with_path(shapes)
    }


def test_five_bands_go_to_the_nearest_of_the_ten():
    assert nearest_bands() == NEAREST_BANDS
    assert len(set(NEAREST_BANDS)) == 5


def test_1b_started_from_1a_is_bit_identical():
    variables, _ = transfer_params(phase_variables("1b"), perturbed_variables("1a"))
    before, _ = jit_model(MasteringModel("1a", WIDTH))(perturbed_variables("1a"), AUDIO)
    after, _ = jit_model(MasteringModel("1b", WIDTH))(variables, AUDIO)
    assert np.max(np.abs(before - AUDIO)) > 0.1, "a flat equalizer would prove nothing"
    np.testing.assert_array_equal(np.asarray(after).view(np.uint32), np.asarray(before).view(np.uint32))


@pytest.mark.parametrize("frequency_map", ["log", "linear"])
@pytest.mark.parametrize("earlier", ["1a", "1b"])
def test_1c_reproduces_the_curve_of_the_five_bands(earlier, frequency_map):
    five, ten = ParametricDecoder(frequency_map), AdaptiveDecoder(frequency_map)
    old = perturbed_variables(earlier, frequency_map)
    variables, _ = transfer_params(phase_variables("1c", frequency_map), old)
    before, after = decode_eq(five, old), decode_eq(ten, variables)
    assert 3.0 < np.max(np.abs(before.gain_db)) < 12.0 * INITIAL_GATE, "large gains that need no limiting"
    curves = (response_db(eq.bands(), POINTS, 44_100) for eq in (before, after))
    assert np.max(np.abs(np.subtract(*curves))) <= 0.01
    new_decoder, old_decoder = (v["params"]["decoder"] for v in (variables, old))
    for head in ("frequency", "q"):
        for key in ("kernel", "bias"):  # bit-identical; a matrix product with five or ten columns rounds differently
            copied = new_decoder[head]["dense"][key][..., np.array(NEAREST_BANDS)]
            np.testing.assert_array_equal(copied, old_decoder[head]["dense"][key], err_msg=f"{head} {key}")
    for name in ("freq_hz", "q"):
        copied = getattr(after, name)[:, np.array(NEAREST_BANDS)]
        np.testing.assert_allclose(copied, getattr(before, name), rtol=1e-5, err_msg=name)


def test_1c_started_from_1b_renders_the_same():
    """Including the residual."""
    variables, _ = transfer_params(phase_variables("1c"), perturbed_variables("1b"))
    before, _ = jit_model(MasteringModel("1b", WIDTH))(perturbed_variables("1b"), AUDIO)
    after, _ = jit_model(MasteringModel("1c", WIDTH))(variables, AUDIO)
    assert np.max(np.abs(after - before)) <= TOLERANCE_001_DB * np.max(np.abs(before))


@pytest.mark.parametrize("earlier", ["1a", "1b", "1c"])
def test_2_started_from_an_earlier_phase_renders_the_same(earlier):
    """The new processors are neutral."""
    variables, _ = transfer_params(phase_variables("2"), perturbed_variables(earlier))
    before, _ = jit_model(MasteringModel(earlier, WIDTH))(perturbed_variables(earlier), AUDIO)
    after, prediction = jit_model(MasteringModel("2", WIDTH))(variables, AUDIO)
    assert np.max(np.abs(after - before)) <= TOLERANCE_001_DB * np.max(np.abs(before))
    assert np.max(np.abs(before - AUDIO)) > 0.1
    np.testing.assert_array_equal(prediction.settings.compressor.ratio, np.ones(2))


@pytest.mark.parametrize("phase", ["1a", "2"])
def test_two_branches_started_from_the_spectral_encoder_predict_the_same(phase):
    """The spectral encoder becomes their spectral branch; the waveform branch adds nothing to z yet."""
    audio = AUDIO if phase == "2" else AUDIO[..., :1]
    one, two = (MasteringModel(phase, WIDTH, encoder_kind=kind) for kind in ("spectral", "two_branch"))
    source = random_variables(init_shapes(one, audio[:, :64]), seed=4)
    fresh = jax.jit(two.init)(jax.random.key(6, impl="rbg"), audio[:, :64])
    variables, report = transfer_params(fresh, as_spectral_branch(source))
    before, after = (
        jax.jit(functools.partial(model.apply, method="predict"))(v, audio)
        for model, v in ((one, source), (two, variables))
    )
    np.testing.assert_allclose(after.z, before.z, atol=1e-5)
    assert np.max(np.abs(before.z)) > 0.1
    assert report.unused == report.mismatched == []
    assert all("/encoder/waveform/" in name for name in report.new)


def test_bands_that_were_not_copied_keep_their_frequencies_at_0_db():
    variables, _ = transfer_params(phase_variables("1c"), perturbed_variables("1a"))
    eq = decode_eq(AdaptiveDecoder(), variables, 30.0 * Z)
    others = np.array(OTHER_BANDS)
    np.testing.assert_array_equal(eq.gain_db[:, others], np.zeros((6, 5)))
    np.testing.assert_allclose(
        eq.freq_hz[:, others], np.broadcast_to(np.array(TEN_BANDS_HZ)[others], (6, 5)), rtol=1e-6
    )
    np.testing.assert_allclose(eq.q[:, others], np.ones((6, 5)), rtol=1e-6)
    np.testing.assert_allclose(eq.gate, np.full((6, 10), INITIAL_GATE), rtol=1e-6)


def test_gains_are_divided_by_the_gate_and_clipped_to_12_db():
    gains_db = np.array([-11.9, -10.5, 3.0, 10.5, 11.9])
    variables, _ = transfer_params(phase_variables("1c"), set_gains(perturbed_variables("1a"), gains_db))
    eq = decode_eq(AdaptiveDecoder(), variables)
    result = np.asarray(eq.gain_db)[:, NEAREST_BANDS]
    np.testing.assert_allclose(
        result, np.broadcast_to(np.clip(gains_db / INITIAL_GATE, -12.0, 12.0), (6, 5)), rtol=2e-6
    )
    np.testing.assert_array_equal(result[:, [0, 4]], np.broadcast_to([-12.0, 12.0], (6, 2)))
    rendered_db = np.asarray(eq.rendered_gain_db)[:, NEAREST_BANDS]
    np.testing.assert_allclose(rendered_db[:, 1:4], np.broadcast_to(gains_db[1:4], (6, 3)), rtol=2e-6)


def test_hard_gates_start_with_the_same_rendered_gains():
    gains_db = np.array([-9.0, -3.0, 0.0, 3.0, 9.0])
    variables, _ = transfer_params(phase_variables("1c"), set_gains(perturbed_variables("1a"), gains_db), "hard")
    eq = decode_eq(AdaptiveDecoder(gates="hard"), variables)
    rendered_db = np.asarray(eq.rendered_gain_db)[:, NEAREST_BANDS]
    np.testing.assert_allclose(rendered_db, np.broadcast_to(gains_db, (6, 5)), atol=1e-5)


@pytest.mark.parametrize(
    ("earlier", "later", "new"),
    [
        ("1a", "1a", ()),
        ("1a", "1b", ("params/residual/", "batch_stats/residual/")),
        ("1b", "1b", ()),
        ("1b", "1c", ("params/decoder/selector/", "params/decoder/gate/", "warm_start/")),
        ("1c", "1c", ()),
        ("1c", "2", ("params/processors/",)),
        ("2", "2", ()),
        (
            "1b",
            "2",
            ("params/processors/", "params/decoder/selector/", "params/decoder/gate/", "warm_start/"),
        ),
        (
            "1a",
            "1c",
            (
                "params/residual/",
                "batch_stats/residual/",
                "params/decoder/selector/",
                "params/decoder/gate/",
                "warm_start/",
            ),
        ),
    ],
)
def test_transferred_and_new_parameters_are_reported(earlier, later, new):
    ours, theirs = phase_variables(later), perturbed_variables(earlier)
    before = leaves(ours)
    variables, report = transfer_params(ours, theirs)
    after, old = leaves(variables), leaves(theirs)
    assert list(after) == list(before)
    assert report.mismatched == report.unused == []
    assert set(report.new) == {name for name in before if name.startswith(new)} == set(before) - set(old)
    assert sorted(report.transferred) == sorted(old)
    more_bands = PHASES[later].has_gates and not PHASES[earlier].has_gates
    heads = tuple(f"params/decoder/{head}/" for head in ("frequency", "gain", "q")) if more_bands else ()
    for name in before:
        if name in report.new:
            expected = (
                before[name]
                if name != "warm_start/decoder/gain_divisor"
                else np.where(np.isin(range(10), NEAREST_BANDS), INITIAL_GATE, 1)
            )
            np.testing.assert_allclose(after[name], expected, rtol=1e-6, err_msg=name)
        elif name.startswith(heads or "-"):
            np.testing.assert_array_equal(after[name][..., NEAREST_BANDS], old[name], err_msg=name)
            np.testing.assert_array_equal(after[name][..., OTHER_BANDS], before[name][..., OTHER_BANDS], err_msg=name)
        else:
            np.testing.assert_array_equal(after[name], old[name], err_msg=name)
    for name, value in leaves(ours).items():
        np.testing.assert_array_equal(value, before[name], err_msg=f"{name}: the fresh tree was written to")


def test_1c_continues_from_a_1c_started_from_1a():
    """Its gain divisors are transferred: resetting them to 1 would change the output, applying them twice too."""
    first, _ = transfer_params(phase_variables("1c"), perturbed_variables("1a"))
    second, report = transfer_params(phase_variables("1c"), first)
    assert report.new == []
    before, after = (decode_eq(AdaptiveDecoder(), variables) for variables in (first, second))
    np.testing.assert_array_equal(after.gain_db, before.gain_db)


def test_merging_keeps_mismatched_variables_and_reports_them():
    new = {"a": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}, "b": jnp.zeros(4), "c": jnp.zeros(())}
    old = {"a": {"kernel": jnp.ones((2, 4)), "bias": jnp.ones(3)}, "c": jnp.ones(()), "d": {"e": jnp.ones(2)}}
    merged, report = merge_variables(new, old)
    assert report == MergeReport(transferred=["a/bias", "c"], new=["b"], mismatched=["a/kernel"], unused=["d/e"])
    expected = {"a": {"kernel": new["a"]["kernel"], "bias": old["a"]["bias"]}, "b": new["b"], "c": old["c"]}
    assert jax.tree.structure(merged) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, merged, expected)


def test_variables_of_the_earlier_phase_only_are_unused():
    variables, report = transfer_params(phase_variables("1a"), perturbed_variables("1b"))
    assert set(leaves(variables)) == set(leaves(phase_variables("1a")))
    assert report.unused == sorted(name for name in leaves(perturbed_variables("1b")) if "/residual/" in name)
    assert report.new == report.mismatched == []


def test_variables_of_another_width_are_not_transferred():
    wide = jax.tree.map(
        lambda leaf: jnp.ones((2 * leaf.shape[0], *leaf.shape[1:])) if leaf.ndim else leaf, perturbed_variables("1a")
    )
    ours = phase_variables("1b")
    variables, report = transfer_params(ours, wide)
    assert report.transferred == []
    assert set(report.mismatched) == set(leaves(wide))
    jax.tree.map(np.testing.assert_array_equal, variables, ours)
