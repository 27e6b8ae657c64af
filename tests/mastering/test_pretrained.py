"""The networks that come with the program: whole, of the right kind, and used where none is named."""

from __future__ import annotations

import numpy as np
import pytest

import nmjax
from nmjax.mastering import pretrained
from nmjax.mastering.network import load
from nmjax.mastering.request import MasteringRequest, WeightedFile
from nmjax.mastering.resolve import load_network, resolve_options
from nmjax.mastering.types import MasteringOptions
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music, write_audio


@pytest.mark.parametrize("name", pretrained.model_names())
def test_each_network_loads_and_predicts_moderate_settings(name):
    messages = []
    network = load(pretrained.model_folder(name), messages.append)
    assert not messages
    assert network.config.phase == name.partition("-")[0]
    level = 10 ** (-20 / 20)
    noise = level * music(8.0)[:, : network.encoder_inputs].astype(np.float32)
    gain_db = np.asarray(network.predict([noise]).settings.eq.gain_db)
    assert np.isfinite(gain_db).all()
    assert np.abs(gain_db).max() < 12.0


def test_the_best_network_is_the_default():
    assert pretrained.DEFAULT_MODEL in pretrained.model_names()
    assert (
        load_network(MasteringRequest(), log=lambda _: None).checkpoint_digest
        == load(pretrained.model_folder(pretrained.DEFAULT_MODEL)).checkpoint_digest
    )


def test_a_reference_selects_another_network(tmp_path):
    """Of which the settings say all."""
    path = write_audio(tmp_path / "a.wav", music(4.0))
    target = resolve_options(MasteringRequest(references=(WeightedFile(str(path)),))).reference_target
    options = MasteringOptions(reference_target=target)

    def load_for(model=None, **request):
        return load_network(MasteringRequest(model=model, **request), options, lambda _: None)

    with pytest.raises(BadInputError, match="this network of phase 2 has no residual"):
        load_for(residual_amount=0.5)
    result = load_for()
    assert result.config.phase == "2" and not result.has_residual
    assert load_for("1b-restore").has_residual
    assert load_for("1a").config.phase == "1a"
    result = [nmjax.master(music(3.0), 44_100, **x) for x in ({}, {"reference": (music(4.0, seed=1), 44_100)})]
    assert [x.settings["model"] != result[0].settings["model"] for x in result] == [False, True]
    assert result[1].settings["residual_amount"] == 0.0


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(BadInputError, match=rf"'9z'; there are: {', '.join(pretrained.model_names())}"):
        pretrained.model_folder("9z")


def test_shipped_networks_are_small():
    for name in pretrained.model_names():
        assert sum(p.stat().st_size for p in pretrained.model_folder(name).rglob("*") if p.is_file()) < 12_000_000
