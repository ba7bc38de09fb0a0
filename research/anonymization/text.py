"""A study of attacks in words and tables: its section of ``RESULTS.md``."""

from __future__ import annotations

import shlex

from causalprint.pipelines.results.sections import markdown_table, titled
from causalprint.research.anonymization.records import ABOUT, AttackSummary, Study
from causalprint.schemas.estimates import NOT_MEASURED


def section(found: Study, key: str, *, survives_jpeg: bool) -> str:
    """The section ``key`` of ``RESULTS.md``."""

    def words(row: AttackSummary) -> list[str]:
        epsilon = f"{row.epsilon * 255:.0f}/255" if row.epsilon else ""
        return [ABOUT[row.method], "a drawn source" if row.targeted else "any other source", epsilon]

    attacked = markdown_table(
        ["change", "towards", "ε", "images", "success", "after JPEG 75", "SSIM, mean", "least", "PSNR, dB", "rms, levels"],
        (
            [
                *words(row),
                str(row.images),
                row.success.show(2),
                row.jpeg_success.show(2),
                f"{row.ssim:.3f}",
                f"{row.least_ssim:.3f}",
                "" if row.psnr is None else f"{row.psnr:.1f}",
                f"{row.rms:.2f}",
            ]
            for row in found.rows
        ),
        words=3,
    )
    transfer = markdown_table(
        ["bundle", "change", "towards", "ε", "images it had right", "success"],
        (
            [each.bundle, *words(row), str(each.images), NOT_MEASURED if each.success is None else each.success.show(2)]
            for row in found.rows
            for each in row.transfers
        ),
        words=4,
    )
    about = (
        f"{found.images} of {found.seen} labelled images, those whose source `{found.bundle_id}` names rightly, each changed "
        "within ±ε so that the verdict names a source drawn at random, or any but the right one. Success is measured on the "
        "8-bit PNG: the verdict names the drawn source; or the best candidate is a wrong one. Similarity is that of the crops "
        "that vote. Brackets: 95 % intervals, contents resampled. Every attempt is in "
        f"`{key}.parquet`. causalprint {found.version}.\n\nThe descent ends at the first image that meets its constraint"
        f"{', also as a JPEG of quality 75' if survives_jpeg else ''}: it changes no more than it must, so what it "
        "does to a JPEG or to other attributors is the least that is to be expected."
    )
    others = [
        "### On attributors that were not attacked",
        "Of the images that such a bundle had right before, the share that its own verdict gives to another source, as aimed.",
        transfer,
    ]
    return titled(
        f"Anonymisation{', surviving JPEG' if survives_jpeg else ''}: how fragile {found.bundle_id} is",
        shlex.split(found.command),
        about,
        attacked,
        *(others if found.held_out else ()),
    )
