"""A labelled shard of samples of the demo's diffusion prior, for ``causalprint train``.

``python -m causalprint.research.generators.sampled OUTPUT.tar``. What decoders make of photographs comes from ``make-aligned``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from causalprint.models.bundles.bundle import PACKAGED, RESIDUAL_FOLDER
from causalprint.models.encodings import encode_jpeg95
from causalprint.models.sampling import sample
from causalprint.pipelines.shards.demo import CROP, PRIOR
from causalprint.pipelines.shards.sample_tar import write_tar

SAMPLES = 80
SAMPLING_STEPS = (16, 16, 16, 25)
SEED = 1
"""Not the demo's: its samples stay unseen."""
LICENCE = "Apache-2.0 (made by this repository)"


def write_sampled_shard(prior: Path, path: Path, samples: int = SAMPLES) -> None:
    """Draws samples of the diffusion pipeline in folder ``prior`` and writes them with their labels, as JPEG 95, to a tar.

    ``samples`` is a multiple of four: as many for each number of sampling steps.
    """
    each = samples // len(SAMPLING_STEPS)
    drawn = np.concatenate([sample(prior, each, CROP, steps, SEED + run) for run, steps in enumerate(SAMPLING_STEPS)])
    label = {"source": PRIOR, "origin": PRIOR, "licence": LICENCE}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tar(
        path,
        (
            (f"{place:06d}", "jpg", encode_jpeg95(pixels), {**label, "content": f"sample-{place}"})
            for place, pixels in enumerate(drawn)
        ),
    )


if __name__ == "__main__":
    _, tar = sys.argv
    write_sampled_shard(PACKAGED / "demo" / RESIDUAL_FOLDER, Path(tar))
