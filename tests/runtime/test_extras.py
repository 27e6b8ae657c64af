"""A command whose packages are missing says how to install them, and the extra installs just these."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

from nmjax.cli.main import main
from nmjax.runtime.extras import EXTRAS, require_extra

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def package_names(requirements):
    return {requirement.split(">")[0] for requirement in requirements}


@pytest.mark.parametrize("command", [["train", "--phase", "1a"], ["evaluate", "--data", "."], ["analyze", "."]])
def test_a_command_without_its_packages_says_how_to_install_them(tmp_path, monkeypatch, capsys, command):
    find_spec = importlib.util.find_spec
    missing = ("grain", "tensorboardX")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find_spec(name))
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "needs grain, tensorboardX; install with: pip install 'nmjax[train]'." in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_extra_has_the_packages_and_mastering_has_not(extra):
    require_extra(extra, "This test")
    assert set(EXTRAS[extra]) <= package_names(PROJECT["optional-dependencies"][extra])
    assert not set(EXTRAS[extra]) & package_names(PROJECT["dependencies"])
