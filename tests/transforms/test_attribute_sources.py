"""A verdict for every row that was decoded, recomputable from the stored fingerprint."""

from __future__ import annotations

import io
from typing import Any, cast

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that
from PIL import Image

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.models.fingerprint import Fingerprinter
from causalprint.models.judged import Judged
from causalprint.pipelines.open_bundle import ImageError, open_bundle
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Shard
from causalprint.schemas.tables import ATTRIBUTIONS, EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.attribute_sources import AttributeSources, attribute_slice, contained
from causalprint.transforms.compute_fingerprints import Computing, fingerprint_slice
from causalprint.transforms.counting import Pool
from tests.bundles import photograph

PHOTOGRAPHS = 24


@pytest.fixture(scope="module")
def fingerprinted(bundle: Bundle) -> FingerprintedSlice:
    """Photographs, one flat image, one that is too small."""
    crops = np.stack([*(photograph(seed) for seed in range(PHOTOGRAPHS)), np.zeros((256, 256, 3), np.uint8)])
    rows = [*Fingerprinter(bundle, "cpu")(crops).fingerprint, None]
    filled = np.concatenate([np.zeros(FINGERPRINT_DIM, np.float16) if row is None else row for row in rows])
    columns = {
        "image_id": [f"{place:064x}" for place in range(len(rows))],
        "shard": ["file:///data/00000.tar"] * len(rows),
        "member": [f"{place}.png" for place in range(len(rows))],
        "offset": [512 * place for place in range(len(rows))],
        "slice_id": ["0" * 32] * len(rows),
        "crops": [0 if row is None else 1 for row in rows],
    }
    arrays = {field.name: pa.array(columns.get(field.name, [None] * len(rows)), field.type) for field in EMBEDDINGS}
    mask = pa.array([row is None for row in rows])
    kind = EMBEDDINGS.field("fingerprint").type
    arrays["fingerprint"] = pa.FixedSizeListArray.from_arrays(pa.array(filled), type=kind, mask=mask)
    shard = Shard("file:///data/00000.tar", 1, "etag", "tar")
    return FingerprintedSlice(
        ImageSlice("0" * 32, shard, 0, (), last=True),
        len(rows),
        pa.RecordBatch.from_pylist([], schema=IMAGES),
        pa.RecordBatch.from_arrays([arrays[name] for name in EMBEDDINGS.names], schema=EMBEDDINGS),
        pa.RecordBatch.from_pylist([], schema=REJECTS),
    )


def test_every_row_has_a_verdict_in_its_place(fingerprinted: FingerprintedSlice, bundle: Bundle) -> None:
    attributions = attribute_slice(fingerprinted, Attributor(bundle)).attributions
    assert attributions.schema.equals(ATTRIBUTIONS, check_metadata=True)
    attributions.validate(full=True)
    for name in ("image_id", "shard", "member", "offset", "slice_id"):
        assert attributions.column(name).equals(fingerprinted.embeddings.column(name))
    rows = attributions.to_pylist()
    assert [row["reason"] for row in rows[-2:]] == ["flat", "too-small"]
    assert all(row["candidates"] == [] and row["probability"] is None for row in rows[-2:])
    assert {row["verdict"] for row in rows} == {"real", "known", "unknown", "abstain"}, (
        "the tiny bundle gives verdicts of every kind"
    )
    assert all((row["source"] is not None) == (row["verdict"] == "known") for row in rows)
    assert all("real" in {candidate["source"] for candidate in row["candidates"]} for row in rows[:-2])


def test_a_damaged_image_abstains_and_says_why(bundle: Bundle) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photograph(0, 256, 256)).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    cut = whole[: whole.rfind(b"\xff\xda")] + b"\xff\xd9"  # without its last scan
    images = tuple(EncodedImage(f"{place}.jpg", 512 * place, data, None) for place, data in enumerate([whole, cut]))
    source = ImageSlice("0" * 32, Shard("file:///data/00000.tar", 1, "etag", "tar"), 0, images, last=True)
    with Pool(1) as pool:
        found = fingerprint_slice(source, Computing(Fingerprinter(bundle, "cpu"), pool).work())
    assert found.rejects.num_rows == 0
    sound, damaged = found.images.column("damage").to_pylist()
    assert (sound, "scans end" in damaged) == (None, True)
    rows = attribute_slice(found, Attributor(bundle)).attributions.to_pylist()
    assert rows[0]["reason"] not in ("damaged", "too-small")
    assert (rows[1]["verdict"], rows[1]["reason"], rows[1]["candidates"]) == ("abstain", "damaged", [])
    opened = open_bundle(bundle.directory)
    assert [verdict.reason for verdict in opened.attribute([whole, cut])] == [row["reason"] for row in rows]
    with pytest.raises(ImageError, match="damaged"):
        opened.fingerprint(cut)


def test_an_analyst_can_recompute_a_verdict_from_the_stored_row(fingerprinted: FingerprintedSlice, bundle: Bundle) -> None:
    stored = attribute_slice(fingerprinted, Attributor(bundle)).attributions.to_pylist()
    row = np.array(fingerprinted.embeddings.column("fingerprint")[3].as_py(), np.float16)
    (again,) = Attributor(bundle)(row[None])
    assert (again.verdict, again.source, again.reason) == (stored[3]["verdict"], stored[3]["source"], stored[3]["reason"])
    assert np.float32(again.probability) == np.float32(stored[3]["probability"])


def test_an_error_that_nobody_foresaw_costs_its_slice_and_not_the_run(fingerprinted: FingerprintedSlice) -> None:
    class Failing:
        def judge(self, _: object) -> Judged:
            raise LookupError("a fault of ours")

    found = contained(fingerprinted, cast("Attributor", Failing()))
    assert (found.fingerprinted.seen, len(found.attributions), found.source.retryable) == (0, 0, True)
    assert found.source.damage == "slice 0 was not attributed (LookupError: a fault of ours; please report this)"


def test_through_beam_the_rows_are_the_same(fingerprinted: FingerprintedSlice, bundle: Bundle) -> None:
    expected = attribute_slice(fingerprinted, Attributor(bundle)).attributions

    def check(found: list[Any]) -> None:
        assert [item.attributions.equals(expected) for item in found] == [True]

    with beam.Pipeline(runner=FnApiRunner()) as root:
        assert_that(root | beam.Create([fingerprinted]) | AttributeSources(str(bundle.directory)), check)


def test_with_another_residual_every_verdict_abstains(fingerprinted: FingerprintedSlice, bundle: Bundle) -> None:
    other = load_bundle(bundle.directory, f"denoise:{bundle.directory / 'residual'}?sigma=0.2")
    rows = attribute_slice(fingerprinted, Attributor(other)).attributions.to_pylist()
    assert {(row["verdict"], row["reason"]) for row in rows} == {("abstain", "uncalibrated"), ("abstain", "too-small")}
