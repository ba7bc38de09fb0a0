"""The command that adds a generator to a bundle from a few of its images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import NO_OPTIONS, Device, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument, output

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.enroll import EnrolmentReport


@dataclass(frozen=True, slots=True)
class EnrolConfig(Command):
    """A bundle, the images of a generator that it does not know, and its name."""

    NAME = "enroll"

    bundle: Annotated[str, argument("The bundle to extend: a folder, or `default`, the one inside the package.", "BUNDLE")]
    images: Annotated[
        tuple[str, ...], argument("Images of the generator, 5 to 50: files, folders or shards, as audit takes them.", "IMAGES")
    ]
    output: Annotated[Path, output("Write the new bundle to this folder.")]
    name: Annotated[str, Option("Call the generator so: lower-case letters, digits, hyphens and dots.", "NAME", DATA)]
    family: Annotated[str | None, Option("Its family.", "NAME", DATA, usual="one of its own")] = None
    device: Device = "auto"
    storage: StorageOptions = NO_OPTIONS


@command(EnrolConfig, "the same command begins again")
def enroll(config: EnrolConfig, session: Session) -> int:
    """Teach a bundle a new generator from 5 to 50 of its images, without training.

    The new bundle has the old one's fingerprints, and gives the new name to what reaches a limit that at most 1 % of other images
    are expected to reach. All other verdicts stay. It is refused where the images cannot be told from those of others.
    """
    from causalprint.pipelines.enroll import enroll_images

    return session.present(session.watch(partial(enroll_images, config)), _print)


def _print(report: EnrolmentReport, out: Console) -> None:
    out.print(f"{report.output}: bundle {report.bundle_id} knows {report.name}", soft_wrap=True)
    out.print(f"found, each left out in turn: {report.found} of {report.images} images", soft_wrap=True)
    confused = ", ".join(f"{one.source} {one.share:.1%}" for one in report.confused)
    out.print(f"expected to be given the name: {report.accused:.2%} of images by others; of {confused}", soft_wrap=True)
    for left_out in report.left_out:
        out.print(f"left out: {left_out}", soft_wrap=True)
