"""What front ends of diffusion models write into their images: that a model made it, and often which."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from causalprint.schemas.claims import Carrier, Claim, ClaimKind

_STEPS = re.compile(r"\bSteps: ?\d{1,6}\b")
_SETTINGS = re.compile(r"\b(Sampler|CFG scale|Seed|Model hash): ?")
_MODEL = re.compile(r"\bModel: ?([^,\r\n]{1,200})")
_VERSION = re.compile(r"\bVersion: ?([^,\r\n]{1,100})")
_CHECKPOINT = re.compile(r'"(?:ckpt_name|unet_name|model_name|base_model)" ?: ?"([^"\\]{1,120}(?:\\.[^"\\]{0,120}){0,4})"')
_NAMED = re.compile(r'"(?:model|model_weights)" ?: ?(?:\{[^{}]{0,500}?"(?:model_)?name" ?: ?)?"([^"\\]{1,200})"')
_SUFFIX = re.compile(r"\.(safetensors|ckpt|gguf|pth?|sft|bin)$", re.IGNORECASE)
_MIDJOURNEY = re.compile(r"Job ID: ?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_AIGC_LABEL = re.compile(r'"Label" ?: ?"?1\b')
_AIGC_PRODUCER = re.compile(r'"ContentProducer" ?: ?"([^"\\]{1,200})"')
_GENERATORS = re.compile(
    r"\b(novelai|stable ?diffusion|sd ?web ?ui|automatic1111|comfyui|invokeai|fooocus|swarmui|draw things|diffusers"
    r"|midjourney|dall\W?e|gpt[- ]?image|gpt-4o|chatgpt|openai|bing image creator|image creator from designer|firefly"
    r"|imagen[ -]?\d|gemini[ -]\d|nano banana|google ai|google generative ai|grok|meta ai|imagine with meta|ideogram"
    r"|leonardo\.?ai|flux\.?1|recraft|seedream|jimeng|doubao|qwen-image|hunyuan ?image|craiyon|nightcafe|krea\.?ai)\b",
    re.IGNORECASE,
)
"""Programs and services that do nothing but generate images, as they write their names."""


def is_generator(name: str) -> bool:
    """Whether the name of a program is that of one that generates images."""
    return bool(_GENERATORS.search(name))


def text_claims(texts: Mapping[str, str]) -> list[Claim]:
    """What the texts of a PNG file claim, by their keywords."""
    found = [claim for keyword, read in _READERS.items() if keyword in texts and (claim := read(texts[keyword])) is not None]
    if any(claim.source == "NovelAI" for claim in found) and texts.get("Source"):
        found.insert(0, Claim(ClaimKind.GENERATED, Carrier.TEXT, texts["Source"]))  # the model before the program
    return found


def parameters_claim(text: str) -> Claim | None:
    """A claim of AUTOMATIC1111 and of those that write as it does: ``…Steps: 20, Sampler: Euler a, …, Model: name``."""
    if _STEPS.search(text) and _SETTINGS.search(text):
        tail = text[text.rfind("Steps:") :]
        named = _MODEL.search(tail) or _VERSION.search(tail)
        return _generated(named[1] if named else "AUTOMATIC1111")
    if text.lstrip()[:1] == "{":  # Fooocus, SwarmUI
        named = _CHECKPOINT.search(text) or _NAMED.search(text)
        program = "SwarmUI" if "sui_image_params" in text else "Fooocus"
        return _generated(named[1] if named else program) if named or "sui_image_params" in text else None
    return None


def aigc_claim(text: str) -> Claim | None:
    """The label of GB 45438-2025, in JSON: ``Label`` 1 says that a model made it; 2 and 3 say that this is supposed."""
    if not _AIGC_LABEL.search(text):
        return None
    producer = _AIGC_PRODUCER.search(text)
    return Claim(ClaimKind.GENERATED, Carrier.AIGC, producer[1] if producer else None)


def _workflow_claim(text: str) -> Claim | None:
    """A graph of ComfyUI."""
    if '"class_type"' not in text and '"nodes"' not in text:
        return None
    named = _CHECKPOINT.search(text)
    return _generated(named[1] if named else "ComfyUI")


def _invoke_claim(text: str) -> Claim | None:
    named = _NAMED.search(text) or _CHECKPOINT.search(text)
    return _generated(named[1] if named else "InvokeAI")


def _dream_claim(text: str) -> Claim | None:
    return _generated("InvokeAI") if "-s" in text else None


def _software_claim(text: str) -> Claim | None:
    kind = ClaimKind.GENERATED if is_generator(text) else ClaimKind.SOFTWARE
    return Claim(kind, Carrier.TEXT if kind is ClaimKind.GENERATED else Carrier.EXIF, text)


def _description_claim(text: str) -> Claim | None:
    return _generated("Midjourney") if _MIDJOURNEY.search(text) else None


def _generated(source: str) -> Claim:
    name = source.replace("\\\\", "/").replace("\\", "/").rsplit("/", 1)[-1]
    return Claim(ClaimKind.GENERATED, Carrier.TEXT, _SUFFIX.sub("", name.strip()))


_READERS: dict[str, Callable[[str], Claim | None]] = {
    "parameters": parameters_claim,
    "prompt": _workflow_claim,
    "workflow": _workflow_claim,
    "invokeai_metadata": _invoke_claim,
    "sd-metadata": _invoke_claim,
    "generation_data": parameters_claim,
    "Dream": _dream_claim,
    "Software": _software_claim,
    "Description": _description_claim,
    "AIGC": aigc_claim,
}
"""What each keyword of a PNG file's texts may claim."""
