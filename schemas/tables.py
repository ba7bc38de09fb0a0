"""The tables: every column with its unit and meaning, declared once. ``docs/tables.md`` is generated from here."""

from __future__ import annotations

import pyarrow as pa

import causalprint

SCHEMA_VERSION = 7
"""Changes when a column changes its name, type or meaning, or the layout of the output does."""

RECORD = "causalprint_record"
"""The key in a file's footer of the receipt or account that travels in it, as JSON. Earlier versions, which did not seal."""

SEALED_RECORD = "causalprint_sealed_record"
"""The same of a file whose seal (``causalprint.transforms.tables.seals``) is checked before its record is believed."""

FINGERPRINT_DIGEST = "fingerprint_digest"
"""The key in a file's metadata of the digest of all that its bundle's fingerprints depend on; earlier versions wrote none."""

FINGERPRINT_DIM = 128

SPECTRUM_RINGS = 32
"""Of a stored spectrum: ring k is at k / 64 cycles a pixel, so that the last is the finest that rows and columns have."""


def list_of(kind: pa.DataType, size: int = -1) -> pa.DataType:
    """The type of lists of so many values, any number of them by default, none of which is null."""
    return pa.list_(pa.field("element", kind, nullable=False), size)


def column(name: str, kind: pa.DataType, meaning: str, unit: str = "", *, nullable: bool = False) -> pa.Field:
    """A column with its meaning, and its unit where it has one."""
    metadata = {"description": meaning} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, nullable=nullable, metadata=metadata)


def _number(name: str, meaning: str, unit: str) -> pa.Field:
    return column(name, pa.float32(), meaning, unit, nullable=True)


def _table(meaning: str, *columns: pa.Field) -> pa.Schema:
    return pa.schema(columns, metadata={"description": meaning})


def _key_columns(*, image_id_nullable: bool = False) -> tuple[pa.Field, ...]:
    return (
        column(
            "image_id",
            pa.string(),
            "SHA-256 of the encoded bytes, lower-case hex" + ("; null where they were not read" if image_id_nullable else ""),
            nullable=image_id_nullable,
        ),
        column("shard", pa.string(), "URI of the shard that the image was read from"),
        column(
            "member",
            pa.string(),
            "name within the shard, `row/column[/index]` where a row has several images; empty where damage hides it",
        ),
        column(
            "offset",
            pa.int64(),
            "where in the shard: tar and TFRecord, a byte of the decompressed stream; Parquet, the row; folder, 0",
            "byte or row",
        ),
        column("slice_id", pa.string(), "the slice that the image was computed in; the name of its file in every table"),
    )


IMAGES = _table(
    "What the bytes are: a row for every image that was decoded.",
    *_key_columns(),
    column("format", pa.string(), "by content, not by name: JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF"),
    column("width", pa.int32(), "as stored; EXIF orientation is not applied", "pixel"),
    column("height", pa.int32(), "as stored; EXIF orientation is not applied", "pixel"),
    column("mode", pa.string(), "the decoder's colour mode before conversion to RGB: L, P, RGBA, CMYK, I;16, …"),
    column("orientation", pa.int8(), "EXIF orientation, 1 to 8, recorded and not applied", nullable=True),
    column("encoded_bytes", pa.int64(), "length of the encoded image", "byte"),
    column(
        "jpeg_quality",
        pa.int16(),
        "libjpeg quality, 1 to 100, that gives the file's luminance table; negative: the nearest, where none gives it exactly",
        nullable=True,
    ),
    column("damage", pa.string(), "why some of its pixels may be the decoder's invention; such an image abstains", nullable=True),
    column(
        "resampled",
        pa.bool_(),
        "whether the sidecar's original_width and original_height, as img2dataset writes them, are others; null without them",
        nullable=True,
    ),
    column("md5", pa.string(), "MD5 of the encoded bytes, lower-case hex: a name that lists use, and no proof"),
    column(
        "phash",
        pa.string(),
        "perceptual hash of 64 bits as of ImageHash and of COYO's `image_phash`, 16 hex digits; copies differ in few bits",
    ),
    column(
        "domain",
        pa.string(),
        "registered domain of the sidecar's `url` by the public suffix list, in ASCII (IDNA); an IP address is itself",
        nullable=True,
    ),
    column(
        "claim_kind",
        pa.string(),
        "the strongest that the file claims of its own origin: generated, composite, camera, software, unread, invalid; anybody "
        "can write or remove a claim, and a camera's is no proof; no verdict depends on one",
        nullable=True,
    ),
    column(
        "claim_source",
        pa.string(),
        "the model, program, service or camera that this claim names; its word, and not checked",
        nullable=True,
    ),
    column(
        "c2pa",
        pa.string(),
        "what is known of the file's C2PA manifest: valid, unverified (nothing contradicts it, and who signed is not known), "
        "invalid, unread",
        nullable=True,
    ),
    column(
        "claims",
        list_of(pa.struct([pa.field(name, pa.string(), nullable=name == "source") for name in ("kind", "carrier", "source")])),
        "all claims, the strongest first, eight at most: carrier is c2pa, iptc (XMP), aigc, text (of front ends) or exif",
    ),
    column("metadata", pa.string(), "the image's sidecar (crawl URL, caption, licence, …) as JSON text", nullable=True),
)

