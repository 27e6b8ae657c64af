"""The networks in words: one for each phase and for each network that comes with the program."""

from nmjax.cli.main import main
from nmjax.mastering import pretrained
from nmjax.mastering.network_names import MODEL_PURPOSES, PHASE_LABELS, network_label
from nmjax.models import PHASES
from tests.random_networks import random_network


def test_every_phase_and_every_network_has_words():
    assert list(PHASE_LABELS) == list(PHASES)
    assert sorted(MODEL_PURPOSES) == pretrained.model_names()
    assert "the default" in MODEL_PURPOSES[pretrained.DEFAULT_MODEL]


def test_a_network_is_named_by_what_it_does():
    assert random_network("1a").label == network_label("1a") == "EQ only (1a)"
    assert network_label("2") == "EQ, dynamics and width (2)"


def test_help_says_what_each_network_is_for_and_shows_same_song_matching_first(capsys):
    assert main(["infer", "--help"]) == 0
    printed = capsys.readouterr().out
    for name, purpose in MODEL_PURPOSES.items():
        assert f"  {name} " in printed and purpose.splitlines()[0] in printed
    assert printed.index("--same-song") < printed.index("networks (--model)")
    assert printed.index("  --same-song") < printed.index("  --model NAME")
