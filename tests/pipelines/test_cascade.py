"""Further tiers of an audit: whom they reach, what they say there, what it is worth, and what a budget or a kill leaves."""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console
from safetensors.numpy import load_file

from causalprint.__main__ import main
from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, FINGERPRINT_FILE, Bundle, load_bundle, save_bundle
from causalprint.pipelines import cascade as cascading
from causalprint.pipelines.audit import execute, plan
from causalprint.pipelines.audit_views import audit_now
from causalprint.pipelines.commands.compact import CompactConfig
from causalprint.pipelines.compact import compact
from causalprint.pipelines.forecast import Speed
from causalprint.pipelines.open_audit import open_audit
from causalprint.pipelines.report import print_report, report
from causalprint.schemas.cascade import Budget, Tier, first_turns, parse_budget
from causalprint.schemas.config import NO_OPTIONS, AuditConfig
from causalprint.schemas.options import OptionError
from causalprint.transforms.compute_chosen import CHOSEN, Chosen
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.committed import run_ids
from causalprint.transforms.tables.manifests import read_manifest
from causalprint.transforms.tables.verify import verify
from tests.audits import command, jpeg, photographs_tar, tar
from tests.bundles import tiny_bundle
from tests.outputs import files_below, output_at, rows

Capture = pytest.CaptureFixture[str]
CONTROL = 0.4
IMAGES = 24
SIDE = 64
SMALL = ("--control", CONTROL, "--slice-images", 5)
PAGE = Path(__file__).parents[2] / "docs" / "cascade.md"
ABSTAIN = "abstain"


class Cascaded(NamedTuple):
    """An audit with two further tiers, and audits of all by the bundle of each."""

    crawl: Path
    output: Path
    bundles: tuple[Path, Path, Path]
    full: dict[int, Path]
    tiers: tuple[Tier, ...]


def seldom_sure(bundle: Bundle, limit: float) -> Path:
    """The bundle, with limits at which it leaves images undecided."""
    decision = replace(bundle.manifest.decision, cleared_limit=limit, generated_limit=1 - limit)
    fingerprint, attribution = (load_file(bundle.directory / name) for name in (FINGERPRINT_FILE, ATTRIBUTION_FILE))
    manifest = replace(bundle.manifest, decision=decision, files=())
    return save_bundle(bundle.directory, manifest, fingerprint, attribution, {}).directory


