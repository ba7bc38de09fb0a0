"""``causalprint lab anonymize``: images that a bundle attributes to another source, changed less than an eye can see."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from causalprint import __version__
from causalprint.models.encodings import encode_png
from causalprint.models.features import pick_device
from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader, Report
from causalprint.pipelines.results.sections import publish
from causalprint.research.anonymization.anonymizer import Aim, AnonymizeError, load_anonymizer
from causalprint.research.anonymization.config import AnonymizeConfig
from causalprint.research.anonymization.records import ATTEMPTS, Anonymization, Attempt, LeftOut
from causalprint.schemas.records import to_json
from causalprint.transforms.match_shards import match_shards

ResultT = TypeVar("ResultT")


def anonymize(config: AnonymizeConfig, report: Report = lambda _: None) -> Anonymization:
    """Changes every image and writes PNGs of the same size, ``report.json`` and ``anonymize.parquet``: all of them or nothing.

    Raises:
        AnonymizeError: the target, the method or a bundle does not fit, or no image has a verdict that could be changed.
        BundleError: a bundle cannot be used.
        GradientError: the bundle gives no gradient.
        InputError: an input matches nothing.
        ResultsError: the output cannot be written.
    """
    anonymizer = load_anonymizer(config, report)
    aim = Aim(config.method, config.target, config.epsilon)

    def work(image: LabelledImage) -> tuple[Attempt, bytes] | LeftOut:
        known = anonymizer.look_at(image)
        if isinstance(known, LeftOut):
            return known
        changed = anonymizer.attack(known, aim, config.seed)
        if isinstance(changed, LeftOut):
            return changed
        return anonymizer.attempt(known, changed, anonymizer.assess(changed), aim), encode_png(changed)

    found = list(each_image(config, None, work, report))
    done = [each for each in found if not isinstance(each, LeftOut)]
    left_out = tuple(each for each in found if isinstance(each, LeftOut))
    if not done:
        why = f": {left_out[0].image}: {left_out[0].reason}" if left_out else ""
        raise AnonymizeError(f"none of {len(left_out)} images could be changed{why}")
    names = _names([row for row, _ in done])
    attempts = tuple(row._replace(file=name) for (row, _), name in zip(done, names, strict=True))
    held_out = tuple(judge.bundle.bundle_id for judge in anonymizer.held_out)
    result = Anonymization(__version__, anonymizer.judge.bundle.bundle_id, held_out, attempts, left_out)
    files = dict(zip(names, (data for _, data in done), strict=True))
    files |= {"anonymize.parquet": parquet(attempts), "report.json": (to_json(result, indent=1) + "\n").encode()}
    publish(config.output, files)
    return result


def each_image(
    config: AnonymizeConfig, label_field: str | None, work: Callable[[LabelledImage], ResultT | LeftOut], report: Report
) -> Iterator[ResultT | LeftOut]:
    """``work`` on every image, several at a time, in order; then all that could not be read.

    Raises:
        ConnectionError: a shard cannot be read for now.
        LabelError: labels are asked for, and no image has one.
    """
    in_order = (shard for given in config.inputs for shard in match_shards([given], config.storage))  # as they were given
    shards = {shard.uri: shard for shard in in_order}
    threads = config.threads or (os.cpu_count() or 1 if pick_device(config.device) == torch.device("cpu") else 1)
    lost: list[LeftOut] = []
    reader = LabelledReader(
        tuple(shards.values()), label_field, config.storage, lost=lambda name, why: lost.append(LeftOut(name, why))
    )
    for count, done in enumerate(reader.map(work, threads=threads), 1):
        report(f"{count} images")
        yield done
    yield from lost


def parquet(attempts: Sequence[Attempt]) -> bytes:
    """A Parquet file of schema :data:`causalprint.research.anonymization.records.ATTEMPTS`."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([json.loads(to_json(row)) for row in attempts], ATTEMPTS), sink, compression="zstd")
    return sink.getvalue()


def _names(attempts: Sequence[Attempt]) -> list[str]:
    stems = [PurePosixPath(row.image.rpartition("#")[2]).stem for row in attempts]
    alone = [stem if stems.count(stem) == 1 else f"{stem}-{row.image_id[:8]}" for stem, row in zip(stems, attempts, strict=True)]
    return [f"{name}.png" for name in alone]
