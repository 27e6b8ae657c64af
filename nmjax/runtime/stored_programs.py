"""Functions compiled once and stored as machine code, for a start that traces and compiles nothing.

JAX's own cache (`compilation_cache.py`) saves the compiler's time. Tracing a function and lowering it take as long
again: 0.18 s for the equalizer, which filters a song in 0.2 s. So whole programs are stored beside it, under a name
that changes with anything that they depend on: the function, the shapes and types of its arguments, the sources of
nmjax, the versions of JAX and Flax, the compiler's flags, and the processor.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import pickle
import secrets
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmjax.runtime import atomic_files
from nmjax.runtime.compilation_cache import cpu_fingerprint
from nmjax.runtime.lazy_jax import jax

_PACKAGE_FOLDER = Path(__file__).parents[1]
_SOURCE_FOLDERS = ("audio", "dsp", "models")
_CONFIG_NAMES = ("jax_enable_x64", "jax_default_matmul_precision", "jax_disable_most_optimizations")
_SUFFIX = ".program"
_FAST_COMPILE: dict[str, str | bool] = {"xla_cpu_use_fusion_emitters": False}
_MAX_STORED = 200  # programs; older ones, such as those of earlier versions, are removed


_instances: weakref.WeakSet[StoredJit] = weakref.WeakSet()


class StoredJit:
    """`jax.jit(function)` for arrays of one set of shapes at a time, whose programs are stored.

    Where there is no folder for compiled programs, within another compiled function, and on another backend than the
    CPU it stores nothing, like `jax.jit`.

    Args:
        function: a pure function of trees of arrays, and of static arguments.
        static_argnums: increasing positions of hashable arguments, whose `repr` tells them apart.
        name: of the function, unique in the program; None for its own.
        compiles_fast: whether XLA's older generator of code makes the program. It takes half the time, and its code is
            as fast for signal processing, but a tenth slower for convolutional networks.
    """

    def __init__(
        self,
        function: Callable,
        static_argnums: Sequence[int] = (),
        name: str | None = None,
        compiles_fast: bool = True,
    ):
        self._function, self._static_argnums = function, tuple(static_argnums)
        self._name = name or f"{function.__module__}.{function.__qualname__}"
        self._compiles_fast = compiles_fast
        self._programs: dict[Any, Callable] = {}
        self._lock = threading.Lock()
        _instances.add(self)

    def __call__(self, *arguments: Any) -> Any:
        """The function's result."""
        static = tuple(arguments[i] for i in self._static_argnums)
        leaves, tree = jax.tree.flatten([x for i, x in enumerate(arguments) if i not in self._static_argnums])
        if any(
            isinstance(x, jax.core.Tracer) for x in leaves
        ):  # within another compiled function, which has its own options
            return self._traced_jit(*arguments)
        if not _stores_programs():
            return self._unstored_jit(*arguments)
        leaves = [x if isinstance(x, jax.Array) else _as_array(x) for x in leaves]
        return self._program(static, tree, leaves)(leaves)

    def load(self, *arguments: Any) -> None:
        """Loads the program for arguments of these shapes and types, without running it, or compiles it."""
        if not _stores_programs():
            return
        leaves, tree = jax.tree.flatten([x for i, x in enumerate(arguments) if i not in self._static_argnums])
        self._program(tuple(arguments[i] for i in self._static_argnums), tree, [_as_array(x) for x in leaves])

    @functools.cached_property
    def _traced_jit(self) -> Callable:
        return jax.jit(self._function, static_argnums=self._static_argnums)

    @functools.cached_property
    def _unstored_jit(self) -> Callable:
        return jax.jit(self._function, static_argnums=self._static_argnums, compiler_options=self._options())

    def _options(self) -> dict[str, str | bool] | None:
        return _fast_compile_options() if self._compiles_fast and jax.default_backend() == "cpu" else None

    def _program(self, static: tuple, tree: Any, leaves: list) -> Callable:
        """The program for leaves of these shapes and types."""
        key = (static, tree, tuple((x.shape, x.dtype) for x in leaves), *(jax.config.values[x] for x in _CONFIG_NAMES))
        with self._lock:
            program = self._programs.get(key)
            if program is None:
                program = self._programs[key] = self._load_or_compile(static, tree, leaves, repr(key))
        return program

    def clear(self) -> None:
        """Frees the programs in memory."""
        with self._lock:
            self._programs.clear()

    def _load_or_compile(self, static: tuple, tree: Any, leaves: list, key: str) -> Callable:
        options = str(self._compiles_fast and _FAST_COMPILE)
        text = "\n".join((self._name, key, options, _environment(), _source_digest(self._function.__module__)))
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = Path(jax.config.jax_compilation_cache_dir) / f"{digest[:32]}{_SUFFIX}"  # pyright: ignore[reportAttributeAccessIssue]
        try:
            compiled, out_tree = _load(path)
        except Exception:  # missing, truncated, or of another kind
            compiled, out_tree = self._compile(static, tree, leaves)
            _store(path, compiled, out_tree)
        return lambda leaves: jax.tree.unflatten(out_tree, compiled(*leaves))

    def _compile(self, static: tuple, tree: Any, leaves: list) -> tuple[Any, Any]:
        """The compiled function of the leaves, and the tree of its result."""
        out_tree = None

        def flat_function(*leaves):
            nonlocal out_tree
            arguments = jax.tree.unflatten(tree, leaves)
            for position, value in zip(self._static_argnums, static, strict=True):
                arguments.insert(position, value)
            out_leaves, out_tree = jax.tree.flatten(self._function(*arguments))
            return out_leaves

        flat_function.__name__ = f"program_{secrets.token_hex(8)}"
        return _compile_freshly(jax.jit(flat_function).lower(*leaves), self._options()), out_tree


