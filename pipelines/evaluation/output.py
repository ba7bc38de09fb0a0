"""The files of an evaluation: JSON, predictions, figures, and its section of ``RESULTS.md``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from causalprint.pipelines.evaluation.text import section
from causalprint.pipelines.results.figures import Points, confusion, fingerprint_map, line, reliability, robustness, spectra
from causalprint.pipelines.results.sections import FIGURES, publish_section
from causalprint.schemas.records import to_json

if TYPE_CHECKING:
    from causalprint.models.evaluation.judging import Judged
    from causalprint.models.labelled import LabelledCrops
    from causalprint.schemas.evaluations import Evaluation

EVALUATION = "evaluation.json"
PREDICTIONS = "predictions.parquet"


def write_evaluation(
    output: Path, key: str, found: Evaluation, labelled: LabelledCrops, judged: Sequence[Judged], pool: Executor
) -> None:
    """Writes everything below ``output``, all or nothing; ``key`` names the section and begins the names of figures."""
    drawn = _draw(key, found, labelled, judged, pool)
    files = {name: data for name, (data, _) in drawn.items()}
    files[EVALUATION] = (to_json(found, indent=1) + "\n").encode()
    files[PREDICTIONS] = predictions(found, labelled, judged)
    publish_section(output, key, section(found, {name: about for name, (_, about) in drawn.items()}), files)


def predictions(found: Evaluation, labelled: LabelledCrops, judged: Sequence[Judged]) -> bytes:
    """A Parquet file of schema :data:`causalprint.schemas.evaluations.PREDICTIONS`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from causalprint.schemas.evaluations import PREDICTIONS as SCHEMA

    about = {**SCHEMA.metadata, b"command": found.command.encode(), b"track": found.track.encode()}
    schema = SCHEMA.with_metadata(about)
    tables = []
    for one in judged:
        bundle, verdicts = one.judge.bundle, one.verdicts
        best = verdicts.found
        columns = {
            "image_id": pa.array(labelled.images.image_id.tolist(), pa.string()),
            "source": pa.array(labelled.images.source.tolist(), pa.string()),
            "origin": pa.array(labelled.images.origin.tolist(), pa.string()),
            "content": pa.array(labelled.images.content.tolist(), pa.string()),
            "bundle": pa.array([bundle.bundle_id] * len(best), pa.string()),
            "verdict": pa.array(verdicts.verdict.tolist(), pa.string()),
            "named": pa.array([name or None for name in verdicts.named.tolist()], pa.string()),
            "candidate": pa.array([bundle.manifest.sources[place] for place in best], pa.string()),
            "probability": pa.array(verdicts.probabilities.max(axis=1), pa.float32()),
            "generated_probability": pa.array(verdicts.generated, pa.float32()),
            "novelty": pa.array(verdicts.novelty, pa.float32()),
            "fingerprint": pa.FixedSizeListArray.from_arrays(
                pa.array(verdicts.fingerprint.ravel()), type=schema.field("fingerprint").type
            ),
        }
        tables.append(pa.table([columns[name] for name in schema.names], schema=schema))
    sink = io.BytesIO()
    # As in the tables of an audit: DuckDB reads no byte-stream split of float16.
    pq.write_table(pa.concat_tables(tables), sink, compression="zstd")
    return sink.getvalue()


def _draw(
    key: str, found: Evaluation, labelled: LabelledCrops, judged: Sequence[Judged], pool: Executor
) -> dict[str, tuple[bytes, str]]:
    """Every figure and what it shows, by its path."""
    from causalprint.models.evaluation.residual_spectra import residual_spectra

    sources = labelled.images.source
    drawn: dict[str, tuple[bytes, str]] = {}
    for place, (bundle, one) in enumerate(zip(found.bundles, judged, strict=True), 1):
        suffix = f"-{place}" if place > 1 else ""
        rows = [row.source if row.known else f"{row.source} *" for row in bundle.confusion]
        counts = np.array([row.counts for row in bundle.confusion], np.int64)
        title = f"{bundle.bundle_id}, % of each row (* not known to it)"
        about = f"What images are taken for by {bundle.bundle_id}, in percent of each source"
        drawn[f"confusion{suffix}"] = (confusion(rows, bundle.sources, counts, title), about)
        title = f"Fingerprints of {bundle.bundle_id}, two principal components"
        drawn[f"fingerprints{suffix}"] = (fingerprint_map(one.verdicts.fingerprint, sources, title), title)
    curves = {
        f"{bundle.bundle_id}, {stage}": Points([each.probability for each in bins], [each.right for each in bins])
        for bundle in found.bundles
        for stage, bins in (("before", bundle.before), ("after", bundle.after))
    }
    title = "Reliability, images of known sources"
    drawn["reliability"] = (reliability(curves, title), f"{title}; scores as they are (before) and calibrated (after)")
    if shown := [bundle for bundle in found.bundles if bundle.robustness]:
        panels = {
            "macro accuracy": {one.bundle_id: line([row.accuracy for row in one.robustness]) for one in shown},
            "verdicts flipped": {one.bundle_id: line([row.flips for row in one.robustness]) for one in shown},
        }
        figure = robustness([row.name for row in shown[0].robustness], panels, "Robustness, images of known sources")
        drawn["robustness"] = (figure, "Macro accuracy and share of verdicts flipped, by perturbation")
    first = judged[0].judge
    title = "Mean power spectra of residuals"
    by_source = residual_spectra(first.bundle.residual, first.fingerprinter.device, labelled.crops, sources, pool)
    about = f"{title} of {first.bundle.bundle_id}, by source, frequency 0 in the middle"
    drawn["spectra"] = (spectra(by_source, title), about)
    return {f"{FIGURES}/{key}-{name}.png": figure for name, figure in drawn.items()}
