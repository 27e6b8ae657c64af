"""From options to checked mastering options."""

import copy
import json
import re

import pytest

from nmjax.mastering.delivery.spec import PRESETS, DeliverySpec
from nmjax.mastering.option_checks import check_network_options
from nmjax.mastering.request import CHAIN_NAMES, MasteringRequest
from nmjax.mastering.request_readers import Section, WeightedFile, read_band, read_weighted_file
from nmjax.mastering.resolve import custom_delivery_note, load_network, resolve_delivery_specs, resolve_options
from nmjax.mastering.settings.file import settings_from_json
from nmjax.mastering.settings.schema import MAX_AMOUNT
from nmjax.mastering.types import MasteringOptions
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import option_specs
from tests.random_networks import random_network, save_network

PHASE_1A = {"phase": "1a", "step": 7, "checkpoint": "fedcba9876543210"}
PHASE_1B = {**PHASE_1A, "phase": "1b"}


@pytest.mark.parametrize(
    ("options", "specs"),
    [
        ({}, [DeliverySpec(-14.0, -1.0, 6.0, "streaming")]),
        ({"deliver": ("cd", "club")}, [DeliverySpec(-9.0, -0.3, 6.0, "cd"), DeliverySpec(-7.0, -0.3, 6.0, "club")]),
        (
            {"deliver": ("cd", "club"), "max_limiting": 2.0},
            [DeliverySpec(-9.0, -0.3, 2.0, "cd"), DeliverySpec(-7.0, -0.3, 2.0, "club")],
        ),
        ({"lufs": -16.0}, [DeliverySpec(-16.0, -1.0, 6.0, "custom")]),
        ({"lufs": "none"}, [DeliverySpec(None, -1.0, 6.0, "custom")]),
        ({"deliver": ("cd",), "true_peak": -2.5, "max_limiting": 0.0}, [DeliverySpec(-9.0, -2.5, 0.0, "custom")]),
        ({"lufs": "keep"}, [DeliverySpec(None, -1.0, 6.0, "keep", "keep")]),
        ({"lufs": "clean"}, [DeliverySpec(None, -1.0, 2.0, "clean", "clean")]),
        ({"lufs": "clean", "max_limiting": 3.0}, [DeliverySpec(None, -1.0, 3.0, "clean", "clean")]),
        ({"lufs": "none", "true_peak": "none"}, [DeliverySpec(None, None, 6.0, "custom")]),
    ],
)
def test_deliveries(options, specs):
    assert list(resolve_delivery_specs(MasteringRequest(**options))) == specs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.flac", WeightedFile("a.flac")),
        ("a.flac=0.5", WeightedFile("a.flac", 0.5)),
        ("a.flac@1:20-1:50", WeightedFile("a.flac", 1.0, Section(80.0, 110.0))),
        ("a.flac@80-110.5=2", WeightedFile("a.flac", 2.0, Section(80.0, 110.5))),
        ("a.flac@1:02:03-1:02:33", WeightedFile("a.flac", 1.0, Section(3_723.0, 3_753.0))),
        ("me@home.flac", WeightedFile("me@home.flac")),
        ("a.flac@chorus", WeightedFile("a.flac@chorus")),
    ],
)
def test_files_with_sections_and_weights(text, expected):
    assert read_weighted_file(text) == expected


def test_a_file_whose_name_ends_like_a_section_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a@1-2", "b=2"):
        (tmp_path / name).touch()
        assert read_weighted_file(name) == WeightedFile(name)
    assert read_weighted_file("a@1-2=3") == WeightedFile("a@1-2", 3.0)


