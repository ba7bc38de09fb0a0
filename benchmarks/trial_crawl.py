"""A crawl whose truth is known, audited by the bundle that ships: how many of its surest finds are generated.

    python benchmarks/trial_crawl.py IMAGES --output DIR [--bundle BUNDLE]

IMAGES holds labelled WebDataset tars. Taken are 220 photographs and 82 generated images of origins that the bundle's card
does not name, drawn by their digests and evenly from every origin, and 17 files that are broken or odd. They are written to
``DIR/crawl/*.tar`` under numbers, with sidecars that hold an address and a caption and not the truth, which is in
``DIR/truth.csv``. ``DIR/audit`` holds the tables and ``report.html``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.manifest import ART, REAL, UNREGISTERED
from causalprint.pipelines.open_audit import open_audit
from causalprint.pipelines.shards.sample_tar import write_tar

PHOTOGRAPHS, GENERATED, SHARDS, SUREST = 220, 82, 4, 20
SITES = ("photos.example.org", "blog.example.com", "shop.example.net", "cdn.pictures.example")


class Sample(NamedTuple):
    """An encoded image or what pretends to be one, and the truth about it: its source and its origin."""

    source: str
    origin: str
    extension: str
    data: bytes

    @property
    def order(self) -> str:
        """What shuffles alike wherever it runs."""
        return hashlib.sha256(b"trial crawl " + self.data).hexdigest()


def main(images: Path, output: Path, bundle: str | None) -> None:
    """Builds the crawl, audits it, and prints what the audit found beside the truth."""
    learned = {(one.source, one.origin) for one in load_bundle(bundle).manifest.data}
    photographs, generated = defaultdict[str, list[Sample]](list), defaultdict[str, list[Sample]](list)
    for tar in sorted(images.rglob("*.tar")):
        for sample in samples(tar):
            new = not {(sample.source, sample.origin), (UNREGISTERED, sample.source)} & learned
            if new and sample.source not in (ART, "graphic") and tar.name != "originals.tar":
                (photographs if sample.source == REAL else generated)[f"{sample.source} {sample.origin}"].append(sample)
    crawl = [*evenly(photographs.values(), PHOTOGRAPHS), *evenly(generated.values(), GENERATED)]
    crawl = sorted([*crawl, *odd([one for one in crawl if one.source == REAL][:9])], key=lambda one: one.order)
    write(crawl, output)
    audit = output / "audit"
    options = [] if bundle is None else ["--bundle", bundle]
    run("audit", str(output / "crawl"), "--output", str(audit), *options)
    run("report", str(audit), "--images")
    truth = {hashlib.sha256(one.data).hexdigest(): one.source for one in crawl}
    with open_audit(str(audit)) as tables:
        found = tables.sql("""
            SELECT image_id, verdict IN ('known', 'unknown') OR (verdict = 'abstain' AND reason = 'no-source') AS taken
            FROM findings WHERE log_likelihood_ratio IS NOT NULL ORDER BY log_likelihood_ratio DESC, image_id
        """).rows()
    made = [truth[row["image_id"]] != REAL for row in found]
    taken = [right for row, right in zip(found, made, strict=True) if row["taken"]]
    print(f"of the {SUREST} surest images {sum(made[:SUREST])} are generated; of 50 surest, {sum(made[:50])}")
    print(f"taken for generated: {len(taken)}, of which {sum(taken)} are; generated in the crawl: {GENERATED}")


def samples(path: Path) -> Iterator[Sample]:
    """The images of a tar with the truth of their sidecars."""
    with tarfile.open(path) as tar:
        held: dict[str, dict[str, bytes]] = defaultdict(dict)
        for member in tar:
            key, _, extension = member.name.rpartition(".")
            held[key][extension] = tar.extractfile(member).read()  # type: ignore[union-attr] # the tars hold plain files
    for parts in held.values():
        sidecar = json.loads(parts.pop("json", b"{}"))
        for extension, data in parts.items():
            if "origin" in sidecar and "source" in sidecar:
                yield Sample(sidecar["source"], sidecar["origin"], extension, data)


def evenly(groups: Iterable[list[Sample]], count: int) -> list[Sample]:
    """So many samples, one of each group after another, each group in the order of its digests."""
    ordered = [sorted(group, key=lambda one: one.order) for group in groups]
    rounds = (group[place] for place in range(max(map(len, ordered))) for group in ordered if place < len(group))
    return [sample for _, sample in zip(range(count), rounds, strict=False)]


def odd(photographs: list[Sample]) -> list[Sample]:
    """What lies in every crawl besides: 17 files that are broken, no images, too small, or oddly stored."""
    first = [Image.open(io.BytesIO(one.data)).convert("RGB") for one in photographs]
    files = [
        ("empty", "jpg", b""),
        ("a page", "jpg", b"<!DOCTYPE html><html><body>404 not found</body></html>"),
        ("text", "png", b"Access denied\n"),
        ("a PDF", "jpg", b"%PDF-1.7\n" + bytes(400)),
        ("a drawing", "png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        ("noise", "jpg", hashlib.sha512(b"noise").digest() * 8),
        *(("cut", "jpg", one.data[: len(one.data) * part // 100]) for part, one in zip((1, 40, 90), photographs, strict=False)),
        ("thumbnail", "jpg", encoded(first[3].resize((96, 96)), "JPEG")),
        ("icon", "png", encoded(first[4].resize((32, 32)), "PNG")),
        ("white", "png", encoded(Image.new("RGB", (640, 480), "white"), "PNG")),
        ("four inks", "jpg", encoded(first[5].convert("CMYK"), "JPEG")),
        ("palette", "gif", encoded(first[6].convert("P"), "GIF")),
        ("grey", "webp", encoded(first[7].convert("L"), "WEBP")),
        ("upscaled", "jpg", encoded(first[8].resize((900, 900)), "JPEG")),
        ("a bomb", "png", bomb()),
    ]  # fmt: skip
    return [Sample("odd", *file) for file in files]


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 2.5 gigapixels."""
    whole = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    whole[16:24] = (50_000).to_bytes(4, "big") * 2
    return bytes(whole)


def encoded(image: Image.Image, name: str) -> bytes:
    """The image's file."""
    buffer = io.BytesIO()
    image.save(buffer, name)
    return buffer.getvalue()


def write(crawl: list[Sample], output: Path) -> None:
    """The tars, and the truth beside them."""
    (output / "crawl").mkdir(parents=True, exist_ok=True)
    rows = [(f"{number:06d}", one.extension, one.data, sidecar(number, one)) for number, one in enumerate(crawl)]
    for shard in range(SHARDS):
        write_tar(output / "crawl" / f"{shard:05d}.tar", rows[shard::SHARDS])
    with (output / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(("image_id", "source", "origin"))
        lines.writerows((hashlib.sha256(one.data).hexdigest(), one.source, one.origin) for one in crawl)


def sidecar(number: int, one: Sample) -> dict[str, object]:
    """What a crawl knows of an image."""
    site = SITES[int(one.order[:4], 16) % len(SITES)]
    return {"url": f"https://{site}/{one.order[:12]}.{one.extension}", "caption": f"picture {number}"}


def run(*words: str) -> None:
    """A command of ours; ends the process where it fails."""
    code = subprocess.run([sys.executable, "-m", "causalprint", *words], check=False).returncode
    if code not in (0, 3):
        sys.exit(f"causalprint {words[0]} ended with {code}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--bundle")
    given = parser.parse_args()
    main(given.images, given.output, given.bundle)
