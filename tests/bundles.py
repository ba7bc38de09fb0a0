"""A tiny but real bundle, made in a moment: a random U-Net as residual, random projections, a random head.

It computes everything that the shipped one computes (its verdicts mean nothing), in a few milliseconds an image.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.numpy import load_file

from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, FINGERPRINT_FILE, RESIDUAL_FOLDER, Bundle, save_bundle
from causalprint.models.bundles.held_out import held_out_tensors
from causalprint.models.bundles.manifest import SCHEMA, Decision, Geometry, Manifest, Origin
from causalprint.models.features import FeatureExtractor, feature
from causalprint.models.fingerprint import Fingerprinter
from causalprint.models.statistics.discriminant import discriminants
from causalprint.schemas.tables import FINGERPRINT_DIM
from tests.models.tiny_models import autoencoder_tiny

UNDECIDED = Decision(
    temperature=1.0,
    generated_scale=1.0,
    generated_offset=0.0,
    cleared_limit=0.25,
    generated_limit=0.75,
    minimum_probability=0.0,
    novelty_limit=1.0,
    novelty_spread=1.0,
    flat=0.5 / 255,
)
SOURCES = ("real", "alpha", "beta", "gamma", "delta", "epsilon")


def photograph(seed: int, height: int = 256, width: int = 256) -> npt.NDArray[np.uint8]:
    """Something with edges, shades and grain, uint8 (height, width, 3), another for every seed."""
    draw = np.random.default_rng(seed)
    coarse = draw.uniform(0, 255, (height // 32 + 2, width // 32 + 2, 3))
    shades = np.kron(coarse, np.ones((32, 32, 1)))[:height, :width]
    grain = draw.normal(0, draw.uniform(1, 12), shades.shape)
    pixels: npt.NDArray[np.uint8] = np.clip(shades + grain, 0, 255).astype(np.uint8)
    return pixels


def tiny_prior(directory: Path, seed: int = 0) -> Path:
    """A random diffusers pipeline folder (``unet``, ``scheduler``) in the layout of the shipped prior."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet: Any = UNet2DModel(
            in_channels=3,
            out_channels=3,
            block_out_channels=(2, 2),
            layers_per_block=1,
            norm_num_groups=2,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            add_attention=False,
        )
    unet.save_pretrained(directory / "unet", safe_serialization=True)
    scheduler: Any = DDPMScheduler(num_train_timesteps=1000)
    scheduler.save_pretrained(directory / "scheduler")
    return directory