EMBEDDINGS = _table(
    "The causal fingerprint and one scalar a lens: a row for every row of images but those too small to analyse, or damaged.",
    *_key_columns(),
    column(
        "fingerprint",
        list_of(pa.float16(), FINGERPRINT_DIM),
        "causal fingerprint; compare by cosine within one bundle",
        nullable=True,
    ),
    _number("residual_energy", "root mean square of the residual", "1 (image range 0 to 1)"),
    _number("rgb_bias", "root mean square of the residual's mean tile", "1 (image range 0 to 1)"),
    _number("dft_peak", "strongest spectral line over the median of the residual's spectrum", "dB"),
    _number(
        "dct_blockiness", "mean square of the residual's steps across 8-pixel block edges over that of steps inside blocks", "1"
    ),
    _number("qft_share", "share of the grey residual's energy in its 32 x 32 lowest frequencies", "1"),
    _number("radial_slope", "slope of the residual's log power over log frequency", "decade/decade"),
    _number("stats_kurtosis", "excess kurtosis of the residual", "1"),
    column(
        "spectrum",
        list_of(pa.float16()),
        f"mean power of the residual's luma in {SPECTRUM_RINGS} rings of frequency, from 1/{2 * SPECTRUM_RINGS} to 1/2 cycles a "
        "pixel, in dB; 0 dB is the range of the image, squared",
        nullable=True,
    ),
    column("crops", pa.int16(), "crops that were analysed", "crop"),
    _number(
        "stability",
        "least cosine between the fingerprint and that of one crop alone: low where parts of an image differ; null where one was",
        "1 (-1 to 1)",
    ),
)

_CANDIDATE = (
    pa.field("source", pa.string(), nullable=False),
    pa.field("probability", pa.float32(), nullable=False),
    pa.field("p_value", pa.float32()),
)

ATTRIBUTIONS = _table(
    "The verdict: a row for every row of images. The file of a slice is written last and is its commit mark.",
    *_key_columns(),
    column("verdict", pa.string(), "real, graphic, known, unknown or abstain"),
    column(
        "source",
        pa.string(),
        "name of the generator; only where the verdict is known, and null there where only its family could be told",
        nullable=True,
    ),
    column("family", pa.string(), "the generator's family; wherever the verdict is known", nullable=True),
    _number("probability", "calibrated probability of the best candidate", "1 (0 to 1)"),
    _number("family_probability", "calibrated probability of `family`; where that is null, of the likeliest", "1 (0 to 1)"),
    _number("generated_probability", "calibrated probability that a generator made it, whichever", "1 (0 to 1)"),
    _number(
        "log_likelihood_ratio",
        "natural logarithm of how many times likelier the fingerprint is of a generated image than of another; with the log odds "
        "of the prior it gives those of `generated_probability`",
        "1",
    ),
    _number(
        "novelty",
        "how far the image's familiarity is below the bundle's limit, a power of e; above 1: like no source",
        "1",
    ),
    column(
        "candidates",
        list_of(pa.struct(_CANDIDATE)),
        "the five most probable sources, `real` among them, best first; empty where nothing was computed. `p_value`: the "
        "share of the source's held-out images that look no more like it; null where they are fewer than 19, or it was enrolled",
    ),
    column(
        "reason",
        pa.string(),
        "why the system abstained: too-small, damaged, undecided, no-source, flat, uncalibrated",
        nullable=True,
    ),
)

REJECTS = _table(
    "Every image that got no verdict, and why.",
    *_key_columns(image_id_nullable=True),
    column("stage", pa.string(), "read, decode or compute"),
    column("reason", pa.string(), "short and stable, made for GROUP BY"),
    column("detail", pa.string(), "one sentence with the offending value"),
    column("metadata", pa.string(), "the image's sidecar as JSON text, where one was read", nullable=True),
)

