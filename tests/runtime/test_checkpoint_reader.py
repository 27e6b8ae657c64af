"""The light reader of checkpoints against orbax."""

import jax
import numpy as np
import orbax.checkpoint as ocp

from nmjax.runtime import checkpoint_reader
from nmjax.runtime.checkpoints import Checkpoints


def test_reads_what_orbax_reads_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    tree = {
        "params": {
            "a": {"kernel": rng.standard_normal((3, 5, 7)).astype(np.float32)},
            "b": np.arange(4, dtype=np.int32),
        },
        "stats": {"scalar": np.float32(2.5), "half": rng.standard_normal(6).astype(jax.numpy.bfloat16)},
    }
    tree = jax.tree.map(jax.numpy.asarray, tree)
    Checkpoints(tmp_path).save(3, tree, {"x": jax.numpy.zeros(2)}, {"note": "ü", "step": 3})
    expected = ocp.StandardCheckpointer().restore(tmp_path / "3" / "model", jax.tree.map(np.zeros_like, tree))
    read = checkpoint_reader.read_tree(tmp_path / "3" / "model")
    assert jax.tree.structure(read) == jax.tree.structure(expected)
    for path, leaf in jax.tree_util.tree_leaves_with_path(expected):
        found = dict(jax.tree_util.tree_leaves_with_path(read))[path]
        assert found.dtype == leaf.dtype and found.shape == leaf.shape
        assert found.tobytes() == np.asarray(leaf).tobytes()
    assert checkpoint_reader.read_json(tmp_path / "3" / "meta") == {"note": "ü", "step": 3}
