"""Weights files: every bit returns, others can read them, and damage is reported."""

import json
import struct

import numpy as np
import pytest

from nmjax.runtime.errors import BadInputError
from nmjax.runtime.weights_file import StoredWeights, read_weights, write_weights

SPECIAL = np.array([0.0, -0.0, np.inf, np.nan, 1e-45, 3.4e38], np.float32)
VARIABLES = {
    "params": {"layer": {"kernel": np.arange(6.0, dtype=np.float32).reshape(2, 3).T, "bias": SPECIAL}},
    "batch_stats": {"count": np.int32(7)},
}
WEIGHTS = StoredWeights(VARIABLES, {"phase": "1a", "words": "é"}, 4000, "0123abcd")


def test_every_bit_returns(tmp_path):
    write_weights(tmp_path / "w.safetensors", WEIGHTS)
    result = read_weights(tmp_path / "w.safetensors")
    assert (result.config, result.step, result.checkpoint) == (WEIGHTS.config, 4000, "0123abcd")
    layer = result.variables["params"]["layer"]
    assert layer["bias"].tobytes() == SPECIAL.tobytes()
    np.testing.assert_array_equal(layer["kernel"], VARIABLES["params"]["layer"]["kernel"])
    assert result.variables["batch_stats"]["count"] == 7
    assert result.variables["batch_stats"]["count"].dtype == np.int32


def test_the_file_is_what_the_format_describes(tmp_path):
    """Read with nothing but the format: eight bytes of length, JSON, arrays in row-major order."""
    write_weights(tmp_path / "w.safetensors", WEIGHTS)
    data = (tmp_path / "w.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    entry = header["params/layer/kernel"]
    start, end = entry["data_offsets"]
    values = struct.unpack("<6f", data[8 + length + start : 8 + length + end])
    assert (entry["dtype"], entry["shape"], values) == ("F32", [3, 2], (0.0, 3.0, 1.0, 4.0, 2.0, 5.0))
    assert header["__metadata__"]["format"] == "nmjax weights 1"
    assert json.loads(header["__metadata__"]["config"]) == WEIGHTS.config


def test_a_flipped_bit_or_a_cut_file_is_reported(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, WEIGHTS)
    data = bytearray(path.read_bytes())
    for index in (-1, -20):
        changed = data.copy()
        changed[index] ^= 1
        path.write_bytes(changed)
        with pytest.raises(BadInputError, match="do not match their digest"):
            read_weights(path)
    for content in (data[:-1], data[:20], b""):
        path.write_bytes(content)
        with pytest.raises(BadInputError, match="damaged or not a safetensors file"):
            read_weights(path)


def test_other_files_are_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInputError, match="not a weights file of nmjax"):
        read_weights(tmp_path / "other.safetensors")
    with pytest.raises(BadInputError, match="is missing"):
        read_weights(tmp_path / "none.safetensors")
    with pytest.raises(BadInputError, match=r"must end in \.safetensors"):
        write_weights(tmp_path / "w.npz", WEIGHTS)
    assert not (tmp_path / "w.npz").exists()