def _as_array(x: Any) -> np.ndarray:
    array = np.asarray(x)
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


def clear_programs() -> None:
    """Frees all programs in memory, like `jax.clear_caches`; stored ones are loaded again."""
    for instance in _instances:
        instance.clear()


def stored_jit(static_argnums: Sequence[int] = ()) -> Callable[[Callable], StoredJit]:
    """Decorator: `StoredJit` of the function."""
    return functools.partial(StoredJit, static_argnums=static_argnums)


class _CacheBypass:
    """A context in which JAX's own cache stores nothing; several threads may be in it at once."""

    def __init__(self):
        self._lock, self._num_inside, self._limit = threading.Lock(), 0, 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._num_inside:
                self._limit = jax.config.jax_persistent_cache_min_compile_time_secs  # pyright: ignore[reportAttributeAccessIssue]
                jax.config.update("jax_persistent_cache_min_compile_time_secs", math.inf)
            self._num_inside += 1

    def __exit__(self, *_exception) -> None:
        with self._lock:
            self._num_inside -= 1
            if not self._num_inside:
                jax.config.update("jax_persistent_cache_min_compile_time_secs", self._limit)


_cache_bypass = _CacheBypass()


def _stores_programs() -> bool:
    return bool(jax.config.jax_compilation_cache_dir) and jax.default_backend() == "cpu"  # pyright: ignore[reportAttributeAccessIssue]


@functools.cache
def _fast_compile_options() -> dict[str, str | bool] | None:
    """Options of the compiler; None for a version of XLA that does not know them."""
    try:
        jax.jit(lambda: 0.0).lower().compile(compiler_options=_FAST_COMPILE)
    except jax.errors.JaxRuntimeError:
        return None
    return _FAST_COMPILE


def _compile_freshly(lowered: jax.stages.Lowered, options: dict[str, str | bool] | None) -> jax.stages.Compiled:
    """Compiles without JAX's own cache: programs from there lack functions when they are stored again ("Function …
    not found" where they run). The caller gives the function a new name, and nothing is written."""
    with _cache_bypass:
        return lowered.compile(compiler_options=options)


def _load(path: Path) -> tuple[Any, Any]:
    """The compiled function of the leaves, and the tree of its result."""
    from jax.experimental.serialize_executable import deserialize_and_load

    if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
        raise PermissionError("a program is machine code: only the user's own is run")
    program, template = pickle.loads(path.read_bytes())
    compiled = deserialize_and_load(*program, execution_devices=jax.devices()[:1])
    return compiled, jax.tree.structure(template)


def _store(path: Path, compiled: Any, out_tree: Any) -> None:
    """A full disk or a type that cannot be stored costs time at the next start, not this result."""
    from jax.experimental.serialize_executable import serialize

    with contextlib.suppress(Exception):
        template = jax.tree.unflatten(out_tree, range(out_tree.num_leaves))
        content = pickle.dumps((serialize(compiled), template))
        with atomic_files.atomic_write(path) as temporary:
            temporary.write_bytes(content)
        newest_first = sorted(path.parent.glob(f"*{_SUFFIX}"), key=lambda file: -file.stat().st_mtime)
        for stale in newest_first[_MAX_STORED:]:
            stale.unlink(missing_ok=True)


def _environment() -> str:
    """What a program depends on beside its function, its arguments and JAX's options."""
    import flax
    import jaxlib.version

    versions = (jax.__version__, jaxlib.version.__version__, flax.__version__)
    return "\n".join((*versions, os.environ.get("XLA_FLAGS", ""), str(len(jax.devices())), cpu_fingerprint()))


@functools.cache
def _source_digest(module: str) -> str:
    """Changes with the sources of the signal functions, of the networks, and of a module."""
    digest = hashlib.sha256()
    files = [path for folder in _SOURCE_FOLDERS for path in sorted((_PACKAGE_FOLDER / folder).glob("*.py"))]
    for path in (*files, Path(sys.modules[module].__file__ or "")):
        digest.update(path.read_bytes())  # not its time, which is the same for all in some packages
    return digest.hexdigest()
