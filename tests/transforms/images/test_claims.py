"""What files claim is read right, whatever carries it; what is forged, broken or hostile is never believed and never raises."""

from __future__ import annotations

import io
import json
import socket
import struct
import tarfile
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from causalprint.schemas.claims import MAX_CLAIMS, MAX_NAME, Carrier, Claim, ClaimKind, Claims, ManifestState, ranked
from causalprint.schemas.names import printable
from causalprint.transforms.images.claims import read_claims
from causalprint.transforms.images.manifests import AnchorsError, parse_anchors, read_manifest
from tests.claimed import (
    GRAPH,
    MIME,
    MODEL,
    PARAMETERS,
    SOURCE_TYPES,
    encoded,
    exif,
    signed,
    vendor,
    with_texts,
    xmp,
)

ORIGINALS = Path("/work/shared/images/more/originals.tar")
A, B = "Imagine Works", "Lightroomer"
DIGITAL_SOURCE = f"=Iptc4xmpExt:DigitalSourceType='{SOURCE_TYPES}trainedAlgorithmicMedia'"
GENERATED, COMPOSITE, CAMERA, SOFTWARE, UNREAD, INVALID = ClaimKind
LABELLED = b'{"AIGC": {"Label": "1", "ContentProducer": "S", "ProduceID": "7"}}'
LOST_COMMENT = struct.pack("<2sHIH HHI4s HHII I", b"II", 42, 8, 2, 271, 2, 4, b"Fuj", 34665, 4, 1, 1 << 30, 0)
"""EXIF whose inner directory, where comments are, lies nowhere."""
WIDE = b"UNICODE\0" + PARAMETERS.encode("utf-16-le")


def strongest(data: bytes) -> tuple[object, ...] | None:
    claims = read_claims(data).claims
    return claims[0] if claims else None


def xmp_jpeg(*properties: str) -> bytes:
    return encoded("JPEG", xmp=xmp(*properties))


def camera_exif() -> bytes:
    return exif("Canon", "Canon EOS R5", "Adobe Photoshop 26.0 (Windows)")


