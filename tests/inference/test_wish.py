"""From words to what is asked for."""

import copy
from pathlib import Path

import pytest

from nmjax.errors import BadInputError
from nmjax.inference.deliver.delivery import Delivery
from nmjax.inference.wish import Wish
from tests.inference.networks import saved


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ({}, [Delivery(-14.0, -1.0, 6.0, "streaming")]),
        ({"deliver": ("cd", "club")}, [Delivery(-9.0, -0.3, 6.0, "cd"), Delivery(-7.0, -0.3, 6.0, "club")]),
        ({"deliver": ("cd", "club"), "max_limiting": 2.0},
         [Delivery(-9.0, -0.3, 2.0, "cd"), Delivery(-7.0, -0.3, 2.0, "club")]),
        ({"lufs": "-16"}, [Delivery(-16.0, -1.0, 6.0, "custom")]),
        ({"lufs": "none"}, [Delivery(None, -1.0, 6.0, "custom")]),
        ({"deliver": ("cd",), "true_peak": "-2.5", "max_limiting": 0.0}, [Delivery(-9.0, -2.5, 0.0, "custom")]),
        ({"lufs": "none", "true_peak": "none"}, [Delivery(None, None, 6.0, "custom")]),
    ],
)  # fmt: skip
def test_deliveries(words, wanted):
    assert list(Wish(**words).deliveries()) == wanted


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
def test_what_means_nothing(words, said):
    with pytest.raises(BadInputError, match=said):
        Wish(**words).options()


def test_which_network(tmp_path, monkeypatch):
    run = saved("1a", tmp_path / "run")
    silent = {"report": lambda _: None}
    assert Wish(settings="x.json").network(**silent) is None
    assert Wish(settings="x.json", ckpt=str(run)).network(**silent).step == 7
    with pytest.raises(BadInputError, match="two networks"):
        Wish(ckpt=str(run), model="1a").network(**silent)
    monkeypatch.setattr("nmjax.inference.weights._FOLDER", tmp_path / "none")
    with pytest.raises(BadInputError, match="give --ckpt DIR"):
        Wish().network(**silent)


def test_it_is_equal_to_its_copy_in_another_process_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wish = Wish(ckpt="run", settings="../mine.json", bands=("1.gain_db=2",)).absolute()
    assert (wish.ckpt, wish.settings) == (str(tmp_path / "run"), str(tmp_path.parent / "mine.json"))
    assert Path(wish.ckpt).is_absolute()
    again = copy.deepcopy(wish)
    assert again == wish
    assert hash(again) == hash(wish)
    assert Wish().absolute() == Wish()
