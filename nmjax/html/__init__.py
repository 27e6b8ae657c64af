"""HTML pages from Jinja2 templates.

A page embeds its style and its script, and its content security policy allows only these two, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from nmjax.html.modules import bundle_modules
from nmjax.runtime import number_format

COMPONENTS = Path(__file__).with_name("components")  # web components, which the studio serves and reports embed
_SHARED = Path(__file__).with_name("templates")


def render_page(
    template: Path,
    *,
    styles: Sequence[Path] = (),
    script: Path | None = None,
    policy: Sequence[str] = (),
    **data: object,
) -> str:
    """Render a template that extends `page.html.j2`.

    Every value is escaped, except `Markup`. Characters that HTML cannot hold are replaced by U+FFFD.

    Args:
        template: the file; it can include and import its neighbors and the shared templates.
        styles: CSS files, embedded after the shared stylesheet.
        script: a JavaScript module to embed, with those that it imports.
        policy: directives of the content security policy besides those for style and script, such as "default-src
            'none'".
        data: the variables of the template.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, _SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_replace_control_characters,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fixed"] = number_format.format_fixed
    environment.filters["signed"] = number_format.format_signed
    environment.filters["general"] = number_format.format_general
    environment.filters["clock"] = number_format.format_time
    environment.tests["finite"] = math.isfinite
    style_text = "".join(path.read_text(encoding="utf-8") for path in (_SHARED / "page.css", *styles))
    script_text = bundle_modules(script) if script else ""
    script_source = f"'{_hash_source(script_text)}'" if script else "'none'"
    directives = [
        *policy,
        f"style-src '{_hash_source(style_text)}'",
        f"script-src {script_source}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return environment.get_template(template.name).render(
        page_policy="; ".join(directives), page_style=Markup(style_text), page_script=Markup(script_text), **data
    )


def _hash_source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _replace_control_characters(value: object) -> object:
    """A template's value without control characters and unpaired surrogates."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in value)