@pytest.mark.parametrize(("data", "expected"), [
    (with_texts(parameters=PARAMETERS), (GENERATED, "text", MODEL)),
    (with_texts(parameters=PARAMETERS.replace(f", Model: {MODEL}", "")), (GENERATED, "text", "v1.9")),
    (with_texts(parameters='{"sui_image_params": {"model": "flux/dev.safetensors"}}'), (GENERATED, "text", "dev")),
    (with_texts(parameters='{"base_model": "jugger", "metadata_scheme": "fooocus"}'), (GENERATED, "text", "jugger")),
    (with_texts(prompt=GRAPH, workflow='{"nodes": []}'), (GENERATED, "text", "dream")),
    (with_texts(workflow='{"nodes": []}'), (GENERATED, "text", "ComfyUI")),
    (with_texts(invokeai_metadata='{"model": {"model_name": "sd-1/main", "hash": "x"}}'), (GENERATED, "text", "main")),
    (with_texts(Software="NovelAI", Source="NovelAI Diffusion V4 C1E1"), (GENERATED, "text", "NovelAI Diffusion V4 C1E1")),
    (with_texts(Description="fox --v 6 Job ID: 01234567-89ab-cdef-0123-456789abcdef"), (GENERATED, "text", "Midjourney")),
    (with_texts(generation_data='{"baseModel": 1, "model_name": "jugger"}'), (GENERATED, "text", "jugger")),
    (with_texts(Dream='"a cat" -s 50 -S 1'), (GENERATED, "text", "InvokeAI")),
    (with_texts(AIGC='{"Label": 1}'), (GENERATED, "aigc", None)),
    (with_texts(AIGC='{"Label": "1", "ContentProducer": "Service"}'), (GENERATED, "aigc", "Service")),
    (with_texts(Software="gnome-screenshot"), (SOFTWARE, "exif", "gnome-screenshot")),
    (with_texts(parameters="Steps to make a cake", Title="x"), None),
    (encoded("JPEG", exif=exif(comment=WIDE)), (GENERATED, "text", MODEL)),
    (encoded("WEBP", exif=exif(comment=b"UNICODE\0" + PARAMETERS.encode("utf-16-be"))), (GENERATED, "text", MODEL)),
    (encoded("JPEG", exif=exif(comment=b"ASCII\0\0\0holiday")), None),
    *((encoded(form, exif=camera_exif()), (CAMERA, "exif", "Canon EOS R5")) for form in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")),
    (encoded("JPEG", exif=b"Exif\0\0" + LOST_COMMENT), (CAMERA, "exif", "Fuj")),
    (encoded("JPEG", exif=exif("NIKON CORPORATION", "D90")), (CAMERA, "exif", "NIKON CORPORATION D90")),
    (encoded("JPEG", exif=exif(software="DALL-E 3")), (GENERATED, "exif", "DALL-E 3")),
    (encoded("JPEG", exif=exif(software="GIMP 3.0")), (SOFTWARE, "exif", "GIMP 3.0")),
    *((encoded(form, xmp=xmp(DIGITAL_SOURCE)), (GENERATED, "iptc", None)) for form in ("JPEG", "WEBP", "AVIF")),
    (encoded("JPEG", xmp=xmp(DIGITAL_SOURCE), exif=camera_exif()), (GENERATED, "iptc", None)),
    (xmp_jpeg("<Iptc4xmpExt:DigitalSourceType>compositeWithTrainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>",
              "<xmp:CreatorTool>Adobe Photoshop 26</xmp:CreatorTool>"), (COMPOSITE, "iptc", "Adobe Photoshop 26")),
    (xmp_jpeg(f"=Iptc4xmpExt:DigitalSourceType='{SOURCE_TYPES}digitalCapture'", "=tiff:Model='K 9'"), (CAMERA, "iptc", "K 9")),
    (xmp_jpeg(f"<Iptc4xmpExt:DigitalSourceType rdf:resource='{SOURCE_TYPES}algorithmicMedia'/>"), (SOFTWARE, "iptc", None)),
    (xmp_jpeg(DIGITAL_SOURCE, "=Iptc4xmpExt:AISystemUsed='Imagen 4'"), (GENERATED, "iptc", "Imagen 4")),
    (xmp_jpeg("=photoshop:Credit='Made with Google AI'"), (GENERATED, "iptc", "Made with Google AI")),
    (xmp_jpeg("=photoshop:Credit='Imagen: Juan'", "=xmp:CreatorTool='GIMP'"), (SOFTWARE, "exif", "GIMP")),
    (xmp_jpeg('<TC260:AIGC>{"Label":"1","ContentProducer":"S"}</TC260:AIGC>'), (GENERATED, "aigc", "S")),
    (xmp_jpeg('<TC260:AIGC>{"Label":"3","ContentProducer":"S"}</TC260:AIGC>'), None),
    *((encoded(form, exif=exif(comment=b"ASCII\0\0\0" + LABELLED)), (GENERATED, "aigc", "S")) for form in ("JPEG", "WEBP")),
    (encoded("PNG", exif=exif(comment=b"UNICODE\0" + LABELLED.decode().encode("utf-16-be"))), (GENERATED, "aigc", "S")),
    (encoded("JPEG", exif=exif("Canon", "EOS", comment=LABELLED)), (GENERATED, "aigc", "S")),
    (encoded("JPEG", exif=exif(comment=b"ASCII\0\0\0" + LABELLED.replace(b'"1"', b'"2"'))), None),
    *((encoded(form), None) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")),
])  # fmt: skip
def test_each_carrier_is_read(data: bytes, expected: tuple[object, ...] | None) -> None:
    assert strongest(data) == expected


@pytest.mark.parametrize("form", MIME)
def test_manifests_of_two_vendors_are_read_and_only_a_trusted_root_makes_one_valid(form: str) -> None:
    for source_type, kind, by in (
        ("trainedAlgorithmicMedia", GENERATED, vendor(A)),
        ("digitalCapture", CAMERA, vendor(B)),
        ("", SOFTWARE, vendor(B)),
    ):
        data = signed(encoded(form), form, by, source_type)
        assert read_claims(data) == Claims((Claim(kind, Carrier.C2PA, by.name),), ManifestState.UNVERIFIED)
        trusted, other = (read_manifest(data, anchors) for anchors in (by.root, vendor("Nobody").root))
        assert trusted is not None
        assert other is not None
        assert (trusted.state, other.state) == (ManifestState.VALID, ManifestState.UNVERIFIED)


def test_a_real_file_of_another_vendor_is_read_trusted_and_once_changed_invalid() -> None:
    files = Path(__file__).parents[2] / "files"
    data, chain = ((files / f"signed_by_adobe.{suffix}").read_bytes() for suffix in ("jpg", "pem"))
    assert read_claims(data) == Claims((Claim(SOFTWARE, Carrier.C2PA, "Make Test Images 0.26.0"),), ManifestState.UNVERIFIED)
    assert read_claims(data[:-3000] + bytes([data[-3000] ^ 1]) + data[-2999:]).c2pa is ManifestState.INVALID
    trusted = read_manifest(data, parse_anchors(chain, "adobe.pem").pem)
    assert trusted is not None
    assert trusted.state is ManifestState.VALID


@pytest.mark.parametrize(("listed", "words"), [
    ("", "holds no certificate"),
    ("garbage", "holds no certificate"),
    (vendor(A).key.decode(), "holds no certificate"),
    (vendor(A).root + vendor(A).root[:300], "ends within a certificate"),
    (vendor(A).root + vendor(A).root.replace("MII", "AAA"), "certificate 2 of 2 is none"),
])  # fmt: skip
def test_a_list_of_certificates_that_is_none_is_refused(listed: str, words: str) -> None:
    with pytest.raises(AnchorsError, match=f"list.pem:? {words}"):
        parse_anchors(listed.encode(), "list.pem")


def test_a_service_that_states_no_source_type_is_known_by_its_name() -> None:
    data = signed(encoded("JPEG"), "JPEG", vendor(A), "", "Bing Image Creator")
    assert strongest(data) == (GENERATED, "c2pa", "Bing Image Creator")


def test_what_was_changed_or_forged_is_invalid_and_nothing_of_it_is_believed() -> None:
    data = signed(encoded("JPEG", exif=camera_exif()), "JPEG", vendor(A))
    at = data.index(b"trainedAlgorithmicMedia")
    changed = {
        "another source type": data[:at] + b"trainedAlgorithmicMedja" + data[at + 23 :],
        "another program": data.replace(A.encode(), b"Imagine Wanks"),
        "other pixels": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "a manifest of another image": encoded("JPEG", 1)[:2] + _segments(data, 0xEB) + encoded("JPEG", 1)[2:],
        "a hole in its boxes": data.replace(b"c2cl", b"c2cx"),
    }
    for how, file in changed.items():
        claims = read_claims(file)
        assert claims.c2pa is ManifestState.INVALID, how
        assert all(claim.kind is INVALID for claim in claims.claims if claim.carrier is Carrier.C2PA), how
        assert not any(claim.kind is GENERATED for claim in claims.claims), how
    assert strongest(changed["other pixels"]) == (CAMERA, "exif", "Canon EOS R5"), "what else is claimed remains"
    assert strongest(changed["a manifest of another image"]) == (INVALID, "c2pa", A)


def test_a_stripped_file_claims_nothing() -> None:
    data = signed(with_texts(parameters=PARAMETERS), "PNG", vendor(A))
    assert [claim.carrier.value for claim in read_claims(data).claims] == ["c2pa", "text"]
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "PNG", pnginfo=None)
    assert read_claims(buffer.getvalue()) == Claims()


def test_nothing_is_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        asked: list[bytes] = []
        port = server.getsockname()[1]

        def answer() -> None:
            while (connection := server.accept()[0]).recv(4) != b"stop":
                asked.append(b"asked")
                connection.close()
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            url = f"http://127.0.0.1:{port}/manifest.c2pa"
            remote = encoded("JPEG", xmp=xmp(f"=dcterms:provenance='{url}'"))
            assert read_manifest(remote) is None
            manifest = read_manifest(signed(encoded("JPEG"), "JPEG", vendor(A, url)))
            assert manifest is not None
            assert manifest.state is ManifestState.UNVERIFIED
        finally:
            with socket.create_connection(("127.0.0.1", port)) as last:
                last.sendall(b"stop")
            thread.join()
    assert not asked


def _segments(jpeg: bytes, marker: int) -> bytes:
    """All segments of a JPEG file with that marker."""
    found, at = b"", 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found += jpeg[at:end] if jpeg[at + 1] == marker else b""
        at = end
    return found


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(*chunks: bytes) -> bytes:
    whole = encoded("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def _nested(depth: int) -> bytes:
    """JUMBF boxes, each in the one before, down to the mark of a manifest store."""
    boxes = b"c2pa"
    for _ in range(depth):
        label = struct.pack(">I", 25) + b"jumd" + bytes(16) + b"\0"
        boxes = struct.pack(">I", 8 + len(label) + len(boxes)) + b"jumb" + label + boxes
    return boxes


BOMB = "<!DOCTYPE x [<!ENTITY a0 'lol'>" + "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(9)) + "]>"
OUTSIDE = "<!DOCTYPE x [<!ENTITY a9 SYSTEM 'file:///etc/passwd'>]>"


@pytest.mark.parametrize("data", [
    *(_png(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + begins.encode() + xmp("<xmp:CreatorTool>&a9;</xmp:CreatorTool>")))
      for begins in (BOMB, OUTSIDE)),
    _png(_chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(1 << 26), 9))),
    _png(_chunk(b"tEXt", b"prompt\0" + b'"ckpt_name": "' * (1 << 20))),
    _png(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<a>" * 100_000)),
    _png(_chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + b"\x69\x87\x04\0\x01\0\0\0\x08\0\0\0" * 5_000)),
    b"\xff\xd8" + b"\xff" * (1 << 20),
    b"\xff\xd8" + b"\xff\xe1\0\x02" * 100_000,
    b"RIFF\xff\xff\xff\xffWEBP" + b"EXIF\0\0\0\0" * 100_000,
])  # fmt: skip
def test_a_hostile_file_claims_nothing(data: bytes) -> None:
    assert read_claims(data) == Claims()


