"""JAX, imported when it is first used.

Why: importing it takes 0.4 s of CPU time, and a plain master needs none of it: NumPy renders an equalizer and evaluates
a network that works on levels. Modules that only some masters need JAX in take `jax`, `jnp` and `Array` from here.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nmjax.runtime.errors import BadInputError
from nmjax.runtime.import_pause import without_collection

if TYPE_CHECKING:
    import jax
    import jax.core
    import jax.numpy as jnp
    from jax.tree_util import register_dataclass

    Array: TypeAlias = Any  # of JAX or of NumPy

_after_import: list[Callable[[], Any]] = []


def is_imported() -> bool:
    """Whether JAX is imported, by whomever."""
    return hasattr(sys.modules.get("jax"), "numpy")


def when_imported(action: Callable[[], Any]) -> None:
    """Does something as soon as JAX is imported: now, or later, whoever imports it."""
    if is_imported():
        action()
    else:
        _after_import.append(action)


class _Watcher(importlib.abc.MetaPathFinder):
    """Finds JAX like Python's own finders, and does what waits for it after its import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of JAX, whose loader does what waits; None for any other module."""
        if fullname != "jax":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("jax")
        if spec and spec.loader:
            spec.loader.exec_module = functools.partial(_import_and_act, spec.loader.exec_module)
        return spec


def _import_and_act(import_jax: Callable[[types.ModuleType], None], module: types.ModuleType) -> None:
    with without_collection():
        try:
            import_jax(module)
        except Exception as error:  # an incompatible jaxlib raises whatever it likes
            raise BadInputError(
                f"This needs JAX, which cannot be imported ({error}). Install it again: pip install --force-reinstall "
                "jax jaxlib."
            ) from error
    while _after_import:
        _after_import.pop(0)()


class _LazyModule(types.ModuleType):
    """A module that is imported when something in it is asked for."""

    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module(self.__name__)
        value = getattr(module, name)
        self.__dict__.setdefault(name, value)
        return value


def lazy_jit(**options: Any) -> Callable[[Callable], Callable]:
    """Decorator: `jax.jit` of the function with these options, made when it is first called."""

    def decorate(function: Callable) -> Callable:
        make = functools.cache(lambda: jax.jit(function, **options))
        return functools.wraps(function)(lambda *arguments, **keywords: make()(*arguments, **keywords))

    return decorate


def _register_dataclass(cls: type) -> type:
    """`jax.tree_util.register_dataclass`, once JAX is imported."""
    when_imported(lambda: importlib.import_module("jax").tree_util.register_dataclass(cls))
    return cls


if not TYPE_CHECKING:
    if is_imported():
        Array = sys.modules["jax"].Array | np.ndarray
    else:
        sys.meta_path.insert(0, _Watcher())
        Array = Any  # in signatures, which are checked in tests alone
    jax, jnp, register_dataclass = _LazyModule("jax"), _LazyModule("jax.numpy"), _register_dataclass
