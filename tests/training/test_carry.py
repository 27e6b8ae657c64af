"""Carrying a phase over into a later one: it sounds as before, and says what was carried."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.checkpoint import merge
from nmjax.dsp import response_db
from nmjax.models import Mastering
from nmjax.models.decoder import FIVE_BANDS_HZ, TEN_BANDS_HZ, AdaptiveDecoder, ParametricDecoder
from nmjax.models.phases import GATED
from nmjax.models.stages import StageDecoders
from nmjax.training.carry import band_places, carry_over

WIDTH = 0.05
GATE = 1.0 / (1.0 + np.exp(-2.0))  # where gates stand at the start
Z = jnp.asarray(np.random.default_rng(1).standard_normal((6, 512)), jnp.float32)
AUDIO = jnp.asarray(np.random.default_rng(2).standard_normal((2, 500, 2)), jnp.float32)
POINTS = jnp.geomspace(20.0, 20_000.0, 300)
PLACES = [int(np.argmin([abs(np.log2(f / g)) for g in TEN_BANDS_HZ])) for f in FIVE_BANDS_HZ]
OTHERS = [n for n in range(10) if n not in PLACES]
HUNDREDTH = 10.0 ** (0.01 / 20.0) - 1.0  # 0.01 dB as a share of the peak


def leaves(tree):
    """Name → array."""
    pairs = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in pairs}


@functools.cache
def compiled(model):
    return jax.jit(model.apply)


@functools.cache
def fresh(phase, frequency_map="log"):
    """Untrained variables; 1a is 1b without the residual, 1c is 1b with the other decoder, 2 is 1c with the stages."""
    if phase == "1b":
        quickly = {"xla_backend_optimization_level": 0}
        model = Mastering("1b", WIDTH, frequency_map)
        return jax.jit(model.init, compiler_options=quickly)(jax.random.key(3, impl="rbg"), AUDIO[:, :64])
    variables = dict(fresh("1b", frequency_map))
    if phase == "1a":
        return {name: {k: v for k, v in tree.items() if k != "residual"} for name, tree in variables.items()}
    if phase == "2":
        variables = fresh("1c", frequency_map)
        stages = StageDecoders().init(jax.random.key(5), Z, Z)["params"]
        return {**variables, "params": {**variables["params"], "stages": stages}}
    decoder = AdaptiveDecoder(frequency_map).init(jax.random.key(4), Z)
    params = {**variables["params"], "decoder": decoder["params"]}
    return {**variables, "params": params, "carried": {"decoder": decoder["carried"]}}


@functools.cache
def trained(phase, frequency_map="log"):
    """The variables of `fresh` moved to random places, as training would; gains below what the gate's start allows."""
    rng = np.random.default_rng(7)

    def moved(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        size = 0.01 if "/encoder/out/" in name else 0.012 if "decoder/gain" in name else 0.1
        unit = rng.standard_normal(leaf.shape)
        value = leaf * np.exp(0.3 * unit) if name.endswith("/var") else leaf + size * unit
        return jnp.asarray(value, jnp.float32)

    return jax.tree_util.tree_map_with_path(moved, fresh(phase, frequency_map))


def decoded(decoder, variables, z=Z):
    part = {name: tree["decoder"] for name, tree in variables.items() if "decoder" in tree}
    return compiled(decoder)(part, z)[0]


def with_gains(variables, gains_db):
    """Five gains that are the same for every z."""
    decoder = variables["params"]["decoder"]
    bias = jnp.arctanh(jnp.asarray(gains_db, jnp.float32) / 12.0)
    gain = {"dense": {"kernel": 0.0 * decoder["gain"]["dense"]["kernel"], "bias": bias}}
    return {**variables, "params": {**variables["params"], "decoder": {**decoder, "gain": gain}}}


@pytest.mark.parametrize("phase", ["1a", "1c", "2"])
def test_the_fresh_variables_of_these_tests_are_those_of_the_phase(phase):
    shapes = jax.eval_shape(Mastering(phase, WIDTH).init, jax.random.key(0), AUDIO)
    assert {k: v.shape for k, v in leaves(fresh(phase)).items()} == {
        jax.tree_util.keystr(p, simple=True, separator="/"): x.shape
        for p, x in jax.tree_util.tree_leaves_with_path(shapes)
    }


def test_five_bands_go_to_the_nearest_of_the_ten():
    assert band_places() == PLACES
    assert len(set(PLACES)) == 5


def test_1b_started_from_1a_sounds_the_same_to_the_bit():
    variables, _ = carry_over(fresh("1b"), trained("1a"))
    before, _ = compiled(Mastering("1a", WIDTH))(trained("1a"), AUDIO)
    after, _ = compiled(Mastering("1b", WIDTH))(variables, AUDIO)
    assert np.max(np.abs(before - AUDIO)) > 0.1, "an equaliser that does nothing shows nothing"
    np.testing.assert_array_equal(np.asarray(after).view(np.uint32), np.asarray(before).view(np.uint32))


@pytest.mark.parametrize("frequency_map", ["log", "linear"])
@pytest.mark.parametrize("earlier", ["1a", "1b"])
def test_1c_draws_the_curve_of_the_five_bands(earlier, frequency_map):
    five, ten = ParametricDecoder(frequency_map), AdaptiveDecoder(frequency_map)
    old = trained(earlier, frequency_map)
    variables, _ = carry_over(fresh("1c", frequency_map), old)
    before, after = decoded(five, old), decoded(ten, variables)
    assert 3.0 < np.max(np.abs(before.gain_db)) < 12.0 * GATE, "gains that are worth copying, and need not be held"
    curves = (response_db(eq.bands(), POINTS, 44_100) for eq in (before, after))
    assert np.max(np.abs(np.subtract(*curves))) <= 0.01
    here, there = (v["params"]["decoder"] for v in (variables, old))
    for head in ("frequency", "q"):
        for key in ("kernel", "bias"):  # to the bit; a product five or ten columns wide rounds differently, see below
            carried = here[head]["dense"][key][..., np.array(PLACES)]
            np.testing.assert_array_equal(carried, there[head]["dense"][key], err_msg=f"{head} {key}")
    for name in ("freq_hz", "q"):
        carried = getattr(after, name)[:, np.array(PLACES)]
        np.testing.assert_allclose(carried, getattr(before, name), rtol=1e-5, err_msg=name)


def test_1c_started_from_1b_sounds_the_same():
    """The whole way, the residual included."""
    variables, _ = carry_over(fresh("1c"), trained("1b"))
    before, _ = compiled(Mastering("1b", WIDTH))(trained("1b"), AUDIO)
    after, _ = compiled(Mastering("1c", WIDTH))(variables, AUDIO)
    assert np.max(np.abs(after - before)) <= HUNDREDTH * np.max(np.abs(before))


@pytest.mark.parametrize("earlier", ["1a", "1b", "1c"])
def test_2_started_from_an_earlier_phase_sounds_the_same(earlier):
    """The stages are new, and change no bit."""
    variables, _ = carry_over(fresh("2"), trained(earlier))
    before, _ = compiled(Mastering(earlier, WIDTH))(trained(earlier), AUDIO)
    after, prediction = compiled(Mastering("2", WIDTH))(variables, AUDIO)
    assert np.max(np.abs(after - before)) <= HUNDREDTH * np.max(np.abs(before))
    assert np.max(np.abs(before - AUDIO)) > 0.1
    np.testing.assert_array_equal(prediction.settings.compressor.ratio, np.ones(2))


def test_bands_that_were_not_copied_stand_at_their_places_at_0_db():
    variables, _ = carry_over(fresh("1c"), trained("1a"))
    eq = decoded(AdaptiveDecoder(), variables, 30.0 * Z)
    others = np.array(OTHERS)
    np.testing.assert_array_equal(eq.gain_db[:, others], np.zeros((6, 5)))
    np.testing.assert_allclose(
        eq.freq_hz[:, others], np.broadcast_to(np.array(TEN_BANDS_HZ)[others], (6, 5)), rtol=1e-6
    )
    np.testing.assert_allclose(eq.q[:, others], np.ones((6, 5)), rtol=1e-6)
    np.testing.assert_allclose(eq.gate, np.full((6, 10), GATE), rtol=1e-6)


def test_gains_are_divided_by_the_gate_and_held_to_12_db():
    gains_db = np.array([-11.9, -10.5, 3.0, 10.5, 11.9])
    variables, _ = carry_over(fresh("1c"), with_gains(trained("1a"), gains_db))
    eq = decoded(AdaptiveDecoder(), variables)
    found = np.asarray(eq.gain_db)[:, PLACES]
    np.testing.assert_allclose(found, np.broadcast_to(np.clip(gains_db / GATE, -12.0, 12.0), (6, 5)), rtol=2e-6)
    np.testing.assert_array_equal(found[:, [0, 4]], np.broadcast_to([-12.0, 12.0], (6, 2)))
    heard = np.asarray(eq.rendered_gain_db)[:, PLACES]
    np.testing.assert_allclose(heard[:, 1:4], np.broadcast_to(gains_db[1:4], (6, 3)), rtol=2e-6)


@pytest.mark.parametrize(
    ("earlier", "later", "new"),
    [
        ("1a", "1a", ()),
        ("1a", "1b", ("params/residual/", "batch_stats/residual/")),
        ("1b", "1b", ()),
        ("1b", "1c", ("params/decoder/selector/", "params/decoder/gate/", "carried/")),
        ("1c", "1c", ()),
        ("1c", "2", ("params/stages/",)),
        ("2", "2", ()),
        (
            "1b",
            "2",
            ("params/stages/", "params/decoder/selector/", "params/decoder/gate/", "carried/"),
        ),
        (
            "1a",
            "1c",
            (
                "params/residual/",
                "batch_stats/residual/",
                "params/decoder/selector/",
                "params/decoder/gate/",
                "carried/",
            ),
        ),
    ],
)
def test_what_is_carried_and_what_is_new_is_named_and_true(earlier, later, new):
    ours, theirs = fresh(later), trained(earlier)
    before = leaves(ours)
    variables, names = carry_over(ours, theirs)
    after, old = leaves(variables), leaves(theirs)
    assert list(after) == list(before)
    assert names["unfit"] == names["left"] == []
    assert set(names["new"]) == {name for name in before if name.startswith(new)} == set(before) - set(old)
    assert sorted(names["carried"]) == sorted(old)
    more_bands = later in GATED and earlier not in GATED
    heads = tuple(f"params/decoder/{head}/" for head in ("frequency", "gain", "q")) if more_bands else ()
    for name in before:
        if name in names["new"]:
            wanted = (
                before[name]
                if name != "carried/decoder/gain_divisor"
                else np.where(np.isin(range(10), PLACES), GATE, 1)
            )
            np.testing.assert_allclose(after[name], wanted, rtol=1e-6, err_msg=name)
        elif name.startswith(heads or "-"):
            np.testing.assert_array_equal(after[name][..., PLACES], old[name], err_msg=name)
            np.testing.assert_array_equal(after[name][..., OTHERS], before[name][..., OTHERS], err_msg=name)
        else:
            np.testing.assert_array_equal(after[name], old[name], err_msg=name)
    for name, value in leaves(ours).items():
        np.testing.assert_array_equal(value, before[name], err_msg=f"{name}: the fresh tree was written to")


def test_1c_goes_on_from_a_1c_that_came_from_1a():
    """Its divisors come along: starting them at 1 again would change the sound, applying them twice too."""
    first, _ = carry_over(fresh("1c"), trained("1a"))
    second, names = carry_over(fresh("1c"), first)
    assert names["new"] == []
    before, after = (decoded(AdaptiveDecoder(), variables) for variables in (first, second))
    np.testing.assert_array_equal(after.gain_db, before.gain_db)


def test_merge_keeps_what_does_not_fit_and_names_it():
    new = {"a": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}, "b": jnp.zeros(4), "c": jnp.zeros(())}
    old = {"a": {"kernel": jnp.ones((2, 4)), "bias": jnp.ones(3)}, "c": jnp.ones(()), "d": {"e": jnp.ones(2)}}
    merged, names = merge(new, old)
    assert names == {"carried": ["a/bias", "c"], "new": ["b"], "unfit": ["a/kernel"], "left": ["d/e"]}
    wanted = {"a": {"kernel": new["a"]["kernel"], "bias": old["a"]["bias"]}, "b": new["b"], "c": old["c"]}
    assert jax.tree.structure(merged) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, merged, wanted)


def test_what_only_the_earlier_one_has_is_left():
    variables, names = carry_over(fresh("1a"), trained("1b"))
    assert set(leaves(variables)) == set(leaves(fresh("1a")))
    assert names["left"] == sorted(name for name in leaves(trained("1b")) if "/residual/" in name)
    assert names["new"] == names["unfit"] == []


def test_another_width_does_not_fit_and_stays_fresh():
    wide = jax.tree.map(
        lambda leaf: jnp.ones((2 * leaf.shape[0], *leaf.shape[1:])) if leaf.ndim else leaf, trained("1a")
    )
    ours = fresh("1b")
    variables, names = carry_over(ours, wide)
    assert names["carried"] == []
    assert set(names["unfit"]) == set(leaves(wide))
    jax.tree.map(np.testing.assert_array_equal, variables, ours)
