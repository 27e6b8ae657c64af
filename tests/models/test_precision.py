"""Every layer states the precision of its products: the default of a GPU is TF32, that of a TPU bfloat16."""

import jax
import pytest

from nmjax.models import MasteringModel, build_model
from nmjax.training.profile import noise_inputs
from nmjax.training.step import make_train_step
from tests.models.helpers import WIDTH, init_shapes, noise
from tests.products import is_highest, precisions
from tests.training.tiny_run import tiny_config

AUDIO = noise((1, 400, 2))


def train_step_precisions(phase, *changes):
    config = tiny_config(phase, "data.channels=2", *changes)
    return precisions(make_train_step(config), *noise_inputs(config))


def model_precisions(model):
    variables = init_shapes(model, AUDIO)
    return precisions(model.apply, variables, AUDIO)


def has_default(precision):
    both = precision if isinstance(precision, tuple) else (precision, precision)
    return all(one == jax.lax.Precision.DEFAULT for one in both)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_every_product_of_the_train_step_has_the_highest_precision(monkeypatch, backend):
    """Forward, gradient, losses and augmentation; a GPU gets the plain convolutions of cuDNN, a CPU other forms."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    result = train_step_precisions("2")
    assert len(result) > 100
    assert all(map(is_highest, result)), [one for one in result if not is_highest(one)]


@pytest.mark.parametrize("phase", ["1a", "1c"])
@pytest.mark.parametrize("encoder", ["tcn", "spectral", "two_branch", "amplitude"])
def test_every_product_of_the_network_has_the_highest_precision(monkeypatch, phase, encoder):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    result = model_precisions(MasteringModel(phase, WIDTH, encoder_kind=encoder))
    assert len(result) > 5
    assert all(map(is_highest, result)), result


def test_the_precision_of_a_config_reaches_every_layer(monkeypatch):
    """All except the equalizer, the processors and the spectral bands, which always have the highest."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    model = build_model(tiny_config("2", "model.precision=default"))
    stated, highest = (model_precisions(model.clone(precision=one)) for one in ("default", "highest"))
    layers = sum(
        1
        for path, _ in jax.tree_util.tree_leaves_with_path(init_shapes(model, AUDIO)["params"])
        if path[-1].key == "kernel"
    )
    assert sum(map(has_default, stated)) == layers
    assert len(stated) == len(highest) and all(map(is_highest, highest))
    assert model.precision == "default"