SHARDS = _table(
    "Closed accounts: a row for every shard. seen = attributed + rejected + forgotten.",
    column("shard_id", pa.string(), "digest of URI, generation and bundle; the name of its file"),
    column("uri", pa.string(), "where the shard is"),
    column("generation", pa.string(), "the version that was read: etag, or size and modification time"),
    column("size", pa.int64(), "of the shard", "byte"),
    column("format", pa.string(), "tar, zip, parquet, arrow, tfrecord or folder"),
    column("slices", pa.int64(), "slices of it that are committed", "slice"),
    column(
        "slice_ids",
        list_of(pa.string()),
        "those slices in order: `slice_id` of every other table, which tells one generation's rows from another's",
    ),
    column("image_limit", pa.int64(), "no more images were read than this (--limit, --sample)", "image", nullable=True),
    column(
        "drawn_from",
        pa.int64(),
        "those were drawn from so many (--sample); null: the first",
        "image",
        nullable=True,
    ),
    column(
        "shard_chance",
        pa.float64(),
        "the chance by which the shard was drawn (--sample-shards); null: all shards were read",
        "1 (0 to 1)",
        nullable=True,
    ),
    column("seen", pa.int64(), "images met", "image"),
    column("attributed", pa.int64(), "images with a row in attributions", "image"),
    column("rejected", pa.int64(), "images with a row in rejects", "image"),
    column("forgotten", pa.int64(), "images whose rows were erased (`causalprint forget`)", "image"),
    column("resampled", pa.int64(), "images that were resized before they were stored, as their sidecars say", "image"),
    column("skipped", pa.int64(), "members that are neither images nor their sidecars", "member"),
    column(
        "skipped_kinds",
        list_of(pa.struct([pa.field("kind", pa.string(), nullable=False), pa.field("members", pa.int64(), nullable=False)])),
        "those by what their names say: a suffix such as `.json`, or `folder`, `hidden`, `no suffix`, `other`",
    ),
    column("complete", pa.bool_(), "whether everything was read, to the shard's own end mark and size"),
    column("damage", pa.string(), "what is missing, in one sentence", nullable=True),
    column("retryable", pa.bool_(), "whether another run may read more (a broken connection)"),
)

TABLES: dict[str, pa.Schema] = {
    "images": IMAGES,
    "embeddings": EMBEDDINGS,
    "attributions": ATTRIBUTIONS,
    "rejects": REJECTS,
    "shards": SHARDS,
}
"""Every table by name, which is also the name of its folder below OUT."""


def file_schema(table: str, bundle_id: str, bundle_digest: str, fingerprint_digest: str = "") -> pa.Schema:
    """The schema of a file of ``table``: its columns, and in its metadata what made it.

    Metadata keys: ``description``, ``schema_version``, ``code_version``, ``bundle_id``, ``bundle_digest``, and
    ``fingerprint_digest`` where it is known: of what fingerprints depend on.

    Raises:
        KeyError: there is no such table.
    """
    schema = stored_schema(table)
    made_by = {
        "schema_version": str(SCHEMA_VERSION),
        "code_version": causalprint.__version__,
        "bundle_id": bundle_id,
        "bundle_digest": bundle_digest,
    } | ({FINGERPRINT_DIGEST: fingerprint_digest} if fingerprint_digest else {})
    return schema.with_metadata(schema.metadata | {key.encode(): value.encode() for key, value in made_by.items()})


def stored_schema(table: str) -> pa.Schema:
    """The columns of ``table`` in files: as between transforms, but a fingerprint is never null (see :func:`stored_rows`)."""
    schema = TABLES[table]
    for index, field in enumerate(schema):
        if pa.types.is_fixed_size_list(field.type):
            schema = schema.set(index, field.with_nullable(False))
    return schema


def stored_rows(table: str, rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows to write to a file of ``table``, once they are found to have its columns, with :func:`stored_schema`.

    Rows without a fingerprint stay out of ``embeddings``: pyarrow up to 25, and pandas on it, cannot open a file with a null in a
    fixed-size list (https://github.com/apache/arrow/issues/35692). What pickling drops comes back: pyarrow forgets the name and
    nullability inside such lists. No value is converted.

    Raises:
        ValueError: a column is missing, misplaced, unknown, of another type, or has nulls where it may not.
    """
    schema = stored_schema(table)
    if rows.schema.names != schema.names:
        raise ValueError(
            f"table {table} has the columns {', '.join(schema.names)}, in this order; not {', '.join(rows.schema.names)}"
        )
    for field, column in zip(schema, rows.columns, strict=True):
        if pa.types.is_fixed_size_list(field.type):
            rows = rows.filter(column.is_valid())
    for field, column in zip(schema, rows.columns, strict=True):
        if _bare(column.type) != _bare(field.type):
            raise ValueError(f"column {field.name} of {table} is {field.type}, not {column.type}")
        if column.null_count and not field.nullable:
            raise ValueError(
                f"column {field.name} of {table} may hold no null, and {column.null_count} of {len(column)} values are"
            )
    return pa.record_batch([column.cast(field.type) for field, column in zip(schema, rows.columns, strict=True)], schema=schema)


def _bare(kind: pa.DataType) -> pa.DataType:
    return pa.list_(kind.value_type, kind.list_size) if pa.types.is_fixed_size_list(kind) else kind
