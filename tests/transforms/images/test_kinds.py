"""What is no image of the allow-list is called by its name, and none of its bytes is quoted."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import zipfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.reasons import Reason
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.images.kinds import image_format, looks_like_image
from tests.shards import encode, picture

JPEG = encode(picture(0))
SECRET = "s3cr3t-token"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("0.jpg", JPEG)
    return buffer.getvalue()


TEXTS = {
    "S3 error AccessDenied": f"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code><Key>{SECRET}</Key></Error>",
    "S3 error NoSuchKey": "<Error>\n  <Code>NoSuchKey</Code></Error>",
    "git lfs pull": f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n",
    "HTML": f"<!-- {SECRET} -->\n<!-- cdn --><html></html>",
    "HTML ": "<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'><body>",
    "HTML  ": "<?xml version='1.0'?><!DOCTYPE html><html xmlns='x'>",
    "HTML   ": "<head><title>404</title></head>",
    "SVG": "<!DOCTYPE svg PUBLIC 'x' 'y'><svg/>",
    "SVG ": "<?xml version='1.0'?><!-- made by hand --><svg:svg xmlns:svg='x'/>",
    "XML": f"<?xml version='1.0'?><rss><item>{SECRET}</item></rss>",
    "JSON": json.dumps({"error": SECRET}),
    "JSON ": json.dumps([SECRET] * 200),
    "plain text": f"404: {SECRET} not found",
    "plain text ": "é" * 2000,
    "UTF-16": "Zugriff verweigert".encode("utf-16").decode("latin-1"),
    "data URI": "data:image/jpeg;base64," + base64.b64encode(JPEG).decode(),
    "in base64": base64.b64encode(JPEG).decode(),
    "HTTP response": f"HTTP/1.1 403 Forbidden\r\nSet-Cookie: {SECRET}\r\n\r\n",
}
FILES = {
    "gzip": gzip.compress(JPEG),
    "bzip2": bz2.compress(JPEG),
    "xz": lzma.compress(JPEG),
    "zstd": zstandard.compress(JPEG),
    "zip": zipped(),
    "zeros": bytes(5000),
    "PDF": b"%PDF-1.7\n%\xff\xff",
    "pickle": b"\x80\x04\x95" + bytes(9),
    "MP4": b"\0\0\0\x18ftypisom\0\0\0\0isomiso2",
    "unknown kind": bytes(range(200, 256)) * 9,
}
IMAGES = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "DDS": b"DDS \x7c\0\0\0",
    "ICNS": b"icns\0\0\0\x08",
    "ICO": b"\0\0\1\0\1\0",
    "PSD": b"8BPS\0\1",
    "QOI": b"qoif\0\0",
    "PNM": b"P6\n4 4\n255\n",
    "Radiance": b"#?RADIANCE\n",
}


def detail(data: bytes) -> str:
    with pytest.raises(ImageRejectError) as caught:
        decode(data)
    assert caught.value.reason == Reason.UNSUPPORTED_FORMAT
    return caught.value.detail


@pytest.mark.parametrize("name", [*TEXTS, *FILES, *IMAGES])
def test_what_is_no_image_is_called_by_its_name(name: str) -> None:
    data = {**FILES, **IMAGES}.get(name) or TEXTS[name].encode("latin-1" if name == "UTF-16" else "utf-8")
    said = detail(data)
    assert name.strip() in said
    assert SECRET not in said
    assert looks_like_image(data[:64]) == (name in IMAGES)


@given(data=st.text(min_size=1) | st.binary(min_size=8, max_size=2000))
def test_no_content_is_quoted(data: str | bytes) -> None:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if image_format(raw[:256]) is None:
        assert len(detail(raw)) < 160
        assert detail(raw).isprintable()


@given(text=st.text(min_size=1), space=st.sampled_from(["", " ", "\n", "\ufeff", "\n\n  "]))
def test_markup_is_told_behind_comments(text: str, space: str) -> None:
    comment = text.replace("--", "").replace(">", "")[:200]
    page = f"{space}<!--{comment}-->{space.strip(chr(0xFEFF))}<svg width='1'/>"
    assert "SVG" in detail(page.encode("utf-8", "replace"))
