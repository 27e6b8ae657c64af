"""From words to what is asked for."""

import copy
from pathlib import Path

import pytest

from nmjax.mastering.delivery.plan import DeliverySpec
from nmjax.mastering.request import MasteringRequest
from nmjax.runtime.errors import BadInputError
from tests.random_networks import save_network


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ({}, [DeliverySpec(-14.0, -1.0, 6.0, "streaming")]),
        ({"deliver": ("cd", "club")}, [DeliverySpec(-9.0, -0.3, 6.0, "cd"), DeliverySpec(-7.0, -0.3, 6.0, "club")]),
        ({"deliver": ("cd", "club"), "max_limiting": 2.0},
         [DeliverySpec(-9.0, -0.3, 2.0, "cd"), DeliverySpec(-7.0, -0.3, 2.0, "club")]),
        ({"lufs": "-16"}, [DeliverySpec(-16.0, -1.0, 6.0, "custom")]),
        ({"lufs": "none"}, [DeliverySpec(None, -1.0, 6.0, "custom")]),
        ({"deliver": ("cd",), "true_peak": "-2.5", "max_limiting": 0.0}, [DeliverySpec(-9.0, -2.5, 0.0, "custom")]),
        ({"lufs": "none", "true_peak": "none"}, [DeliverySpec(None, None, 6.0, "custom")]),
    ],
)  # fmt: skip
def test_deliveries(words, wanted):
    assert list(MasteringRequest(**words).delivery_specs()) == wanted


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"deliver": ("",)}, "no delivery ''"),
        ({"lufs": ""}, "--lufs"),
        ({"true_peak": "1e400"}, "inf dBTP"),
        ({"max_limiting": float("nan")}, "nan dB"),
        ({"seconds": float("inf")}, "--analyse-seconds"),
        ({"seconds": float("nan")}, "--analyse-seconds"),
        ({"bits": "8"}, "16, 24, 32, float"),
    ],
)
def test_invalid_values_are_reported(words, said):
    with pytest.raises(BadInputError, match=said):
        MasteringRequest(**words).resolve_options()


def test_network_selection(tmp_path, monkeypatch):
    run = save_network("1a", tmp_path / "run")
    silent = {"report": lambda _: None}
    assert MasteringRequest(settings="x.json").load_network(**silent) is None
    assert MasteringRequest(settings="x.json", ckpt=str(run)).load_network(**silent).step == 7
    with pytest.raises(BadInputError, match="two networks"):
        MasteringRequest(ckpt=str(run), model="1a").load_network(**silent)
    monkeypatch.setattr("nmjax.mastering.pretrained._WEIGHTS_FOLDER", tmp_path / "none")
    with pytest.raises(BadInputError, match="give --ckpt DIR"):
        MasteringRequest().load_network(**silent)


def test_a_request_equals_its_copy_in_another_process_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wish = MasteringRequest(ckpt="run", settings="../mine.json", bands=("1.gain_db=2",)).with_absolute_paths()
    assert (wish.ckpt, wish.settings) == (str(tmp_path / "run"), str(tmp_path.parent / "mine.json"))
    assert Path(wish.ckpt).is_absolute()
    again = copy.deepcopy(wish)
    assert again == wish
    assert hash(again) == hash(wish)
    assert MasteringRequest().with_absolute_paths() == MasteringRequest()
