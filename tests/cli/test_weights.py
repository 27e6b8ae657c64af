"""`nmjax weights`: a network that was exported and imported is the same, bit by bit."""

import jax
import numpy as np
import pytest

from nmjax.cli.main import main
from nmjax.mastering.network import load
from nmjax.mastering.pretrained import DEFAULT_MODEL, model_folder, model_names
from nmjax.runtime.weights_file import StoredWeights, read_weights, write_weights


def bits(variables):
    leaves = jax.tree_util.tree_leaves_with_path(dict(variables))
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=[] if x == DEFAULT_MODEL else pytest.mark.slow) for x in model_names()]
)
def test_a_shipped_network_returns_unchanged(tmp_path, name):
    file, folder = tmp_path / "w.safetensors", tmp_path / "run"
    assert main(["weights", "export", "--model", name, "--safetensors", str(file)]) == 0
    assert main(["weights", "import", "--safetensors", str(file), "--out", str(folder)]) == 0
    original, result = load(model_folder(name)), load(folder)
    assert bits(result.variables) == bits(original.variables)
    assert (result.config, result.step) == (original.config, original.step)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["delete"], "cannot be 'delete'"),
        (["export", "import"], "Give one of"),
        (["export", "--out", "x"], "--out has no effect on export"),
        (["import", "--model", "1a"], "--model has no effect on import"),
        (["import"], "--out is missing"),
    ],
)
def test_options_without_effect_are_refused(tmp_path, capsys, arguments, says):
    assert main(["weights", *arguments, "--safetensors", str(tmp_path / "w.safetensors")]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path, capsys):
    file, folder = tmp_path / "w.safetensors", tmp_path / "run"
    folder.mkdir()
    (folder / "mine").touch()
    file.write_text("mine")
    assert main(["weights", "export", "--safetensors", str(file)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["weights", "import", "--safetensors", str(file), "--out", str(folder)]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_arrays_of_another_model_are_refused(tmp_path, capsys):
    file = tmp_path / "w.safetensors"
    assert main(["weights", "export", "--safetensors", str(file)]) == 0
    weights = read_weights(file)
    weights.variables["params"]["decoder"]["surplus"] = np.zeros(2, np.float32)
    write_weights(file, StoredWeights(*weights))
    assert main(["weights", "import", "--safetensors", str(file), "--out", str(tmp_path / "run")]) == 2
    assert "does not fit its config" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