def tiny_autoencoder(directory: Path, seed: int = 0) -> Path:
    """A random autoencoder in the layout of a latent diffusion model's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder_tiny().save_pretrained(directory / "vae", safe_serialization=True)
    return directory


def tiny_bundle(
    directory: Path,
    *,
    sources: tuple[str, ...] = SOURCES,
    name: str = "tiny",
    views: int = 1,
    seed: int = 0,
    crop: int = 256,
    residual: str = f"denoise:./{RESIDUAL_FOLDER}",
) -> Bundle:
    """A bundle in ``directory`` whose verdicts on :func:`photograph` are of every kind.

    Where there are several ``views``, a lens reads the image.
    """
    draw = np.random.default_rng(seed)
    (tiny_autoencoder if residual.startswith("autoencoder") else tiny_prior)(directory / RESIDUAL_FOLDER, seed)
    features = tuple(feature(lens, "residual") for lens in ("dct", "radial", "stats"))
    features += (feature("radial", "image"),) if views > 1 else ()
    manifest = Manifest(
        schema=SCHEMA,
        name=name,
        licence="Apache-2.0",
        sources=sources,
        geometry=Geometry(crop=crop, views=views),
        residual=residual,
        features=features,
        decision=UNDECIDED,
    )
    fingerprint = {"bias": np.zeros(FINGERPRINT_DIM, np.float32)}
    for one in features:
        fingerprint[f"{one.key}.mean"] = np.zeros(one.size, np.float32)
        fingerprint[f"{one.key}.scale"] = np.ones(one.size, np.float32)
        fingerprint[f"{one.key}.gain"] = np.ones(1, np.float32)
        projection = draw.normal(0, one.size**-0.5, (FINGERPRINT_DIM, one.size))
        fingerprint[f"{one.key}.projection"] = projection.astype(np.float16)
    attribution = {
        "weight": np.zeros((len(sources), FINGERPRINT_DIM), np.float32),
        "bias": np.zeros(len(sources), np.float32),
        "centre": np.zeros((len(sources), FINGERPRINT_DIM), np.float32),
        "whitening": np.eye(FINGERPRINT_DIM, dtype=np.float32),
        "generated.weight": np.zeros((1, FINGERPRINT_DIM), np.float32),
        "generated.bias": np.zeros(1, np.float32),
    }
    first = save_bundle(directory, manifest, fingerprint, attribution, {})
    # Standardised by a few images, so that the fingerprints of others differ; then a head that tells those few apart.
    samples = np.stack([photograph(1000 + index, crop, crop) for index in range(4 * len(sources))])
    values = FeatureExtractor(first.residual, features, torch.device("cpu"), "the test")(samples)
    start = 0
    for one in features:
        part = values[:, start : start + one.size]
        fingerprint[f"{one.key}.mean"] = part.mean(axis=0)
        fingerprint[f"{one.key}.scale"] = part.std(axis=0) + 1e-6
        start += one.size
    standardised = Fingerprinter(save_bundle(directory, manifest, fingerprint, attribution, {}), "cpu")(
        samples
    ).fingerprint.astype(np.float32)
    centre = standardised.reshape(len(sources), -1, FINGERPRINT_DIM).mean(axis=1)
    attribution["centre"] = centre
    attribution["weight"] = centre
    attribution["bias"] = -0.5 * np.square(centre).sum(axis=1)
    offset = centre[[name != "real" for name in sources]].mean(axis=0) - centre[sources.index("real")]
    attribution["generated.weight"] = offset[None] / np.square(offset).sum()
    attribution["generated.bias"] = np.array([-(centre @ offset).mean() / np.square(offset).sum()], np.float32)
    distances = np.square(standardised[:, None] - centre).sum(axis=2).min(axis=1)
    temperature = float(distances.mean() / 20)
    familiarity = discriminants(centre, attribution["whitening"])(standardised).max(axis=1)
    decision = replace(
        manifest.decision,
        temperature=temperature,
        generated_scale=20.0,
        cleared_limit=0.4,
        generated_limit=0.6,
        minimum_probability=0.5,
        novelty_limit=float(np.quantile(familiarity, 0.1) / familiarity.std()),
        novelty_spread=float(familiarity.std()),
    )
    return save_bundle(directory, replace(manifest, decision=decision), fingerprint, attribution, {})


def with_held_out(directory: Path, bundle: Bundle, seed: int = 0) -> Bundle:
    """A copy of the bundle that holds scores of made-up images of seven origins a source."""
    shutil.copytree(bundle.directory, directory)
    sources = bundle.manifest.sources
    rows = [(source, f"origin {number}") for source in sources for number in range(7) for _ in range(8)]
    draw = np.random.default_rng(seed)
    own = np.array([sources.index(source) for source, _ in rows])
    scores = draw.normal(0, 1, (len(rows), len(sources))) + 3 * np.eye(len(sources))[own]
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    data = tuple(Origin(source, f"origin {number}", 8, 0, "CC0") for source in sources for number in range(7))
    names, origins = zip(*rows, strict=True)
    tensors = held_out_tensors(names, origins, chances.astype(np.float32), 1 - chances[:, 0].astype(np.float32), data)
    fingerprint, attribution = (load_file(directory / name) for name in (FINGERPRINT_FILE, ATTRIBUTION_FILE))
    return save_bundle(directory, replace(bundle.manifest, data=data, files=()), fingerprint, attribution, {}, held_out=tensors)
