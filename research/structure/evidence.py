"""``causalprint lab structure``: do the fingerprints of an evaluation group as the generators are built?"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.pipelines.results.sections import publish_section
from causalprint.research.structure.config import StructureConfig
from causalprint.research.structure.designs import DESIGNS
from causalprint.research.structure.study import LEAST_SOURCES, StructureRow, structure_study
from causalprint.schemas.records import to_json
from causalprint.schemas.rendering import render

if TYPE_CHECKING:
    import pyarrow as pa

    from causalprint.pipelines.labelled.reader import Report

KEY = "structure"
RESULT = "structure.json"
PREDICTIONS = "predictions.parquet"
COLUMNS = ("fingerprint", "source", "bundle")


class EvidenceError(ValueError):
    """A folder that holds no evaluation whose structure could be studied; the message says what to give."""


@dataclass(frozen=True, slots=True)
class BundleStructure:
    """How far the fingerprints of one bundle follow each design choice, the strongest first."""

    bundle_id: str
    rows: tuple[StructureRow, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """``structure.json``.

    Attributes:
        command: what repeats it.
        bundles: those of the evaluation, in its order.
    """

    command: str
    bundles: tuple[BundleStructure, ...]


def structure(config: StructureConfig, report: Report = lambda _: None) -> Structure:
    """Studies every bundle of an evaluation, and writes ``structure.json`` and the section of ``RESULTS.md``.

    Raises:
        EvidenceError: there is no evaluation, or too few of its sources have a declared design.
        ResultsError: the output cannot be written.
    """
    import numpy as np
    import pyarrow.compute as pc

    table = _predictions(config.evidence)
    studied = []
    for bundle in table.column("bundle").unique().to_pylist():
        report(f"clustering the fingerprints of {bundle}")
        rows = table.filter(pc.equal(table.column("bundle"), bundle))
        values = rows.column("fingerprint").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        sources = np.array(rows.column("source").to_pylist(), np.str_)
        found = structure_study(values.reshape(len(rows), -1), sources, DESIGNS, config.seed)
        studied.append(BundleStructure(bundle, tuple(found)))
    if not any(one.rows for one in studied):
        raise EvidenceError(
            f"{config.evidence}: fewer than {LEAST_SOURCES} of its sources have a declared design that differs; the study knows "
            f"{', '.join(DESIGNS)}"
        )
    made = Structure(shlex.join(config.argv()), tuple(studied))
    text = render("research/structure/section.md.j2", made=made)
    publish_section(config.output, KEY, text, {RESULT: (to_json(made, indent=1) + "\n").encode()})
    return made


def _predictions(evidence: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = evidence / PREDICTIONS
    try:
        return pq.read_table(path, columns=list(COLUMNS))
    except FileNotFoundError as error:
        raise EvidenceError(f"{path} is not there; give the folder that `causalprint evaluate --output` wrote") from error
    except (pa.ArrowInvalid, KeyError) as error:
        raise EvidenceError(f"{path} is no table of an evaluation: {json.dumps(str(error))}; evaluate again") from error
