"""The listening test: equal loudness, random order, a correct answer key."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest
import soundfile

from nmjax.evaluation.examples import Example
from nmjax.evaluation.listening_test import MAX_SYSTEMS, render_versions, write_page
from nmjax.evaluation.metrics import lufs
from nmjax.runtime.errors import BadInputError
from tests.synthetic_audio import music

RATE = 44_100


def example(seed):
    target = music(6.0, seed=seed)
    return Example(lufs(target, RATE), target, 0.9 * target, None, None)


def example_versions(seed=1):
    return render_versions(example(seed), {"input": lambda _: None, "loud": lambda x: 30.0 * x.target})


def test_all_versions_have_one_loudness_below_full_scale():
    result = example_versions()
    assert list(result) == ["input", "original", "loud"]
    levels = [lufs(x, RATE) for x in result.values()]
    assert np.ptp(levels) < 1e-6
    assert max(np.abs(x).max() for x in result.values()) <= 0.99 + 1e-9


def test_an_example_without_output_is_left_out():
    assert render_versions(example(1), {"none": lambda _: None}) is None


def test_the_page_encodes_the_system_of_each_letter(tmp_path):
    songs = [
        (f"song {i}", {n: (k + 1) * 0.1 * x for k, (n, x) in enumerate(example_versions(i).items())}) for i in range(6)
    ]
    page = write_page(tmp_path, songs, seed=0)
    text = page.read_text()
    answers = json.loads(base64.b64decode(re.search(r'data-answers="([^"]+)"', text)[1]))
    assert text.count('<section class="song"') == 6 and "song 1" not in text
    assert len({tuple(order) for order in answers}) > 1
    for number, (order, (_, sounds)) in enumerate(zip(answers, songs, strict=True), 1):
        assert sorted(order) == sorted(sounds)
        for letter, name in zip("abc", order, strict=True):
            file = f"audio/{number:02d}-{letter}.flac"
            assert f'src="{file}"' in text
            result, rate = soundfile.read(str(tmp_path / file))
            assert rate == RATE and np.abs(result - sounds[name]).max() < 2e-7
    assert write_page(tmp_path, songs, seed=0).read_text() == text
    assert write_page(tmp_path, songs, seed=1).read_text() != text


@pytest.mark.parametrize("secret", ["reference-same", "matchering"])
def test_the_order_is_not_in_plain_text(tmp_path, secret):
    page = write_page(tmp_path, [("a", {secret: music(1.0), "input": music(1.0)})], seed=0)
    assert page.read_text().count(secret) == 1  # in the introduction


def test_the_largest_number_of_systems_has_a_letter_each(tmp_path):
    versions = {f"system {i}": music(0.5, seed=i) for i in range(MAX_SYSTEMS + 1)}  # the original included
    text = write_page(tmp_path, [("a", versions)], seed=0).read_text()
    assert text.count("<audio") == MAX_SYSTEMS + 1
    assert 'class="version">M</button>' in text and "keys A to M" in text


def test_too_many_systems_are_reported_before_anything_is_written(tmp_path):
    versions = {f"system {i}": music(0.5, seed=i) for i in range(MAX_SYSTEMS + 2)}
    with pytest.raises(BadInputError, match=f"at most {MAX_SYSTEMS} systems"):
        write_page(tmp_path, [("a", versions)], seed=0)
    assert not list(tmp_path.iterdir())
