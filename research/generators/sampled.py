"""A labelled shard of samples of the package's diffusion prior, for ``causalprint train``.

``python -m causalprint.research.generators.sampled OUTPUT.tar``. What decoders make of photographs comes from ``make-aligned``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from causalprint.models.encodings import ENCODINGS
from causalprint.pipelines.shards.demo import CROP, PRIOR
from causalprint.pipelines.shards.sample_tar import write_tar

SAMPLES = 80
SAMPLING_STEPS = (16, 16, 16, 25)
SEED = 1
"""Not the demo's: its samples stay unseen."""
LICENCE = "Apache-2.0 (made by this repository)"


def write_sampled_shard(prior: Path, path: Path, samples: int = SAMPLES, encoding: str = "jpeg95") -> None:
    """Draws samples of the prior and writes them with their labels.

    Args:
        prior: the diffusion pipeline's folder.
        path: of the tar.
        samples: a multiple of four: as many for each number of sampling steps.
        encoding: a key of :data:`~causalprint.models.encodings.ENCODINGS`.
    """
    import numpy as np

    from causalprint.models.sampling import sample

    each = samples // len(SAMPLING_STEPS)
    drawn = np.concatenate([sample(prior, each, CROP, steps, SEED + run) for run, steps in enumerate(SAMPLING_STEPS)])
    suffix, encode = ENCODINGS[encoding]
    label = {"source": PRIOR, "origin": PRIOR, "licence": LICENCE}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tar(
        path,
        ((f"{place:06d}", suffix, encode(pixels), {**label, "content": f"sample-{place}"}) for place, pixels in enumerate(drawn)),
    )


def main(arguments: Sequence[str]) -> None:
    """Writes the shard from the prior inside the package."""
    from causalprint.models.bundles.bundle import DEFAULT, RESIDUAL_FOLDER

    (path,) = arguments
    write_sampled_shard(DEFAULT / RESIDUAL_FOLDER, Path(path))


if __name__ == "__main__":
    main(sys.argv[1:])
