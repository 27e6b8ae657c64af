"""Command lines become options dataclasses; help and errors are immediate and name what the user needs."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from nmjax.cli import analyze, evaluate, infer, train
from nmjax.cli.main import COMMANDS, DOCUMENTED_COMMANDS, main
from nmjax.cli.options_page import options_page
from nmjax.cli.parser import CommandParser
from nmjax.mastering.request import MasteringRequest, WeightedFile
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import OptionError, from_keywords

ROOT = Path(__file__).parents[2]


def parse(command, *words):
    return CommandParser(command).parse(words)


def test_options_of_all_kinds_and_in_any_order():
    options = parse(
        infer.COMMAND,
        *("--deliver", "streaming,cd", "a.wav", "--band", "3.gain_db=-1", "--set", "compressor.ratio=2", "-o", "out"),
        *("b.wav", "--band", "3.q=2", "--bypass", "eq", "--reference", "r.wav=2", "--reference", "s.wav", "--force"),
        *("--reference-weights", "width=0.5,tone=1", "--lufs", "-16", "--true-peak", "none"),
    )
    assert options.inputs == ("a.wav", "b.wav")
    assert options.out == Path("out")
    assert options.force and not options.quiet
    assert options.mastering_request == MasteringRequest(
        deliver=("streaming", "cd"),
        bands={3: {"gain_db": -1.0, "q": 2.0}},
        processors={"compressor": {"ratio": 2.0}},
        bypass=("eq",),
        references=(WeightedFile("r.wav", 2.0), WeightedFile("s.wav")),
        reference_weights={"width": 0.5, "tone": 1.0},
        lufs=-16.0,
        true_peak="none",
    )


def test_settings_between_the_options_of_train():
    options = parse(train.COMMAND, "train.steps=2", "--phase", "1B", "--data", "a", "seed=1", "--data", "b=2", "x=[1]")
    assert (options.phase, options.data, options.overrides) == (
        "1b",
        ("a", "b=2"),
        ("train.steps=2", "seed=1", "x=[1]"),
    )


@pytest.mark.parametrize(
    ("words", "seconds"), [([], None), (["--window-seconds"], 6.0), (["--window-seconds", "2"], 2.0)]
)
def test_a_flag_with_an_optional_value(words, seconds):
    assert parse(analyze.COMMAND, "music", "--out", "o", *words).window_seconds == seconds


def test_python_keywords_build_the_same_options():
    keywords = {"deliver": "cd", "lufs": "none", "bypass": ["eq"], "bands": {3: {"gain_db": -1.0}}, "eq_amount": 0.5}
    words = ["--deliver", "cd", "--lufs", "none", "--bypass", "eq", "--band", "3.gain_db=-1", "--eq-amount", "0.5"]
    request = parse(infer.COMMAND, "a.wav", *words).mastering_request
    assert from_keywords(MasteringRequest, "nmjax.master", **keywords) == request
    with pytest.raises(TypeError, match=r"nmjax\.master has no option 'lufz'; did you mean 'lufs'\?"):
        from_keywords(MasteringRequest, "nmjax.master", lufz=-9.0)
    with pytest.raises(OptionError, match="eq_amount must be 0 to 2; it is 3"):
        from_keywords(MasteringRequest, "nmjax.master", eq_amount=3.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--band", "3gain=1"], "--band cannot be '3gain=1'; write 3.gain_db=-1"),
        (["--band", "x.gain_db=1"], "--band cannot be 'x.gain_db=1'"),
        (["--band", "1.gain_db=loud"], "--band 1.gain_db must be a number; it is 'loud'"),
        (["--band", "1.gain_db=1", "--band", "1.gain_db=2"], "--band gives two values of 1.gain_db"),
        (["--set", "ratio=2"], "--set cannot be 'ratio=2'; write compressor.ratio=2"),
        (["--bypass", "eqq"], "--bypass cannot be 'eqq'; did you mean 'eq'?"),
        (["--eq-amount", "half"], "--eq-amount must be a number; it is 'half'."),
        (["--eq-amount", "2.1"], "--eq-amount must be 0 to 2; it is 2.1."),
        (["--residual-amount", "-1"], "--residual-amount must be 0 to 2; it is -1."),
        (["--lufs", "loud"], "--lufs must be a number, keep, clean, reference or none; it is 'loud'."),
        (["--lufs", "3"], "--lufs must be -60 to 0; it is 3."),
        (["--lufs", ""], "--lufs must be a number"),
        (["--true-peak", "1"], "--true-peak must be -30 to 0; it is 1."),
        (["--true-peak", "1e400"], "--true-peak must be -30 to 0; it is inf."),
        (["--max-limiting", "much"], "--max-limiting must be a number; it is 'much'."),
        (["--deliver", "radio"], "--deliver cannot be 'radio'; choose one of: streaming, cd, club."),
        (["--bits", "20"], "--bits cannot be '20'; choose one of: 16, 24, 32, float."),
        (["--analysis-seconds", "1"], "--analysis-seconds must be 3 or more; it is 1."),
        (["--settings", ""], "--settings has no value."),
        (["--solo="], "--solo has no value."),
        (["--model", ""], "--model has no value."),
        (["--target", ""], "--target has no value."),
        (["--workers", "0"], "--workers must be 1 to 1000; it is 0."),
        (["--workers", "-3"], "--workers must be 1 to 1000; it is -3."),
        (["--workers", "x"], "--workers must be a whole number; it is 'x'."),
        (["--reference", "a.wav=0"], "--reference a.wav=0: the weight must be above 0"),
        (["--reference", "a.wav=inf"], "below a million"),
        (["--reference-strength", "2"], "--reference-strength must be 0 to 1; it is 2."),
        (["--reference-strength", "nan"], "--reference-strength must be 0 to 1; it is nan."),
        (["--reference-weights", "tone"], "--reference-weights tone is ''; give a number from 0 to 1"),
        (["--reference-weights", "tone=1,tone=0"], "--reference-weights gives two weights of tone"),
        (["--lufs"], "--lufs has no value; write --lufs LUFS. See 'nmjax infer --help'."),
        (["-o"], "--out has no value; write --out PATH. See 'nmjax infer --help'."),
        (["--force=1"], "--force takes no value; write --force alone. See 'nmjax infer --help'."),
        (["--foo"], "There is no option --foo; "),
        (["--foo"], "'nmjax infer --help' lists all options."),
        (["--bogus"], "There is no option --bogus; 'nmjax infer --help' lists all options."),
        (["--lufz=-9"], "There is no option --lufz; did you mean --lufs?"),
        (["--refrence", "r.wav"], "There is no option --refrence; did you mean --reference?"),
        (
            ["--del", "cd"],
            "There is no option --del; did you mean --deliver?",
        ),  # abbreviations would change with each new option
    ],
)
def test_invalid_options_of_infer(words, message):
    with pytest.raises(BadInputError) as caught:
        parse(infer.COMMAND, "track.wav", *words)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (infer.COMMAND, [], "Give a track: nmjax infer TRACK. See 'nmjax infer --help'."),
        (train.COMMAND, ["--phase", "3"], "--phase cannot be '3'; choose one of: 1a, 1b, 1c, 2."),
        (train.COMMAND, [], "Add --phase PHASE. See 'nmjax train --help'."),
        (train.COMMAND, ["--phase", "1a", "--dropout", "0.1"], "There is no option --dropout; "),
        (train.COMMAND, ["--phase", "1a", "--seed", "x"], "--seed must be a whole number; it is 'x'."),
        (evaluate.COMMAND, ["--data", "m"], "Add --out DIR. See 'nmjax evaluate --help'."),
        (evaluate.COMMAND, ["--data", "m", "--out", "o", "--seed", "-1"], "--seed must be 0 to 4294967295"),
        (evaluate.COMMAND, ["--data", "m", "--out", "o", "more"], "'more' is not an option of 'nmjax evaluate'"),
        (evaluate.COMMAND, ["--data", "m", "--out", "o", "--conditions", "tone,loud"], "--conditions cannot be 'loud'"),
        (evaluate.COMMAND, ["--data", "m", "--out", "o", "--seconds", "3"], "--seconds must be 5 to 600; it is 3."),
        (evaluate.COMMAND, ["--data", "m", "--out", "o", "--excerpts-per-song", "0"], "must be 1 to 1000; it is 0."),
        (analyze.COMMAND, ["m", "--out", "o", "--max-tracks", "1"], "--max-tracks must be 2 or more; it is 1."),
        (
            analyze.COMMAND,
            ["m", "--out", "o", "--window-seconds", "0.2"],
            "--window-seconds must be 1 to 60; it is 0.2.",
        ),
        (analyze.COMMAND, ["m", "--out", "o", "--gate-threshold", "1"], "must be between 0 and 1; it is 1."),
        (analyze.COMMAND, ["m", "--out", "o", "--listen"], "There is no option --listen; "),
    ],
)
def test_invalid_options_of_other_commands(command, words, message):
    with pytest.raises(BadInputError) as caught:
        parse(command, *words)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["infre"], "There is no command 'infre'; did you mean 'infer'? See 'nmjax --help'."),
        ([], "Give a command; choose one of: infer, studio, inspect, train, "),
    ],
)
def test_an_unknown_command_names_the_nearest_one(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_opens_with_examples_that_parse(name, capsys):
    assert main([name, "--help"]) == 0
    summary, _, examples, *rest = capsys.readouterr().out.splitlines()
    assert summary == COMMANDS[name].summary
    assert examples == "examples:"
    assert rest[: len(COMMANDS[name].examples)] == [f"  nmjax {example}" for example in COMMANDS[name].examples]
    assert len(COMMANDS[name].examples) in (2, 3)
    for example in COMMANDS[name].examples:
        command, *words = re.split("[#>]", example)[0].split()  # without comment and redirection
        if words != ["--help"]:
            parse(COMMANDS[command], *words)


def test_help_and_errors_are_immediate_and_import_no_jax():
    program = (
        "import sys; from nmjax.cli.main import main; code = main(sys.argv[1:])\n"
        "assert not {'jax', 'flax', 'scipy', 'numpy'} & set(sys.modules), sorted(sys.modules); sys.exit(code)"
    )
    for words, code in ((["infer", "--help"], 0), (["train", "--help"], 0), (["infer", "a.wav", "--foo"], 2)):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process.returncode == code, process.stderr
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 0.5  # s, of an otherwise idle CPU


def test_the_reference_page_is_up_to_date():
    """Otherwise run `nmjax options > docs/reference/options.md`."""
    assert (ROOT / "docs" / "reference" / "options.md").read_text() == options_page(DOCUMENTED_COMMANDS)
