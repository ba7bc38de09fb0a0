"""``causalprint lab anonymize``: images that a bundle attributes to another source, changed less than an eye can see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from causalprint.research.anonymization.attacks import (
    Aim,
    AnonymizeError,
    Report,
    attack,
    attempt,
    each_image,
    load_tools,
    look_at,
)
from causalprint.research.anonymization.config import AnonymizeConfig
from causalprint.research.anonymization.records import Anonymization, Attempt, LeftOut

if TYPE_CHECKING:
    from causalprint.pipelines.labelled.reader import LabelledImage

ATTEMPTS = "anonymize.parquet"
REPORT = "report.json"


def anonymize(config: AnonymizeConfig, report: Report = lambda _: None) -> Anonymization:
    """Changes every image and writes PNGs of the same size, ``report.json`` and ``anonymize.parquet``: all of them or nothing.

    Raises:
        AnonymizeError: the target, the method or a bundle does not fit, or no image has a verdict that could be changed.
        BundleError: a bundle cannot be used.
        GradientError: the bundle gives no gradient.
        InputError: an input matches nothing.
        ResultsError: the output cannot be written.
    """
    from causalprint import __version__
    from causalprint.models.encodings import encode_png
    from causalprint.pipelines.results.sections import publish
    from causalprint.schemas.records import to_json

    tools = load_tools(config, report)
    aim = Aim(config.method, config.target, config.epsilon)

    def work(image: LabelledImage) -> tuple[Attempt, bytes] | LeftOut:
        known = look_at(image, tools)
        if isinstance(known, LeftOut):
            return known
        changed = attack(known, aim, config.seed, tools)
        if isinstance(changed, LeftOut):
            return changed
        return attempt(known, changed, tools.anonymizer.assess(changed), aim, tools), encode_png(changed)

    found = list(each_image(config, None, work, report))
    done = [each for each in found if not isinstance(each, LeftOut)]
    left_out = tuple(each for each in found if isinstance(each, LeftOut))
    if not done:
        why = f": {left_out[0].image}: {left_out[0].reason}" if left_out else ""
        raise AnonymizeError(f"none of {len(left_out)} images could be changed{why}")
    names = _names([row for row, _ in done])
    attempts = tuple(row._replace(file=name) for (row, _), name in zip(done, names, strict=True))
    result = Anonymization(__version__, tools.anonymizer.judge.bundle.bundle_id, tools.held_out, attempts, left_out)
    files = dict(zip(names, (data for _, data in done), strict=True))
    publish(config.output, files | {ATTEMPTS: parquet(attempts), REPORT: (to_json(result, indent=1) + "\n").encode()})
    return result


def _names(attempts: Sequence[Attempt]) -> list[str]:
    stems = [PurePosixPath(row.image.rpartition("#")[2]).stem for row in attempts]
    alone = [stem if stems.count(stem) == 1 else f"{stem}-{row.image_id[:8]}" for stem, row in zip(stems, attempts, strict=True)]
    return [f"{name}.png" for name in alone]


def parquet(attempts: Sequence[Attempt]) -> bytes:
    """A Parquet file of schema :data:`causalprint.research.anonymization.records.ATTEMPTS`."""
    import io
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    from causalprint.research.anonymization.records import ATTEMPTS as SCHEMA
    from causalprint.schemas.records import to_json

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([json.loads(to_json(row)) for row in attempts], SCHEMA), sink, compression="zstd")
    return sink.getvalue()
