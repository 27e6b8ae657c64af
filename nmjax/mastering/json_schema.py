"""The JSON Schema of everything that programs read and write: settings files, and the outputs of `--json`."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from nmjax.mastering.json_models import InferOutput, InspectOutput
from nmjax.mastering.settings.schema import SettingsFile


def json_schema() -> dict[str, Any]:
    """A schema (draft 2020-12) for documents of any of the three kinds, which stand in `$defs`."""
    references, definitions = models_json_schema(
        [(SettingsFile, "validation"), (InferOutput, "serialization"), (InspectOutput, "serialization")]
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nmjax: settings files, and the output of infer and inspect with --json",
        "anyOf": list(references.values()),
        **definitions,
    }
