"""The networks that come with the program: whole, of the right kind, and used where none is named."""

from __future__ import annotations

import numpy as np
import pytest

import nmjax
from nmjax.errors import BadInputError
from nmjax.inference import weights
from nmjax.inference.network import load
from nmjax.inference.reference import References
from nmjax.inference.wish import Wish
from tests.music import music


@pytest.mark.parametrize("name", weights.names())
def test_each_can_be_loaded_and_answers_with_moderate_settings(name):
    said = []
    network = load(weights.folder(name), said.append)
    assert not said
    assert network.config.phase == name.partition("-")[0]
    level = 10 ** (-20 / 20)
    noise = level * music(8.0)[:, : network.ears].astype(np.float32)
    gain_db = np.asarray(network.predict([noise]).settings.eq.gain_db)
    assert np.isfinite(gain_db).all()
    assert np.abs(gain_db).max() < 12.0


def test_the_best_is_used_where_none_is_named():
    assert weights.BEST in weights.names()
    assert Wish().network(lambda _: None).identity == load(weights.folder(weights.BEST)).identity


def test_with_a_reference_another_one_is(tmp_path):
    """Of which the settings say all; named, it is as it is."""
    towards = References(files=("a.wav",))
    found = Wish(references=towards).network(lambda _: None)
    assert found.config.phase == "2" and not found.has_residual
    assert Wish(references=towards, model="2").network(lambda _: None).has_residual
    assert Wish(references=towards, model="1a").network(lambda _: None).config.phase == "1a"
    found = [nmjax.master(music(3.0), 44_100, **x) for x in ({}, {"reference": (music(4.0, seed=1), 44_100)})]
    assert [x.settings["model"] != found[0].settings["model"] for x in found] == [False, True]
    assert found[1].settings["residual_amount"] == 0.0


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(BadInputError, match=rf"'9z'; there are: {', '.join(weights.names())}"):
        weights.folder("9z")


def test_they_are_small_enough_to_ship():
    for name in weights.names():
        assert sum(p.stat().st_size for p in weights.folder(name).rglob("*") if p.is_file()) < 12_000_000


def test_nothing_in_them_says_where_they_were_made():
    for path in (p for name in weights.names() for p in weights.folder(name).rglob("commit_success.txt")):
        assert "/" not in path.read_text()
