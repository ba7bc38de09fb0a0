"""The metadata of the Flex Template: what can be asked, as :mod:`causalprint.pipelines.beam_main` takes it.

python -m causalprint.pipelines.flex_template > deploy/dataflow/metadata.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from causalprint.pipelines.beam_main import INPUT
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.options import Setting, settings_of

_LEFT_OUT = (
    *("runner", "output", "storage", "metrics_file", "openlineage", "fail_if", "dry_run"),
    *("cascade", "control", "budget"),
)
"""Options that the template gives itself, or that mean nothing where the launcher is gone when the job ends."""


def metadata() -> dict[str, Any]:
    """Name, description and parameters, as Dataflow's ``TemplateMetadata`` has them."""
    settings = {setting.name: setting for setting in settings_of(AuditConfig) if setting.option is not None}
    asked = [
        _parameter(INPUT, "Shards or images", settings["inputs"], optional=False),
        _parameter("output", "Root of the tables", settings["output"], optional=False, kind="GCS_WRITE_FOLDER"),
        *(
            _parameter(setting.names[0].removeprefix("--").replace("-", "_"), setting.spelling, setting)
            for name, setting in settings.items()
            if setting.names and name not in _LEFT_OUT
        ),
    ]
    return {
        "name": "causalprint audit",
        "description": "Which generative model made each image of a dataset, with the evidence in Parquet.",
        "parameters": asked,
    }


def _parameter(name: str, label: str, setting: Setting, *, optional: bool = True, kind: str = "TEXT") -> dict[str, Any]:
    assert setting.option is not None, "only options are parameters"
    choices = setting.option.choices if setting.option.parse is None else ()
    pattern = {"regexes": [f"^({'|'.join(choices)})$"]} if choices else {"regexes": ["^[0-9]+$"]} if setting.kind is int else {}
    return {"name": name, "label": label, "helpText": setting.option.help, "isOptional": optional, "paramType": kind} | pattern


def document() -> str:
    """The metadata as the file has them."""
    return json.dumps(metadata(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
