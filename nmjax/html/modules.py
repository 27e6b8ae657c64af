"""JavaScript modules as one script, so that a page can hold them: a file that is opened from a disk cannot import."""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r'^import (?:\{(?P<names>[^}]*)\} from )?"(?P<path>\.{1,2}/[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:(?:async )?function|class|const|let) (?P<name>\w+))", re.MULTILINE)
_ANY_STATEMENT = re.compile(r"^(?:import\b|export\b).*$", re.MULTILINE)


def bundle_modules(entry: Path) -> str:
    """A module and those that it imports, each once, as a script without imports.

    Each module becomes a function that returns what it exports. Two forms are known, which the package's own modules
    use: `import { a, b } from "./file.js";` or without names, and `export` before a function, class or constant.

    Args:
        entry: the module; imported paths are relative to the module that imports.

    Raises:
        ValueError: another form of import or export, or a circle of imports.
    """
    scripts: dict[Path, str] = {}
    _add_module(entry.resolve(), scripts, ())
    return "\n".join(['"use strict";', "const modules = {};", *scripts.values(), ""])


def _add_module(path: Path, scripts: dict[Path, str], importing: tuple[Path, ...]) -> None:
    if path in scripts:
        return
    if path in importing:
        raise ValueError(f"{path.name} imports itself through {importing[-1].name}.")
    text = path.read_text(encoding="utf-8")
    for match in _IMPORT.finditer(text):
        _add_module((path.parent / match["path"]).resolve(), scripts, (*importing, path))

    def read_import(match: re.Match[str]) -> str:
        names = " ".join((match["names"] or "").split())
        return f"const {{ {names} }} = modules[{_key(path.parent / match['path'])}];" if names else ""

    exported = [match["name"] for match in _EXPORT.finditer(text)]
    body = _EXPORT.sub("", _IMPORT.sub(read_import, text))
    if unknown := _ANY_STATEMENT.search(body):
        raise ValueError(f"{path.name} has a statement that cannot be bundled: {unknown.group()}")
    scripts[path] = f"modules[{_key(path)}] = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();"


def _key(path: Path) -> str:
    return f'"{path.name}"'
