"""What lies beside the tables for whoever publishes or loads them: ``croissant.json`` and a dataset card, ``README.md``.

Croissant 1.1 (MLCommons) is what dataset search and loaders read; the card is Hugging Face's, whose YAML names each table.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from causalprint.schemas.rendering import render
from causalprint.schemas.tables import TABLES
from causalprint.transforms.tables.output import get, put

if TYPE_CHECKING:
    from causalprint.schemas.config import Storage
    from causalprint.schemas.runs import RunManifest

CROISSANT = "croissant.json"
CARD = "README.md"
_OURS = b"pretty_name: causalprint audit"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        name: f"cr:{name}"
        for name in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject"),
            *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
            *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
            *("source", "subField", "transform"),
        )
    },
}
_TYPES = {
    pa.string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.float16(): "cr:Float16",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
    pa.int8(): "cr:Int8",
    pa.int16(): "cr:Int16",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.uint64(): "cr:UInt64",
}


def describe(root: str, manifest: RunManifest, storage: Storage) -> None:
    """Writes both files into the output at ``root``; they say what the newest run came to. A README of somebody else's stays.

    Raises:
        OSError: they cannot be written.
    """
    put(root, CROISSANT, (json.dumps(croissant(manifest), indent=1, ensure_ascii=False) + "\n").encode(), storage)
    if _OURS in (get(root, CARD, storage) or _OURS):
        put(root, CARD, card(manifest).encode(), storage)


def croissant(manifest: RunManifest) -> dict[str, Any]:
    """The tables of an output in JSON-LD, as Croissant 1.1 has it: a set of files and a set of records for each."""
    run, totals = manifest.run, manifest.totals
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"causalprint-{run.run_id}",
        "description": _summary(manifest),
        "version": f"{manifest.schema_version}.0.0",
        "datePublished": manifest.finished,
        "isLiveDataset": True,
        **({"url": run.config.output} if "://" in run.config.output else {}),
        "keywords": ["provenance", "generated images", "attribution", "causalprint"],
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": f"{table}-files",
                "name": f"{table}-files",
                "description": _meaning(schema),
                "encodingFormat": "application/x-parquet",
                "includes": f"{table}/*/*.parquet",
            }
            for table, schema in TABLES.items()
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": table,
                "name": table,
                "description": _meaning(schema),
                "field": [_field(table, (column,)) for column in schema],
            }
            for table, schema in TABLES.items()
        ],
        "citeAs": f"causalprint audit {run.run_id} by bundle {run.bundle_id}: {totals.shards} shards, {totals.seen} images",
    }


def card(manifest: RunManifest) -> str:
    """The dataset card: YAML that names a configuration a table, and what a reader must know."""
    return render("pipelines/describe.md.j2", manifest=manifest, tables=TABLES, meaning=_meaning, summary=_summary(manifest))


def _summary(manifest: RunManifest) -> str:
    run, totals = manifest.run, manifest.totals
    return (
        f"What a causalprint audit said of {totals.attributed:,} images in {totals.shards:,} shards, by bundle {run.bundle_id}; "
        f"{totals.rejected:,} more could not be read. The images themselves are not here."
    )


def _meaning(described: pa.Schema | pa.Field) -> str:
    return str((described.metadata or {}).get(b"description", b"").decode())


def _field(table: str, path: tuple[pa.Field, ...]) -> dict[str, Any]:
    """One column, or one field of a struct in it, which ``path`` leads to."""
    column, leaf = path[0], path[-1]
    kind, many, shape = leaf.type, False, ""
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        shape = str(kind.list_size) if pa.types.is_fixed_size_list(kind) else "-1"
        kind, many = kind.value_type, True
    name = "/".join((table, *(field.name for field in path)))
    found: dict[str, Any] = {"@type": "cr:Field", "@id": name, "name": name, "description": _meaning(leaf)}
    if many:
        found |= {"isArray": True, "arrayShape": shape}
    if pa.types.is_struct(kind):
        return found | {"subField": [_field(table, (*path, kind.field(index))) for index in range(kind.num_fields)]}
    source: dict[str, Any] = {"fileSet": {"@id": f"{table}-files"}, "extract": {"column": column.name}}
    if len(path) > 1:
        source["transform"] = {"jsonPath": f"$[*].{leaf.name}"}
    return found | {"dataType": _TYPES[kind], "source": source}
