"""The command that gathers what there is for single findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.evidence.make_evidence import EvidenceReport


@dataclass(frozen=True, slots=True)
class EvidenceConfig(Command):
    """Of which findings, and where to."""

    NAME = "evidence"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    image_id: Annotated[
        tuple[str, ...],
        Option("Gather the evidence of this image: its image_id, or the first digits of it. May be given again.", "ID", DATA),
    ]
    output: Annotated[str, output("Write to this folder, or to this zip file, here or on a store.", "DIR|FILE.zip")]
    bundle: Annotated[
        str | None,
        Option("Tell the verdict of this bundle: its id or its folder.", "BUNDLE", DATA, usual="that of the newest run"),
    ] = None
    storage: StorageOptions = NO_OPTIONS


@command(EvidenceConfig)
def evidence(config: EvidenceConfig, session: Session) -> int:
    """Gather what there is for a finding: its bytes again, what was looked at as pictures, the numbers, the bundle's card.

    The bytes are proved by their digest, and the bundle is asked about them once more: exits with 3 where either fails.
    """
    from causalprint.pipelines.evidence.make_evidence import make_evidence

    made = session.watch(partial(make_evidence, config))
    session.present(made, _print)
    failed = any(one.lost or one.again == "other" for one in made.images)
    return ExitCode.INCOMPLETE if failed else ExitCode.COMPLETE


def _print(made: EvidenceReport, out: Console) -> None:
    said = {
        "exact": "the same again, to the last digit",
        "verdict": "the same verdict again, with other digits",
        "other": "ANOTHER VERDICT when asked again",
        None: "not asked again: the bundle is not here",
    }
    for one in made.images:
        out.print(f"{one.image_id}: {one.verdict}, {one.lost or said[one.again]}", soft_wrap=True)
    out.print(f"evidence of {len(made.images):,} images: {made.output}", soft_wrap=True)
