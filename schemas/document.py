"""``docs/tables.md``, made from the tables: ``python -m causalprint.schemas.document > docs/tables.md``."""

from __future__ import annotations

import sys

import pyarrow as pa

from causalprint.schemas.reasons import Abstention, Reason, Stage, Verdict
from causalprint.schemas.tables import TABLES, file_schema

_HEAD = """\
# Tables

Made from `schemas/tables.py` by `python -m causalprint.schemas.document > docs/tables.md`; a test keeps it true.

Every slice of a shard is one Parquet file in each table of images, below `OUT/<table>/bundle=<bundle_id>/`, and every shard
one in `shards`. A table opens by one glob, `OUT/<table>/*/*.parquet`, with the hive partition as column `bundle` (text).
Each column's meaning and unit are in the files too, as metadata of its field, and so are, as metadata of the file, the
version of these tables, of the code, and the bundle with its digest.

Rows of the tables of images join on `slice_id`, `member`, `offset`: one image of one version of one shard. `image_id` alone
finds the same bytes wherever they turn up. When a shard has changed, its new version is audited beside the old one:
`shards.slice_ids` tells which rows belong to which. A file of `images`, `embeddings` or `rejects` counts only where
`attributions` has the same slice: that file is written last, and its footer holds the slice's receipt (counts, and the
SHA-256 of the other three files).
"""


_RUNS = """\
## runs

`OUT/runs/<run_id>.json`, the manifest, is the last file that a run writes: what was asked (of storage options only the
names), the bundle, the residual and their digests, the device, start and end (UTC), versions of this package, of Python and
of the packages that rows depend on, and the totals: shards (complete, limited by `--limit`, incomplete, and those of them
that another run may complete), slices and how many of them this run computed, images by verdict and source, rejects by
stage and reason, and the first 100 incomplete shards with what they miss.
"""


def document() -> str:
    """The text of ``docs/tables.md``."""
    tables = [_table(name) for name in TABLES]
    words = [
        _words("verdict", "attributions", Verdict),
        _words("reason", "attributions", Abstention),
        _words("stage", "rejects", Stage),
        _words("reason", "rejects", Reason),
    ]
    return "\n".join([_HEAD, *tables, _RUNS, "## Words\n", *words])


def _table(name: str) -> str:
    schema = file_schema(name, "", "")
    rows = [
        f"| `{field.name}` | `{_type(field.type)}` | {_metadata(field, 'unit')} | {'yes' if field.nullable else ''} "
        f"| {_metadata(field, 'description')} |"
        for field in schema
    ]
    head = ["| column | type | unit | null | meaning |", "|---|---|---|---|---|"]
    return "\n".join([f"## {name}\n", schema.metadata[b"description"].decode() + "\n", *head, *rows, ""])


def _words(column: str, table: str, words: type[Verdict | Abstention | Stage | Reason]) -> str:
    return f"`{table}.{column}`: {', '.join(f'`{word}`' for word in words)}.\n"


def _metadata(field: pa.Field, key: str) -> str:
    text: str = field.metadata.get(key.encode(), b"").decode()
    return text.replace("|", "\\|")


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
