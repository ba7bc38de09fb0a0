"""``docs/tables.md``, made from the tables: ``python -m causalprint.schemas.document > docs/tables.md``."""

from __future__ import annotations

import sys

import pyarrow as pa

from causalprint.schemas.claims import Carrier, ClaimKind, ManifestState
from causalprint.schemas.packs import PACKS
from causalprint.schemas.packs import SCHEMA as PACKS_SCHEMA
from causalprint.schemas.prevalence import FOLDER, PREVALENCE
from causalprint.schemas.reasons import Abstention, Reason, Stage, Verdict
from causalprint.schemas.rendering import render
from causalprint.schemas.run_shards import RUN_SHARDS, SCHEMA, State
from causalprint.schemas.tables import TABLES, file_schema

_VOCABULARIES = {
    "images.claim_kind": ClaimKind,
    "images.claims.carrier": Carrier,
    "images.c2pa": ManifestState,
    "attributions.verdict": Verdict,
    "attributions.reason": Abstention,
    "rejects.stage": Stage,
    "rejects.reason": Reason,
    "run_shards.state": State,
}


def document() -> str:
    """The text of ``docs/tables.md``."""
    several = ((RUN_SHARDS, SCHEMA), (PACKS, PACKS_SCHEMA), (FOLDER, PREVALENCE))
    schemas = [*((name, file_schema(name, "", "")) for name in TABLES), *several]
    return render(
        "schemas/tables.md.j2",
        tables=[(name, _metadata(schema, "description"), [_row(field) for field in schema]) for name, schema in schemas],
        vocabularies=_VOCABULARIES,
    )


def _row(field: pa.Field) -> tuple[str, ...]:
    null = "yes" if field.nullable else ""
    return field.name, _type(field.type), _metadata(field, "unit"), null, _metadata(field, "description")


def _metadata(described: pa.Field | pa.Schema, key: str) -> str:
    text: str = described.metadata.get(key.encode(), b"").decode()
    return text


def _type(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"fixed_size_list<{_type(kind.value_type)}>[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"list<{_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{field.name}: {_type(field.type)}' for field in kind)}>"
    return {"halffloat": "float16", "float": "float32", "double": "float64"}.get(str(kind), str(kind))


if __name__ == "__main__":
    sys.stdout.write(document())