@pytest.mark.parametrize("text", ["a.flac@chorus", "a.flac@chorus=2", "a.flac@1:20", "a.flac@"])
def test_what_is_no_section_of_a_file_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.flac").touch()
    section = text.partition("@")[2].partition("=")[0]
    with pytest.raises(ValueError, match=f"'{section}' is no section; give its times, as in a.flac@1:20-1:50."):
        read_weighted_file(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("side.1", "cannot be 'side.1'; write side.3.gain_db=-1"),
        ("1", "cannot be '1'; write 3.gain_db=-1"),
        ("side.1.gain_db=x", "side.1.gain_db must be a number; it is 'x'."),
        ("1.gain_db=x", "1.gain_db must be a number; it is 'x'."),
    ],
)
def test_unreadable_bands_are_named_as_they_were_given(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        read_band(text)


@pytest.mark.parametrize("options", [{"lufs": -9.0}, {"true_peak": -0.3}, {"lufs": -9.0, "true_peak": -0.3}])
def test_the_levels_of_a_preset_keep_its_name(options):
    request = MasteringRequest(deliver=("cd",), **options)
    specs = resolve_delivery_specs(request)
    assert specs == (PRESETS["cd"],)
    assert custom_delivery_note(request, specs) == ""


def test_other_levels_are_reported_as_a_custom_delivery():
    request = MasteringRequest(deliver=("cd",), lufs=-11.0, true_peak="none")
    note = custom_delivery_note(request, resolve_delivery_specs(request))
    assert note == "Delivery 'custom': −11 LUFS, no limiter; the preset 'cd' is −9 LUFS, −0.3 dBTP."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deliver": ("",)}, "deliver cannot be ''; choose one of: streaming, cd, club."),
        ({"deliver": ("cd", "cd")}, "--deliver names 'cd' twice"),
        ({"deliver": ("cd", "club"), "lufs": -9.0}, "one delivery"),
        ({"lufs": float("nan")}, "lufs must be -60 to 0; it is nan."),
        ({"lufs": 3.0}, "lufs must be -60 to 0; it is 3."),
        ({"intensity": 2.1}, "intensity must be 0 to 2; it is 2.1."),
        ({"intensity": 1.5, "settings": "s.json"}, "--intensity has no effect with --settings"),
        ({"intensity": 0.0, "eq_amount": 0.5}, "--eq-amount has no effect with --intensity 0"),
        ({"lufs": "clean", "true_peak": "none"}, "--lufs clean depends on the ceiling"),
        ({"true_peak": float("inf")}, "true_peak must be -30 to 0; it is inf."),
        ({"max_limiting": float("nan")}, "max_limiting must be 0 to 30; it is nan."),
        ({"analysis_seconds": 1.0}, "analysis_seconds must be 3 or more; it is 1."),
        ({"analysis_seconds": float("inf")}, "analysis_seconds must be 3 or more"),
        ({"analysis_seconds": float("nan")}, "analysis_seconds must be 3 or more"),
        ({"eq_amount": 2.1}, "eq_amount must be 0 to 2; it is 2.1."),
        ({"residual_amount": -1.0}, "residual_amount must be 0 to 2; it is -1."),
        ({"bits": "8"}, "16, 24, 32, float"),
        ({"bypass": ("eqq",)}, "'eqq'; did you mean 'eq'"),
        ({"bands": {1: {"gain": 1.0}}}, "'gain'; did you mean 'gain_db'"),
        ({"bands": {1: {"gain_db": 99.0}}}, "99.* 24"),
        ({"bands": {1: {"freq_hz": float("nan")}}}, "Band 1: freq_hz"),
        ({"settings": "absent.json"}, "'absent.json' is missing"),
        ({"lufs": "reference"}, "add --reference FILE or --target FILE"),
        ({"references": (WeightedFile("a.wav"),), "target": "t.json"}, "give one of them"),
        ({"references": (WeightedFile("a.wav"),), "settings": "s.json"}, "give one of them"),
        ({"settings": "s.json", "lufs": "reference"}, "give a number"),
        ({"solo": "eq", "bypass": ("residual",)}, "do not give --bypass"),
    ],
)
def test_invalid_values_are_rejected(options, message):
    with pytest.raises(BadInputError, match=message):
        resolve_options(MasteringRequest(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference_strength": 0.5}, "--reference-strength has no effect without --reference"),
        ({"reference_weights": {"width": 0.5}}, "--reference-weights has no effect without --reference"),
        ({"same_song": True}, "--same-song has no effect without --reference"),
        ({"settings": "s.json", "analysis_seconds": 30.0}, "--analysis-seconds has no effect with --settings"),
        ({"bypass": ("eq",), "eq_amount": 0.5}, "--eq-amount has no effect where the EQ is bypassed"),
        ({"solo": "residual", "bands": {1: {"q": 1.0}}}, "--band has no effect where the EQ is bypassed"),
        ({"bypass": ("residual",), "residual_amount": 0.5}, "--residual-amount has no effect"),
        ({"bands": {1: {"q": 1.0}}, "eq_amount": 0.0}, "--band has no effect with --eq-amount 0"),
        (
            {"target": "t.json", "reference_strength": 0.0, "same_song": True},
            "--same-song has no effect with --reference-strength 0",
        ),
        ({"solo": "eq", "processors": {"width": {"low": 1.0}}}, "--set width has no effect"),
        ({"true_peak": "none", "max_limiting": 3.0}, "--max-limiting has no effect with --true-peak none"),
    ],
)
def test_options_without_effect_are_rejected(options, message):
    with pytest.raises(BadInputError, match=message):
        resolve_options(MasteringRequest(**options))


def eq_settings(**values):
    """Settings of an equalizer written by hand."""
    band = {"freq_hz": 100.0, "gain_db": 1.0, "q": 1.0}
    return settings_from_json(
        json.dumps({"format": "nmjax settings 2", "eq": {"bands": [band]}, **values}), "hand.json"
    )


