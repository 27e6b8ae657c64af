"""The page's words for options that messages name: every option has some, and a plain text stays as it is."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import nmjax
from nmjax.reference.outcome import width_note
from nmjax.runtime.messages import Message, OptionName
from nmjax.studio.page_words import page_words

VALUES = {"reference_weights": "width=0.5", "reference_strength": "0.45", "bits": "float"}


def named_options():
    """The first argument of every `OptionName(…)` in the package."""
    for path in Path(nmjax.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "OptionName" and node.args:
                yield ast.literal_eval(node.args[0])


def test_every_option_that_a_message_names_has_a_control():
    names = set(named_options())
    assert {"max_boost", "reference_strength", "reference_weights", "true_peak", "bits"} <= names
    for name in names:
        words = page_words(Message("try ", OptionName(name, VALUES.get(name, "")), "."))
        assert "--" not in words and "“" in words


def test_a_weight_is_the_slider_of_its_aspect():
    message = width_note("'a.wav'", 6.0, same_song=False)
    assert message.endswith("try --reference-weights width=0.5.")
    assert page_words(message).endswith("try “Width” of the target at 50\N{NO-BREAK SPACE}%.")


@pytest.mark.parametrize(
    ("parts", "terminal", "page"),
    [
        (("a{b}.wav is far; try ", OptionName("reference_strength", "0.45"), "."),
         "a{b}.wav is far; try --reference-strength 0.45.", "a{b}.wav is far; try “Strength” at 45\u00a0%."),
        (("It is far; allow more with ", OptionName("max_boost"), "."),
         "It is far; allow more with --max-boost.", "It is far; allow more with “Largest boost”."),
        (("Write ", OptionName("bits", "float"), "."), "Write --bits float.", "Write “Bits” 32 float."),
    ],
)  # fmt: skip
def test_a_message_names_options_or_controls(parts, terminal, page):
    message = pickle.loads(pickle.dumps(Message(*parts)))
    assert str(message) == terminal and message == terminal
    assert page_words(message) == page
    assert page_words("A plain text with --max-boost.") == "A plain text with --max-boost."