@pytest.fixture(scope="module")
def cascaded(tmp_path_factory: pytest.TempPathFactory) -> Cascaded:
    """Two tars: images, one of them in both, one too small for a bundle, and one that cannot be decoded."""
    root = tmp_path_factory.mktemp("cascaded")
    photographs_tar(root / "crawl" / "0.tar", range(IMAGES // 2), SIDE)
    more = [(f"{seed}.jpg", jpeg(seed, SIDE)) for seed in (3, *range(IMAGES // 2, IMAGES))]
    tar(root / "crawl" / "1.tar", [*more, ("small.jpg", jpeg(99, SIDE // 2)), ("broken.jpg", jpeg(98, SIDE)[:900])])
    bundles = (
        seldom_sure(tiny_bundle(root / "first", crop=SIDE), 0.002),
        seldom_sure(tiny_bundle(root / "second", name="second", seed=5, crop=SIDE, residual="autoencoder:./residual"), 0.02),
        tiny_bundle(root / "third", name="third", seed=6, crop=SIDE, residual="ddim:./residual?steps=1").directory,
    )
    output, full = root / "OUT", {2: root / "full2", 3: root / "full3"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main([*shlex.split(blocks("sh")[0])[1:], *map(str, SMALL), "--json"]) == 0
        for number, path in full.items():
            assert (
                main(["audit", "crawl", "-o", str(path), "--bundle", str(bundles[number - 1]), "--slice-images", "5", "--json"])
                == 0
            )
    return Cascaded(root / "crawl", output, bundles, full, tuple(manifest_tier(output, number) for number in full))


def asked(crawl: Path, output: object, first: Path, *further: Path) -> list[object]:
    tiers = [word for one in further for word in ("--cascade", one)]
    return ["audit", crawl, "-o", output, "--bundle", first, *tiers, *SMALL]


def blocks(kind: str) -> list[str]:
    """Commands, or queries, of the page."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines()] if kind == "sh" else found


def manifest_tier(output: Path, number: int) -> Tier:
    root = f"{output}/tiers/{number}"
    manifest = read_manifest(root, run_ids(root, NO_OPTIONS)[-1], NO_OPTIONS)
    assert manifest is not None
    assert manifest.tier is not None
    return manifest.tier


def turn(image_id: str) -> str:
    return hashlib.sha256(f"0:{image_id}".encode()).hexdigest()[:12]


def verdicts(output: Path) -> dict[str, dict[str, Any]]:
    """The rows of ``findings`` by image."""
    with open_audit(str(output)) as tables:
        return {row["image_id"]: row for row in tables.findings.rows()}


def decided(row: dict[str, Any]) -> bool:
    return row["verdict"] != ABSTAIN or row["reason"] in ("too-small", "damaged", "flat")


def test_a_tier_says_of_what_reached_it_what_it_would_say_of_it_among_all(cascaded: Cascaded) -> None:
    for number, full in cascaded.full.items():
        tier = cascaded.output / "tiers" / str(number)
        for table in ("images", "embeddings", "attributions"):
            mine, theirs = (rows(root, table).drop_columns("slice_id") for root in (tier, full))
            reached = pa.array([*map(repr, zip(*(theirs.column(name).to_pylist() for name in KEY), strict=True))])
            wanted = pa.array([*map(repr, zip(*(mine.column(name).to_pylist() for name in KEY), strict=True))])
            same = theirs.filter(pc.is_in(reached, wanted))
            assert 0 < mine.num_rows < theirs.num_rows
            assert mine.sort_by(ORDER).equals(same.sort_by(ORDER))


KEY = ("shard", "member", "offset")
ORDER = [(name, "ascending") for name in KEY]


def test_what_is_undecided_reaches_a_tier_and_what_is_drawn_from_all(cascaded: Cascaded) -> None:
    first, second, third = (verdicts(root) for root in (cascaded.output, *cascaded.full.values()))
    open_now = {image_id for image_id, row in first.items() if not decided(row)}
    drawn = {image_id for image_id in first if turn(image_id) < first_turns(CONTROL)}
    assert cascaded.tiers[1].undecided > 0
    assert open_now - drawn
    assert drawn - open_now
    path = [first, second, third]
    reached = {1: set(first)}
    for number, tier in ((2, cascaded.tiers[0]), (3, cascaded.tiers[1])):
        reached[number] = open_now | drawn
        computed = rows(cascaded.output / "tiers" / str(number), "attributions").column("image_id").to_pylist()
        assert sorted(computed) == sorted(reached[number]), "each different image once"
        still = {image_id for image_id in open_now if not decided(path[number - 1][image_id])}
        counts = (len(open_now), len(drawn - open_now), len(reached[number]), 0, len(open_now - still))
        assert (tier.undecided, tier.control, tier.chosen, tier.left, tier.decided) == counts
        open_now = still
    with open_audit(str(cascaded.output)) as tables:
        found = tables.sql("FROM cascaded").rows()
        before = tables.sql("FROM findings").rows()
    assert sorted(map(place, found)) == sorted(map(place, before))
    for row in found:
        image_id = row["image_id"]
        assert row["tier"] == max(number for number, images in reached.items() if image_id in images)
        said = path[row["tier"] - 1][image_id]
        assert {name: row[name] for name in SAID} == {name: said[name] for name in SAID}
        sure = [number for number, one in enumerate(path, 1) if image_id in reached[number] and decided(one[image_id])]
        assert row["decided_by"] == min(sure, default=None)
        why = None if row["tier"] == 1 else "control" if sure and sure[0] < row["tier"] else "undecided"
        assert row["tier_reason"] == why


SAID = ("verdict", "source", "family", "probability", "generated_probability", "candidates", "reason", "conflict", "bundle")


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in (*KEY, "image_id", "width", "claim_kind"))


def test_the_control_sample_tells_how_often_a_tier_disagrees_with_those_before(cascaded: Cascaded) -> None:
    path = [verdicts(root) for root in (cascaded.output, *cascaded.full.values())]
    by = {}
    for image_id in path[0]:
        by[image_id] = next((number for number, rows in enumerate(path[:2], 1) if decided(rows[image_id])), None)
    for tier in cascaded.tiers:
        own = path[tier.tier - 1]
        assert [each.tier for each in tier.disagreements] == list(range(1, tier.tier))
        for each in tier.disagreements:
            earlier = path[each.tier - 1]
            population = [one for one in earlier if by[one] == each.tier and earlier[one]["verdict"] != ABSTAIN]
            sample = [one for one in population if turn(one) < first_turns(CONTROL)]

            def differs(image_id: str, earlier: Any = earlier, own: Any = own) -> bool:
                mine, its = ((row["verdict"], row["source"] or row["family"]) for row in (own[image_id], earlier[image_id]))
                return mine[0] != ABSTAIN and mine != its

            assert (each.images, each.differs) == (len(sample), sum(map(differs, sample)))
            assert each.abstains == sum(own[one]["verdict"] == ABSTAIN for one in sample)
            assert each.crosses <= each.differs
            truth = sum(map(differs, population)) / len(population)
            assert each.low <= truth <= each.high
            assert each.share is None or each.low <= each.share <= each.high
    assert cascaded.tiers[0].disagreements[0].differs > 0


def test_what_a_tier_lacks_is_said_and_told_by_the_exit_code(cascaded: Cascaded) -> None:
    root = str(cascaded.output)
    manifest = read_manifest(root, run_ids(root, NO_OPTIONS)[-1], NO_OPTIONS)
    assert manifest is not None
    for incomplete in (0, 2):
        tiers = (cascaded.tiers[0], replace(cascaded.tiers[1], incomplete=incomplete))
        found = report(manifest, audit_now(root, NO_OPTIONS), 1.0, tiers)
        console = Console(file=io.StringIO(), width=200)
        with console.capture() as captured:
            print_report(found, console)
        said = f"tier 3 lacks images of 2 shards: the same command tries again, and causalprint inspect {found.tiers[1].output}"
        assert (found.exit_code, said in captured.get()) == ((3, True) if incomplete else (0, False))


def test_the_page_of_cascades_is_right_and_its_commands_compute_nothing_twice(
    cascaded: Cascaded, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(cascaded.output.parent)
    before = {root: own_files(root) for root in (cascaded.output, *(cascaded.output / "tiers").iterdir())}
    _, again, query, verified = blocks("sh")
    code, found, _ = command(capsys, *shlex.split(again)[1:], *SMALL)
    assert code == 0
    assert [(tier["chosen"], tier["left"], tier["incomplete"]) for tier in found["tiers"]] == [(0, 0, 0)] * 2
    for now, then in zip(found["tiers"], cascaded.tiers, strict=True):
        assert [tuple(each.values()) for each in now["disagreements"]] == [tuple(each) for each in then.disagreements]
    assert {root: own_files(root) for root in before} == before
    assert [command(capsys, *shlex.split(words)[1:]).code for words in (query, verified)] == [0, 0]
    with open_audit("OUT") as tables:
        answered, waiting = (tables.sql(text.rstrip(";\n")).rows() for text in blocks("sql"))
    assert {row["image_id"] for row in answered} == {
        image_id for image_id, row in verdicts(cascaded.output).items() if not decided(row)
    }
    assert waiting == []


def own_files(root: Path) -> dict[str, bytes]:
    return {path: data for path, data in files_below(root).items() if not path.startswith("tiers/")}


def test_what_a_kill_left_out_is_computed_and_nothing_else(cascaded: Cascaded, tmp_path: Path, capsys: Capture) -> None:
    out = shutil.copytree(cascaded.output, tmp_path / "OUT")
    tier = out / "tiers" / "2"
    whole = {table: rows(tier, table) for table in TABLES}
    with open_audit(str(tier)) as tables:
        accounts = tables.sql("SELECT slice_ids FROM shards ORDER BY len(slice_ids) DESC").rows()
    gone, *others = accounts[0]["slice_ids"]
    assert others, "which come after it"
    shutil.rmtree(tier / "runs")
    for account in (tier / "shards").glob("*/*.parquet"):
        account.unlink()
    (mark,) = (tier / "attributions").glob(f"*/{gone}.parquet")
    images = pa.parquet.read_metadata(mark).num_rows
    mark.unlink()
    code, found, _ = command(capsys, *asked(cascaded.crawl, out, *cascaded.bundles[:2]))
    assert (code, found["tiers"][0]["chosen"]) == (0, images)
    for table, before in whole.items():
        assert rows(tier, table).sort_by(ORDER).equals(before.sort_by(ORDER)), table
    assert verify(str(tier), NO_OPTIONS, deep=True).findings == ()


TABLES = ("images", "embeddings", "attributions", "rejects")


def test_a_budget_takes_images_in_their_turn_and_the_same_command_goes_on(
    cascaded: Cascaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"memory://{cascaded.output.parent.name}"
    first, second, _ = map(str, cascaded.bundles)
    config = AuditConfig(
        (str(cascaded.crawl),),
        root,
        first,
        cascade=(second,),
        control=CONTROL,
        slice_images=5,
        threads=1,
        budget=Budget(0.5, "core"),
    )
    try:
        execute(plan(config))
        with monkeypatch.context() as patch:  # as if an image took 200 of the 1,800 seconds
            patch.setattr(cascading, "measure", lambda *_: Speed(1, 200.0, 0.0, "cpu", ()))
            (tier,) = cascading.cascade(plan(config))
        waiting = tier.undecided + tier.control
        assert (tier.chosen, tier.left, tier.allowed_seconds, tier.seconds_an_image) == (7, waiting - 7, 1800.0, 200.0)
        whole = rows(cascaded.output / "tiers" / "2", "attributions").drop_columns("slice_id").sort_by(ORDER)
        turns = {
            image_id: (turn(image_id) >= first_turns(CONTROL), turn(image_id))
            for image_id in whole.column("image_id").to_pylist()
        }
        assert set(reached(root)) == set(sorted(turns, key=turns.__getitem__)[:7]), "the control sample first"
        compact(CompactConfig(f"{root}/tiers/2", keep_seconds=0))
        (rest,) = cascading.cascade(plan(replace(config, budget=None)))
        assert (rest.chosen, rest.left) == (tier.left, 0)
        assert sorted(reached(root)) == sorted(turns)
        with open_audit(root) as tables, open_audit(str(cascaded.output)) as disk:
            query = "SELECT * EXCLUDE (slice_id, bundle) FROM {}.attributions ORDER BY shard, member"
            assert tables.sql(query.format("tier_2")).to_arrow().equals(disk.sql(query.format("tier_2")).to_arrow())
        assert verify(f"{root}/tiers/2", NO_OPTIONS, deep=True).findings == ()
    finally:
        fs, path = filesystem(root, NO_OPTIONS)
        fs.rm(path, recursive=True)


def reached(root: str) -> list[str]:
    with open_audit(root) as tables:
        return [row["image_id"] for row in tables.sql("SELECT image_id FROM tier_2.attributions").rows()]


def test_what_is_forgotten_is_forgotten_by_all_tiers_and_not_computed_again(
    cascaded: Cascaded, tmp_path: Path, capsys: Capture
) -> None:
    out = shutil.copytree(cascaded.output, tmp_path / "OUT")
    gone = rows(out / "tiers" / "3", "attributions").column("image_id").to_pylist()[0]
    code, found, _ = command(capsys, "forget", out, "--image-id", gone)
    assert code == 0
    assert [len(each["bundles"]) for each in (found, *found["tiers"])] == [1, 1, 1]
    code, found, _ = command(capsys, *asked(cascaded.crawl, out, *cascaded.bundles[:2]))
    assert (code, [tier["chosen"] for tier in found["tiers"]]) == (0, [0])
    for root in (out, *(out / "tiers").iterdir()):
        for table in TABLES:
            assert gone not in rows(root, table).column("image_id").to_pylist()
        assert verify(str(root), NO_OPTIONS, deep=True).findings == ()


def test_a_tier_keeps_to_its_bundle(cascaded: Cascaded, tmp_path: Path, capsys: Capture) -> None:
    first, second, third = cascaded.bundles
    out = shutil.copytree(cascaded.output, tmp_path / "OUT")
    code, found, _ = command(capsys, *asked(cascaded.crawl, out, first, third))
    assert code == 1
    assert len([*out.glob("runs/*.json")]) == len([*cascaded.output.glob("runs/*.json")]), "before tier 1 is computed"
    assert f"is of bundle {load_bundle(second).bundle_id}, not {load_bundle(third).bundle_id}" in found["error"]
    words = asked(cascaded.crawl, tmp_path / "new", first, second)
    code, found, _ = command(capsys, *words, "--budget", "2gpu-hours", "--device", "cpu")
    assert code == 1
    assert "give core-hours" in found["error"]
    assert not (tmp_path / "new").exists(), "before anything is computed"


def test_the_next_run_removes_the_list_of_images_that_a_stopped_one_left(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    stopped, ended = (Chosen.of((), CHOSEN.empty_table(), output, run_id) for run_id in ("first", "second"))
    assert [*ended.portions(output)] == [*stopped.portions(output)] == []
    ended.remove(output)
    assert [*tmp_path.rglob("*.part")] == []


@pytest.mark.parametrize("text", ["20core-hours", "1.5gpu-hours", "0.25core-hours"])
def test_a_budget_is_said_as_it_is_read(text: str) -> None:
    assert str(parse_budget(text)) == text
    assert parse_budget(f" {text.replace('-hours', 'hours')} ") == parse_budget(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": "20"}, "is no budget"),
        ({"budget": "2core-hours"}, "give --cascade"),
        ({"cascade": ("b",), "control": 1.5}, "a share of all images"),
    ],
)
def test_what_no_cascade_can_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        AuditConfig(("in",), "out", **given)