@pytest.mark.parametrize("request_", [{"residual_amount": 0.5}, {"solo": "residual"}])
@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("1a", MasteringOptions(), "this network of phase 1a has no residual; name another one with --model."),
        (None, MasteringOptions(settings=eq_settings(residual_amount=0)), "the residual_amount of the settings is 0."),
        ("1b", MasteringOptions(settings=eq_settings()), "the settings do not name the network"),
        ("1b", MasteringOptions(settings=eq_settings(model=PHASE_1A)), "phase 1a, which has no residual."),
        (
            None,
            MasteringOptions(settings=eq_settings(model=PHASE_1B, z=[0.0] * 512)),
            "name it with --model or --ckpt.",
        ),
        ("1b", MasteringOptions(settings=eq_settings(model=PHASE_1B, z=[0.0] * 512)), "another network"),
    ],
)
def test_residual_options_without_a_residual_are_rejected(request_, network, options, message):
    with pytest.raises(BadInputError, match=f"^--(residual-amount|solo residual) has no effect: .*{message}"):
        check_network_options(MasteringRequest(**request_), options, network and random_network(network))


def test_residual_options_with_a_residual_are_accepted():
    network = random_network("1b")
    model = {"phase": "1b", "step": 7, "checkpoint": network.checkpoint_digest}
    for options in (MasteringOptions(), MasteringOptions(settings=eq_settings(model=model, z=[0.0] * 512))):
        check_network_options(MasteringRequest(residual_amount=0.5), options, network)
        check_network_options(MasteringRequest(solo="residual"), options, network)


def test_solo_of_a_processor_that_nothing_has_is_rejected():
    message = "--solo width has no effect: a network of phase 1b has no width; add one with --set"
    with pytest.raises(BadInputError, match=message):
        check_network_options(MasteringRequest(solo="width"), MasteringOptions(), random_network("1b"))
    settings = MasteringOptions(settings=eq_settings())
    with pytest.raises(BadInputError, match="--solo width has no effect: the settings have no width"):
        check_network_options(MasteringRequest(solo="width"), settings, None)
    for options in (settings, MasteringOptions()):
        request = MasteringRequest(solo="width", processors={"width": {"low": 0.5}})
        check_network_options(request, options, random_network("1b"))
    settings = MasteringOptions(settings=eq_settings(width={"low": 0.5}))
    check_network_options(MasteringRequest(solo="width"), settings, None)


def test_a_network_that_settings_do_not_use_is_reported(tmp_path):
    ckpt, messages = str(save_network("1a", tmp_path / "run")), []
    for values in ({"residual_amount": 0}, {}):
        load_network(MasteringRequest(ckpt=ckpt), MasteringOptions(settings=eq_settings(**values)), messages.append)
    assert messages == ["The network has no effect: only a residual needs one, and the settings have none."]


def test_network_selection(tmp_path, monkeypatch):
    ckpt = str(save_network("1a", tmp_path / "run"))

    settings = MasteringOptions(settings=eq_settings())

    def load(options=None, **request):
        return load_network(MasteringRequest(**request), options, lambda _: None)

    assert load(settings) is None
    assert load(settings, ckpt=ckpt).step == 7
    with pytest.raises(BadInputError, match="two networks"):
        load(ckpt=ckpt, model="1a")
    monkeypatch.setattr("nmjax.mastering.pretrained._WEIGHTS_FOLDER", tmp_path / "none")
    with pytest.raises(BadInputError, match="give --ckpt DIR"):
        load()


def test_a_request_equals_its_copy_in_another_process_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    request = MasteringRequest(
        ckpt="run", settings="../mine.json", bands={1: {"gain_db": 2.0}}, references=(WeightedFile("a.wav", 2.0),)
    ).with_absolute_paths()
    assert (request.ckpt, request.settings) == (str(tmp_path / "run"), str(tmp_path.parent / "mine.json"))
    assert request.references == (WeightedFile(str(tmp_path / "a.wav"), 2.0),)
    again = copy.deepcopy(request)
    assert again == request
    assert hash(again) == hash(request)
    assert MasteringRequest().with_absolute_paths() == MasteringRequest()


def test_names_and_ranges_agree_with_the_code_that_uses_them():
    specs = option_specs(MasteringRequest)
    assert ("eq", *PROCESSORS, "residual") == CHAIN_NAMES
    assert specs["deliver"].choices == tuple(PRESETS)
    for name in ("eq_amount", "residual_amount"):
        assert (specs[name].low, specs[name].high) == (0.0, MAX_AMOUNT)
    for name, field in (("lufs", "lufs"), ("true_peak", "true_peak_db"), ("max_limiting", "max_limiting_db")):
        for limit, beyond in ((specs[name].low, -0.1), (specs[name].high, 0.1)):
            DeliverySpec(**{field: limit})
            with pytest.raises(BadInputError):
                DeliverySpec(**{field: limit + beyond})
