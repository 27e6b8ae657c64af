"""`nmjax schema`: the JSON Schema of settings files and of `--json`, written to docs/reference/schema.json."""

from __future__ import annotations

import dataclasses
import json

from nmjax.cli.parser import Command
from nmjax.runtime.options import Options


@dataclasses.dataclass(frozen=True, kw_only=True)
class SchemaOptions(Options):
    """`nmjax schema` has no options."""


def _run(_: SchemaOptions) -> None:
    from nmjax.mastering.json_schema import json_schema  # imports JAX, which help must not

    print(json.dumps(json_schema(), indent=1))


COMMAND = Command(
    name="schema",
    summary="Print the JSON Schema of settings files and of --json.",
    examples=(
        "schema > docs/reference/schema.json",
        "inspect mix.wav --json  # a document that it describes",
    ),
    options=SchemaOptions,
    run=_run,
)
