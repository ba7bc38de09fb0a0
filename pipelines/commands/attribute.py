"""The command that gives stored fingerprints other verdicts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from causalprint.pipelines.attribute import execute, plan
from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.progress import UNSEEN, display, follow, watched
from causalprint.pipelines.report import ScoringReport, print_report, scoring_report
from causalprint.pipelines.runners import RUNNERS
from causalprint.schemas.attribute import AttributeConfig

if TYPE_CHECKING:
    from rich.console import Console


@command(AttributeConfig)
def attribute(config: AttributeConfig, session: Session) -> int:
    """Give the images of an audit other verdicts, from their stored fingerprints: no image is opened.

    With another bundle that shares the fingerprint of the audit's, such as one with one more generator, with another prior, or
    another limit. The verdicts stand beside the old ones, as a bundle of their own. Options for Beam follow two dashes.
    """
    from causalprint.pipelines.audit_views import audit_now

    began = time.monotonic()
    with session.log.status("looking at the output"):
        planned = plan(config)

    with watched(planned.shards, None if RUNNERS[config.runner].local else UNSEEN) as follower, display(session.log) as show:
        manifest = follow(lambda: execute(planned), follower, show, session.warn)
    now = audit_now(config.output, config.storage)
    found = scoring_report(manifest, planned.scoring, now, time.monotonic() - began)
    session.present(found, _print)
    return found.exit_code


def _print(found: ScoringReport, out: Console) -> None:
    scoring = found.scoring
    estimated = f", estimated from {scoring.estimated_from:,} images" if scoring.estimated_from else ""
    out.print(f"prior: {scoring.prior}{estimated}", soft_wrap=True)
    out.print(f"embeddings of {scoring.embeddings}, verdicts as bundle {found.bundle_id}", soft_wrap=True)
    if wrong := scoring.wrong_names:
        out.print(
            f"named from probability {wrong.limit:g} on: of {wrong.names:,} names of held-out images {wrong.wrong:,} are wrong; "
            f"at most {wrong.at_most:.1%} of such names are (95 %), and of images of other origins it may be more",
            soft_wrap=True,
        )
    print_report(found, out)
