"""The published JSON Schema against outputs and settings files, by an independent validator."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import nmjax
from nmjax.cli.main import main
from nmjax.mastering.settings.file import settings_from_json
from nmjax.runtime.errors import BadInputError
from tests.mastering.diagnosis.songs import RATE, song
from tests.synthetic_audio import write_audio

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "reference" / "schema.json"


@pytest.fixture(scope="module")
def schema():
    tree = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(tree)
    return tree


def validate(schema, document, kind):
    jsonschema.Draft202012Validator({**schema, "anyOf": [{"$ref": f"#/$defs/{kind}"}]}).validate(document)


def test_the_published_schema_is_that_of_the_program(capsys):
    """Otherwise run `nmjax schema > docs/reference/schema.json`."""
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == SCHEMA_FILE.read_text()


def test_outputs_and_settings_files_follow_it(schema, tmp_path, capsys):
    audio = np.float32(song(8.0) * [1.0, -1.0] + 0.03)
    write_audio(tmp_path / "bad.wav", audio)
    write_audio(tmp_path / "silent.wav", np.zeros((RATE, 2)))
    (tmp_path / "text.wav").write_text("no audio")
    tracks = [str(tmp_path / name) for name in ("bad.wav", "silent.wav")]
    assert main(["inspect", *tracks, "--json"]) == 0
    validate(schema, json.loads(capsys.readouterr().out), "InspectOutput")
    assert main(["infer", tracks[0], "-o", str(tmp_path / "a.wav"), "--json"]) == 0
    single = json.loads(capsys.readouterr().out)
    validate(schema, single, "InferOutput")
    validate(schema, json.loads((tmp_path / "a.wav.json").read_text()), "SettingsFile")
    assert main(["infer", *tracks, str(tmp_path / "text.wav"), "-o", str(tmp_path / "out"), "--json"]) != 0
    many = json.loads(capsys.readouterr().out)
    validate(schema, many, "InferOutput")
    alone, together = single["tracks"][0], many["tracks"][0]
    assert alone.keys() == together.keys()
    assert (alone["input"], alone["findings"]) == (together["input"], together["findings"])
    validate(schema, nmjax.master(audio, RATE).settings, "SettingsFile")


@pytest.mark.parametrize("change", [{"gain_db": 99.0}, {"gain": 1.0}, {"q": "1"}])
def test_it_refuses_what_the_program_refuses(schema, change):
    band = {"freq_hz": 100.0, "gain_db": 1.0, "q": 1.0}
    settings = {"format": "nmjax settings 2", "eq": {"bands": [band]}}
    validate(schema, settings, "SettingsFile")
    with pytest.raises(jsonschema.ValidationError):
        validate(schema, {**settings, "eq": {"bands": [band | change]}}, "SettingsFile")
    with pytest.raises(BadInputError):
        settings_from_json(json.dumps({**settings, "eq": {"bands": [band | change]}}), "a.json")
