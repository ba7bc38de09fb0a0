"""Image files that claim something of their origin, made here: signed manifests, XMP, texts of front ends, EXIF."""

from __future__ import annotations

import datetime as dt
import io
import json
from functools import cache
from typing import NamedTuple

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.bundles import photograph

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "AVIF": "image/avif"}
MODEL = "sd_xl_base_1.0"
PARAMETERS = f"a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Model: {MODEL}, Version: v1.9"
GRAPH = json.dumps({"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "xl\\dream.safetensors"}}})


class Vendor(NamedTuple):
    """Who signs: a certificate of its own below a root of its own, PEM, and the key."""

    name: str
    chain: bytes
    root: str
    key: bytes


@cache
def vendor(name: str, ocsp: str = "") -> Vendor:
    """One of that name; ``ocsp`` is where its certificate says that revocation can be asked for."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(f"{name} root", f"{name} root", root_key, root_key)
    leaf = _certificate(name, f"{name} root", key, root_key, ocsp)
    pem = [each.public_bytes(serialization.Encoding.PEM) for each in (leaf, root)]
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return Vendor(name, b"".join(pem), pem[1].decode(), private)


def signed(data: bytes, form: str, by: Vendor, source_type: str = "trainedAlgorithmicMedia", program: str = "") -> bytes:
    """The file with a manifest that says that ``program`` made it."""
    name = program or by.name
    action = {"action": "c2pa.created", "softwareAgent": {"name": name} if source_type else name}
    if source_type:
        action["digitalSourceType"] = SOURCE_TYPES + source_type
    manifest = {
        "claim_version": 2 if source_type else 1,  # which did not ask for one
        "claim_generator_info": [{"name": f"{by.name} writer", "version": "1"}],
        "assertions": [{"label": "c2pa.actions.v2" if source_type else "c2pa.actions", "data": {"actions": [action]}}],
    }
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=by.chain, private_key=by.key, ta_url=b"")
    info.ta_url = None  # no time stamp is asked for
    out = io.BytesIO()
    context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder.from_json(json.dumps(manifest), context=context) as builder:
        builder.sign(signer, MIME[form], io.BytesIO(data), out)
    return out.getvalue()


def encoded(form: str, seed: int = 0, side: int = 64, **options: object) -> bytes:
    """A photograph of its own for every seed, in a format."""
    buffer = io.BytesIO()
    Image.fromarray(photograph(seed, side, side)).save(buffer, form, **options)
    return buffer.getvalue()


def with_texts(seed: int = 0, side: int = 64, **texts: str) -> bytes:
    """A PNG file with these texts, by their keywords."""
    chunks = PngInfo()
    for keyword, text in texts.items():
        chunks.add_itxt(keyword, text) if len(text) % 2 else chunks.add_text(keyword, text, zip=len(text) > 200)
    return encoded("PNG", seed, side, pnginfo=chunks)


def exif(make: str = "", model: str = "", software: str = "", comment: bytes = b"") -> bytes:
    """An EXIF block."""
    tags = Image.Exif()
    for tag, value in ((271, make), (272, model), (305, software)):
        if value:
            tags[tag] = value
    if comment:
        tags.get_ifd(0x8769)[0x9286] = comment
    return tags.tobytes()


def xmp(*properties: str) -> bytes:
    """An XMP packet with these elements or, where they have an equals sign first, attributes."""
    spaces = {
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "tiff": "http://ns.adobe.com/tiff/1.0/",
        "dcterms": "http://purl.org/dc/terms/",
        "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    }
    declared = " ".join(f'xmlns:{name}="{uri}"' for name, uri in spaces.items())
    attributes = " ".join(each[1:] for each in properties if each.startswith("="))
    elements = "".join(each for each in properties if not each.startswith("="))
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description {declared} rdf:about="" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def _certificate(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ocsp: str = ""
) -> x509.Certificate:
    is_root, begins = name == issuer, dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    subjects = [
        x509.Name([x509.NameAttribute(kind, each) for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)])
        for each in (name, issuer)
    ]
    builder = (
        x509.CertificateBuilder(issuer_name=subjects[1], subject_name=subjects[0], public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(not is_root, False, False, False, False, is_root, is_root, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not is_root:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    if ocsp:
        where = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp))
        builder = builder.add_extension(x509.AuthorityInformationAccess([where]), critical=False)
    return builder.sign(signer, hashes.SHA256())
