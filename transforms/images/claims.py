"""What an image file claims of its own origin, from its encoded bytes: read, never believed, and no feature of anything."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from causalprint.schemas.claims import MAX_NAME, Carrier, Claim, ClaimKind, Claims, ManifestState, ranked
from causalprint.schemas.names import printable, well_formed
from causalprint.transforms.images.carried import Carried, carried_by, may_hold_manifest
from causalprint.transforms.images.front_ends import aigc_claim, is_generator, parameters_claim, text_claims
from causalprint.transforms.images.manifests import Manifest, read_manifest
from causalprint.transforms.images.tiff import Directory
from causalprint.transforms.images.xmp import read_xmp

SOURCE_TYPES = {
    **dict.fromkeys(("trainedAlgorithmicMedia", "trainedAlgorithmicData"), ClaimKind.GENERATED),
    **dict.fromkeys(("compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"), ClaimKind.COMPOSITE),
    **dict.fromkeys(
        [
            "digitalCapture",
            "computationalCapture",
            "compositeCapture",
            "negativeFilm",
            "positiveFilm",
            "print",
            "algorithmicallyEnhanced",
            "humanEdits",
            "minorHumanEdits",
        ],
        ClaimKind.CAMERA,
    ),
    **dict.fromkeys(
        [
            "algorithmicMedia",
            "digitalArt",
            "digitalCreation",
            "softwareImage",
            "virtualRecording",
            "screenCapture",
            "dataDrivenMedia",
            "composite",
        ],
        ClaimKind.SOFTWARE,
    ),
}
"""What each digital source type claims; IPTC NewsCodes, https://cv.iptc.org/newscodes/digitalsourcetype/, and C2PA's own."""

ReadManifest = Callable[[bytes], Manifest | None]
MAX_COMMENT = 65_536
_MAKE, _MODEL, _SOFTWARE, _EXIF_DIRECTORY, _USER_COMMENT = 271, 272, 305, 34665, 37510
_CODES = {b"UNICODE\0": "utf-16", b"ASCII\0\0\0": "latin-1", b"\0" * 8: "latin-1"}
_GOOGLE = "Made with Google AI"


def read_claims(data: bytes, manifests: ReadManifest = read_manifest) -> Claims:
    """All claims of an encoded image: what its C2PA manifest, its XMP, its texts and its EXIF say of its origin.

    Nothing is fetched, and a broken block claims what was read before it broke. Of texts only the names of models, programs,
    services and cameras are kept; prompts, places and serial numbers are not.

    Args:
        data: the encoded bytes, of any format that is decoded.
        manifests: reads a C2PA manifest; asked where the marks of one are among the bytes.
    """
    carried = carried_by(data)
    found = [*_xmp_claims(read_xmp(carried.xmp) if carried.xmp else {}), *text_claims(carried.texts), *_exif_claims(carried)]
    claims = Claims(ranked(tuple(map(_tidied, found))))
    return with_manifest(claims, manifests(data)) if may_hold_manifest(data) else claims


def with_manifest(claims: Claims, manifest: Manifest | None) -> Claims:
    """The claims of a file with those of its manifest; as they are where it has none."""
    if manifest is None:
        return claims
    return Claims(ranked((_tidied(manifest_claim(manifest)), *claims.claims)), manifest.state)


def manifest_claim(manifest: Manifest) -> Claim:
    """What a manifest claims: nothing where it is invalid, whatever it says."""
    if manifest.state in (ManifestState.INVALID, ManifestState.UNREAD):
        return Claim(ClaimKind(manifest.state.value), Carrier.C2PA, manifest.source)
    kind = _kind_of(manifest.source_type)
    if kind is None:
        kind = ClaimKind.GENERATED if is_generator(manifest.source or "") else ClaimKind.SOFTWARE
    return Claim(kind, Carrier.C2PA, manifest.source)


def _kind_of(source_type: str | None) -> ClaimKind | None:
    """What a digital source type, a URI or its last part, claims."""
    return SOURCE_TYPES.get((source_type or "").rstrip("/").rpartition("/")[2])


def _xmp_claims(properties: Mapping[str, str]) -> list[Claim]:
    claims = []
    tool = properties.get("xmp:CreatorTool") or properties.get("tiff:Software")
    source_type = properties.get("Iptc4xmpExt:DigitalSourceType") or properties.get("Iptc4xmpExt:DigitalSourcetype")
    kind = _kind_of(source_type)
    credit = properties.get("photoshop:Credit", "")
    if kind is None and credit == _GOOGLE:
        kind = ClaimKind.GENERATED
    if kind is ClaimKind.CAMERA:
        claims.append(Claim(kind, Carrier.IPTC, _camera(properties.get("tiff:Make"), properties.get("tiff:Model"))))
    elif kind is not None:
        system = properties.get("Iptc4xmpExt:AISystemUsed") or (credit if is_generator(credit) else None) or tool
        claims.append(Claim(kind, Carrier.IPTC, system))
    if label := aigc_claim(properties.get("TC260:AIGC", "")):
        claims.append(label)
    if camera := _camera(properties.get("tiff:Make"), properties.get("tiff:Model")):
        claims.append(Claim(ClaimKind.CAMERA, Carrier.EXIF, camera))
    if tool:
        claims.append(_software(tool))
    return claims


def _exif_claims(carried: Carried) -> list[Claim]:
    """Make, model, software and user comment of an EXIF block (CIPA DC-008)."""
    try:
        directory = Directory(carried.exif)
    except (struct.error, OverflowError):
        return []
    claims = []
    if camera := _camera(_text(directory, _MAKE), _text(directory, _MODEL)):
        claims.append(Claim(ClaimKind.CAMERA, Carrier.EXIF, camera))
    if software := _text(directory, _SOFTWARE):
        claims.append(_software(software))
    try:
        inner = Directory(carried.exif, directory.number_of(_EXIF_DIRECTORY, 0)) if _EXIF_DIRECTORY in directory.entries else None
        comment = _comment(inner.text(_USER_COMMENT, MAX_COMMENT)) if inner is not None else ""
    except (struct.error, OverflowError):
        return claims
    claims += [claim for claim in (parameters_claim(comment), aigc_claim(comment)) if claim is not None]
    return claims


def _text(directory: Directory, tag: int) -> str:
    return directory.text(tag, 4 * MAX_NAME).partition(b"\0")[0].decode("utf-8", "replace").strip()


def _comment(value: bytes) -> str:
    """The text of a user comment; UTF-16 of either order, since writers disagree which one it has."""
    code, text = _CODES.get(value[:8]), value[8:]
    if code == "utf-16":
        little = text[1::2].count(0) >= text[::2].count(0)
        code = "utf-16-le" if little else "utf-16-be"
    return text.decode(code, "replace") if code else value.decode("utf-8", "replace")


def _camera(make: str | None, model: str | None) -> str | None:
    """``Make Model``, the make once."""
    make, model = (make or "").strip(), (model or "").strip()
    return (model if model.lower().startswith(make.lower()) else f"{make} {model}").strip() or None


def _software(name: str) -> Claim:
    return Claim(ClaimKind.GENERATED if is_generator(name) else ClaimKind.SOFTWARE, Carrier.EXIF, name)


def _tidied(claim: Claim) -> Claim:
    """The name on one line, of printable characters, and no longer than it may be."""
    name = printable(well_formed(" ".join((claim.source or "").split())))
    return claim._replace(source=(name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…") or None)
