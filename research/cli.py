"""``causalprint lab``: the commands of the laboratory. What is heavy they import when they are called."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from causalprint.pipelines.commands.command import add, command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.train import RESUMES
from causalprint.research.ablation.config import AblateConfig
from causalprint.research.aligned.config import AlignedConfig
from causalprint.research.anonymization.config import AnonymizeConfig
from causalprint.research.comparison.config import CompareConfig
from causalprint.research.pictures.config import PicturesConfig
from causalprint.research.structure.config import StructureConfig
from causalprint.research.training.config import CutConfig, LensConfig, ModelTrainingConfig

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.aligned.make_aligned import AlignedReport
    from causalprint.research.anonymization.records import Anonymization, Seen
    from causalprint.research.pictures.make_pictures import PicturesReport
    from causalprint.research.structure.study import Structure
    from causalprint.research.training.cut_encoder import CutEncoder
    from causalprint.research.training.own_model import TrainedModel
    from causalprint.research.training.train_lens import TrainedLens

AGAIN = "the same command begins again"


@command(CompareConfig, RESUMES)
def compare(config: CompareConfig, session: Session) -> int:
    """Train and test every method of the literature and ours alike; write one table with intervals, audits and figures."""
    from causalprint.research.comparison.compare import compare as run
    from causalprint.research.comparison.report import summary

    found = session.watch(partial(run, config))
    return session.present(found, lambda found, out: _say(out, summary(found), f"next: {config.output / 'RESULTS.md'}"))


@command(AblateConfig, f"{AGAIN}, and keeps the features")
def ablate(config: AblateConfig, session: Session) -> int:
    """Train and test a recipe without each of its parts, and each lens alone: one table with intervals."""
    from causalprint.research.ablation.ablate import ablate as run
    from causalprint.research.ablation.report import summary

    found = session.watch(partial(run, config))
    return session.present(found, lambda found, out: _say(out, summary(found), f"next: {config.output / 'RESULTS.md'}"))


@command(AnonymizeConfig, f"nothing was written; {AGAIN}")
def anonymize(config: AnonymizeConfig, session: Session) -> int:
    """Test how fragile a verdict is: change images invisibly until a bundle attributes them to another source.

    For those who train and audit attributors: a verdict that a change of a few levels overturns is no proof. Writes a PNG for
    each image, changed only in the crops that vote, and what the bundle, a JPEG and attributors not attacked make of it.
    """
    from causalprint.research.anonymization.anonymize import anonymize as run
    from causalprint.research.anonymization.study import study

    if config.study:
        studied = session.watch(partial(study, config))
        return session.present(studied, lambda _, out: _say(out, f"next: {config.output / 'RESULTS.md'}"))

    def show(found: Anonymization, out: Console) -> None:
        for row in found.attempts:
            psnr = "" if row.psnr is None else f", PSNR {row.psnr:.1f} dB"
            said = [f"{_words(row.before)} -> {_words(row.after)}", f"after JPEG 75 {_words(row.jpeg)}"]
            said += [f"{each.bundle}: {_words(each.before)} -> {_words(each.after)}" for each in row.held_out]
            said += [f"SSIM {row.ssim:.3f}{psnr}, at most {row.largest}/255"]
            _say(out, f"{row.file}: {'; '.join(said)}")
        _say(out, *(f"left out: {left.image}: {left.reason}" for left in found.left_out))
        done = sum(row.success for row in found.attempts)
        _say(out, f"{done} of {len(found.attempts)} as aimed; images and report in {config.output}")

    return session.present(session.watch(partial(run, config)), show)


@command(StructureConfig, AGAIN)
def structure(config: StructureConfig, session: Session) -> int:
    """Study whether the fingerprints of an evaluation group as their generators are built."""
    from causalprint.pipelines.console import new_table
    from causalprint.research.structure.study import structure as run

    def show(made: Structure, out: Console) -> None:
        for bundle in made.bundles:
            table = new_table(f"{bundle.bundle_id}: design choice", numbers=("generators", "NMI", "by chance", "p"))
            for row in bundle.rows:
                table.add_row(row.choice.replace("_", " "), f"{row.sources:,}", *(f"{share:.3f}" for share in row[4:]))
            out.print(table)
        _say(out, f"section: {config.output / 'RESULTS.md'}")

    return session.present(session.watch(partial(run, config)), show)


@command(AlignedConfig, AGAIN)
def make_aligned(config: AlignedConfig, session: Session) -> int:
    """Make the aligned track: the same photographs as they are and through each decoder, so that only the artefact differs."""
    from causalprint.research.aligned.make_aligned import make_aligned as run

    def show(made: AlignedReport, out: Console) -> None:
        left_out = {
            "of other sources": made.other,
            "too small": made.small,
            "damaged": made.damaged,
            "without a label": made.unlabelled,
            "repeated": made.repeated,
            "beyond the limit": made.beyond,
        }
        without = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
        tars = f"{made.photographs:,} photographs in {len(made.files)} tars: {', '.join(file.name for file in made.files)}"
        _say(out, f"{tars}; left out: {without}" if without else tars)
        _say(out, *(f"damaged, and used as far as it can be read: {damage}" for damage in made.damage))
        _say(out, f"next: causalprint train {made.output} --output DIR")

    return session.present(session.watch(partial(run, config)), show)


@command(PicturesConfig, "the same command makes what is missing")
def make_pictures(config: PicturesConfig, session: Session) -> int:
    """Make pictures: charts, pages, slides, icons, scans of text, and the art and photographs of packages, one tar an origin.

    No generator made them. Pages, slides and icons need Chromium; without it they are left out.
    """
    from causalprint.pipelines.results.figures import check_figures

    check_figures()  # matplotlib draws, and what it draws has its fonts
    from causalprint.research.pictures.make_pictures import make_pictures as run

    def show(made: PicturesReport, out: Console) -> None:
        for origin in made.origins:
            count = "there already" if origin.images is None else f"{origin.images:,} images; {'; '.join(origin.licences)}"
            _say(out, f"{origin.tar}: {count}")
        _say(out, *(f"left out: {reason}" for reason in made.left_out))
        _say(out, f"next: causalprint train GENERATED {made.output} --output DIR")

    return session.present(session.watch(partial(run, config)), show)


@command(LensConfig, RESUMES)
def train_lens(config: LensConfig, session: Session) -> int:
    """Train a convolutional lens, on the residual or on the image, at native resolution, from labelled images.

    Shards are streamed again in every epoch. With --val of other origins, what is kept is what carries over to them.
    """
    from causalprint.research.training.train_lens import train_lens as run

    def show(found: TrainedLens, out: Console) -> None:
        _say(out, f"macro recall {found.recall:.3f} after {found.epochs} epochs; see {found.card}")
        _say(out, f'next: name it under lenses of a recipe: {{lens: "{found.lens}", reading: {config.reading}}}')

    return session.present(session.watch(partial(run, config)), show)


@command(ModelTrainingConfig, RESUMES)
def train_prior(config: ModelTrainingConfig, session: Session) -> int:
    """Train the diffusion prior, the residual that ships inside the package, on photographs."""
    from causalprint.pipelines.progress import duration
    from causalprint.research.training.train_prior import train_prior as run

    def show(found: TrainedModel, out: Console) -> None:
        _say(out, f"{found.steps:,} steps in {duration(found.seconds)}; figures in {found.card}")
        _say(out, f"next: causalprint train INPUT --output DIR --residual denoise:{found.output}")

    return session.present(session.watch(partial(run, config)), show)


@command(CutConfig, AGAIN)
def cut_encoder(config: CutConfig, session: Session) -> int:
    """Cut a vision transformer in ONNX after the last of its blocks that is read, so that a bundle can carry it."""
    from causalprint.research.training.cut_encoder import cut_encoder as run

    def show(made: CutEncoder, out: Console) -> None:
        licences = ", ".join(made.licences) or "none found"
        _say(out, f"{made.size:,} bytes, {made.features:,} features of an image; licences: {licences}")
        _say(out, f'next: name it under lenses of a recipe: {{lens: "{made.lens}", reading: image}}')

    return session.present(session.watch(lambda _: run(config)), show)


def _say(out: Console, *lines: str) -> None:
    for line in lines:
        out.print(line, soft_wrap=True)


def _words(seen: Seen) -> str:
    likely = "" if seen.source is None else f" {seen.source} {seen.probability:.2f}"
    return f"{seen.verdict}{likely}"


app = typer.Typer()
add(app, compare, ablate, anonymize, structure, make_aligned, make_pictures, train_lens, train_prior, cut_encoder)
