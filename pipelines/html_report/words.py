"""What the tables' short words mean, for somebody who has never seen one of them."""

from __future__ import annotations

from causalprint.schemas.reasons import Abstention, Reason, Stage

OUTCOMES = {
    "generated": "taken for generated",
    "photograph": "cleared as a photograph",
    "graphic": "cleared as a graphic",
    "undecided": "undecided",
    "not judged": "not judged",
}

REASONS: dict[str, str] = {
    Abstention.TOO_SMALL: "smaller than what the bundle analyses; it is never enlarged",
    Abstention.UNDECIDED: "neither surely generated nor surely not",
    Abstention.NO_SOURCE: "surely generated, but no generator is likely enough to be named",
    Abstention.DAMAGED: "the file is damaged: some of its pixels may be made up",
    Abstention.FLAT: "no texture, such as one plain colour: there is no evidence in it",
    Abstention.UNCALIBRATED: "computed with another model than the one that the bundle was made for",
    Reason.TRUNCATED_MEMBER: "the file around it ends, or is damaged, inside this image",
    Reason.CORRUPT_HEADER: "its entry in the file around it is damaged",
    Reason.CORRUPT_RECORD: "its record is damaged: the check sum is wrong",
    Reason.READER_ERROR: "reading failed in a way that nobody foresaw",
    Reason.NO_BYTES: "there is a row for it, and no image in the row",
    Reason.EMPTY: "a file without content",
    Reason.TOO_LARGE: "a file larger than one image may be",
    Reason.UNSUPPORTED_FORMAT: "not an image, or in a format that is not read",
    Reason.UNSUPPORTED_VARIANT: "an image of a kind that is not read",
    Reason.TOO_MANY_PIXELS: "it claims to have more pixels than one image may have",
    Reason.TOO_COSTLY: "reading it would cost far more than an image may cost",
    Reason.TRUNCATED_IMAGE: "the image ends early or has a hole",
    Reason.CORRUPT_IMAGE: "its content is damaged",
    Reason.MODEL_ERROR: "computing failed for this image alone",
    Reason.NON_FINITE: "computing gave no number",
}

STAGES: dict[str, str] = {
    Stage.READ: "while it was read",
    Stage.DECODE: "while it was decoded",
    Stage.COMPUTE: "while it was computed",
}

SCALARS = {
    "residual_energy": ("Energy", "how much of the image the model could not explain"),
    "dft_peak": ("Strongest line, dB", "how far the strongest regular pattern stands out of the spectrum"),
    "radial_slope": ("Slope", "how fast fine detail falls off; cameras and generators differ in it"),
    "dct_blockiness": ("Blocks", "traces of JPEG's blocks of 8 pixels; 1 is none"),
}

GLOSSARY = (
    ("Abstain", "To say nothing, with a reason. An image on which the bundle abstains is neither accused nor cleared."),
    ("Bundle", "A folder with all that a verdict depends on besides the image: models, limits, and a card with figures."),
    ("Cleared", "Called a photograph or a graphic. It is the bundle's word, and among cleared images some are generated."),
    (
        "Evidence",
        "The log likelihood ratio: 0 is none, each further unit makes it 2.7 times likelier that the image is generated.",
    ),
    ("Family", "Generators of one kin, such as two versions of one service."),
    ("Fingerprint", "128 numbers that sum up what a model could not explain of an image."),
    ("Generator", "Software that makes pictures with a learned model, such as Stable Diffusion."),
    ("Graphic", "A picture that ordinary software drew: a chart, an icon, a screenshot, a page of text."),
    ("Image id", "The SHA-256 digest of the image's file. Whoever has the same file computes the same id."),
    ("Interval", "Where the true value lies in 95 of 100 cases, as far as chance goes. It knows nothing of other errors."),
    ("Probability", "A number from 0 to 1. It depends on how frequent generated images are taken to be, usually half of all."),
    ("Residual", "An image less what a model makes of it: what the model cannot explain."),
    ("Shard", "A file of the dataset that holds many images, such as a tar archive; or one image file."),
    ("Verdict", "What the bundle says of an image. It is a reason to look, never a finding of fact."),
)
