"""What forgetting leaves to later commands: bundles, audits, other verdicts and signatures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from apache_beam.pvalue import TaggedOutput

from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas import runs
from causalprint.transforms.score_embeddings import KEPT, AuditedShard, pass_audited
from causalprint.transforms.tables.forget import ForgetError
from causalprint.transforms.tables.stored import Stored
from tests.audits import command
from tests.outputs import (
    BUNDLE_ID,
    audit,
    output_at,
    receipts_in,
)
from tests.pipelines.forget.erased import (
    OTHER,
    SHARDS,
    begun,
    check_closed,
    forgotten,
    ids_in,
    query,
)
from tests.transforms.tables.test_signatures import keys


def test_a_bundle_goes_with_all_it_wrote_unless_others_scored_its_fingerprints(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ForgetError, match=f"--bundle {OTHER} first"):
        forgotten(copy, bundle=BUNDLE_ID)
    forgotten(copy, bundle=OTHER)
    assert not [path for path in copy.rglob("*") if OTHER in path.name]
    check_closed(copy)
    with open_audit(str(copy)) as tables:
        assert {row["bundle"] for row in tables.findings.rows()} == {BUNDLE_ID}
        assert len(tables.findings.rows()) == 30
    forgotten(copy, bundle=BUNDLE_ID)
    assert not list(copy.rglob("*.parquet"))
    with pytest.raises(ForgetError, match="holds nothing by a bundle"):
        forgotten(copy, bundle=BUNDLE_ID)


def test_later_runs_compute_nothing_of_it_again(copy: Path) -> None:
    output = output_at(copy)
    forgotten(copy, image_id=tuple(ids_in(copy)[::2]))
    scoring = replace(output, bundle_id=OTHER, scored=BUNDLE_ID)
    for shard in (SHARDS[0], SHARDS[2]):
        (kept,) = pass_audited(AuditedShard(shard.shard_id(BUNDLE_ID), shard.size), scoring)
        assert isinstance(kept, TaggedOutput)
        assert kept.tag == KEPT
    for receipt in receipts_in(output):
        assert receipt.reasons
        assert not Stored(output, retry="decode").is_to_retry(receipt), "tried again, its images would come back"
    assert audit(list(SHARDS), output, "20270101T000000Z-00000000") == []
    assert query(copy, "SELECT DISTINCT state FROM current_shards") == [{"state": "kept"}]
    check_closed(copy)


@pytest.mark.parametrize("named", [1, 1000])
def test_what_was_signed_is_signed_again(
    named: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LISTED", named)
    begun(str(tmp_path / "OUT"))
    copy, own = tmp_path / "OUT", keys(tmp_path, "own")
    command(capsys, "verify", copy, "--sign", own.private)
    assert forgotten(copy, image_id=tuple(ids_in(copy)[:1])).signed
    unsigned = command(capsys, "verify", copy, "--key", own.public)
    assert {one["kind"] for one in unsigned.found["findings"]} == {"unsigned"}
    command(capsys, "verify", copy, "--sign", own.private)
    assert command(capsys, "verify", copy, "--key", own.public).code == 0