@pytest.mark.parametrize("store", [_nested(3), _nested(2_000), _nested(1)[:-3] + b"\xff" * 99, b"jumbc2pa" * 1_000])
def test_a_hostile_manifest_is_invalid_or_none(store: bytes) -> None:
    claims = read_claims(_png(_chunk(b"caBX", store)))
    assert claims.c2pa in (ManifestState.INVALID, None)
    assert all(claim.kind is INVALID for claim in claims.claims)


SEEDS = [
    with_texts(parameters=PARAMETERS, prompt=GRAPH),
    encoded("JPEG", xmp=xmp(DIGITAL_SOURCE), exif=exif("Canon", "EOS", comment=WIDE)),
    encoded("WEBP", xmp=xmp(DIGITAL_SOURCE), exif=camera_exif()),
    encoded("TIFF", exif=camera_exif()),
    encoded("AVIF", xmp=xmp(DIGITAL_SOURCE), exif=camera_exif()),
]
_signed: list[bytes] = []


def _mutated(draw: st.DrawFn, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, min(len(changed), 4_000) - 1)))
        how = draw(st.sampled_from(["set", "cut", "insert", "repeat", "end"]))
        if how == "set":
            changed[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
        elif how == "cut":
            del changed[at : at + draw(st.integers(1, 60))]
        elif how == "insert":
            changed[at:at] = draw(st.binary(max_size=40))
        elif how == "repeat":
            changed[at:at] = changed[at : at + draw(st.integers(1, 200))]
        else:
            del changed[at + 1 :]
    return bytes(changed)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    return _mutated(draw, draw(st.sampled_from(SEEDS)))


def _is_lawful(claims: Claims) -> bool:
    names = [claim.source for claim in claims.claims if claim.source is not None]
    return (
        len(claims.claims) <= MAX_CLAIMS
        and claims.claims == ranked(claims.claims)
        and all(0 < len(name) <= MAX_NAME and printable(name) == name for name in names)
    )


@given(mutated())
@settings(max_examples=300)
def test_whatever_becomes_of_the_bytes_claims_are_lawful(data: bytes) -> None:
    assert _is_lawful(read_claims(data, manifests=lambda _: None))


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_becomes_of_a_signed_file_its_manifest_is_told_in_one_word(data: st.DataObject) -> None:
    if not _signed:
        _signed.extend(signed(encoded(form, side=16), form, vendor(A)) for form in ("JPEG", "PNG", "WEBP"))

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        return _mutated(draw, draw(st.sampled_from(_signed)))

    claims = read_claims(data.draw(changed()))
    assert _is_lawful(claims)
    assert (claims.c2pa is None) == (not any(claim.carrier is Carrier.C2PA for claim in claims.claims))


@given(st.permutations([Claim(kind, carrier, name) for kind in ClaimKind for carrier in Carrier for name in ("a", None)]))
def test_the_strongest_claims_are_the_same_in_whatever_order_they_are_found(claims: list[Claim]) -> None:
    strongest = [Claim(GENERATED, carrier, name) for carrier in Carrier for name in ("a", None)]
    assert ranked(tuple(claims)) == tuple(strongest[:MAX_CLAIMS])


def test_prompts_and_places_are_not_kept() -> None:
    secret = "my neighbour Ms Smith"
    files = [
        with_texts(parameters=PARAMETERS.replace("a cat", secret)),
        with_texts(prompt=GRAPH.replace("{", f'{{"text": "{secret}", ', 1)),
        encoded("JPEG", exif=exif("Canon", "EOS", comment=b"UNICODE\0" + f"{secret} {PARAMETERS}".encode("utf-16-le"))),
    ]
    for data in files:
        claims = read_claims(data)
        assert claims.claims
        assert secret not in str(claims)


EXPECTED = {
    "000005.jpeg": (GENERATED, "c2pa", "Image Creator from Designer"),
    "000041.jpeg": (GENERATED, "c2pa", "Bing Image Creator"),
    "000049.jpg": (GENERATED, "text", "dream2reality_v10"),
    "000267.png": (GENERATED, "text", "v1-5-pruned-emaonly-fp16"),
    "000044.jpg": (CAMERA, "exif", "SONY NEX-5N"),
    "000057.jpg": (SOFTWARE, "exif", "Adobe Photoshop CS5 Windows"),
    "000281.avif": (CAMERA, "exif", "Apple iPhone 3GS"),
    "000000.jpg": None,
}


@pytest.mark.skipif(not ORIGINALS.exists(), reason="needs files that are not in the repository")
def test_real_files_are_read_and_none_that_is_labelled_real_claims_to_be_generated() -> None:
    with tarfile.open(ORIGINALS) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        files = {name: file.read() for name, file in members.items() if file is not None}
    assert {name: strongest(files[name]) for name in EXPECTED} == EXPECTED
    for name, data in files.items():
        if name.endswith(".json"):
            continue
        label = json.loads(files[f"{name.rpartition('.')[0]}.json"])["source"]
        claimed = strongest(data)
        assert claimed is None or label != "real" or claimed[0] is not GENERATED, name
