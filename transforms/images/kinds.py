"""What a member is: an image, a sidecar of one, or neither; by its name first, by its first bytes where the name is silent."""

from __future__ import annotations

import re
from functools import lru_cache

_ALLOWED = "jpg jpeg jpe jfif pjpeg mpo png apng webp gif bmp dib tif tiff avif"
_REFUSED = (  # images, off the allow-list
    "heic heif hif svg svgz psd psb xcf jp2 j2k j2c jpf jpx jxl jxr ico cur icns dds cr2 cr3 nef dng arw raf orf rw2 pef "
    "srw exr hdr ppm pgm pbm pnm pam pcx tga qoi flif bpg xbm xpm dcm emf wmf"
)
_SIDECARS = "json txt text caption cls cls2 index inx id url html xml yaml yml csv tsv md"
_OTHERS = (
    "npy npz pt pth pkl pickle bin safetensors mp4 mov avi mkv webm mp3 wav flac ogg pdf zip tar tgz tzst "
    "parquet arrow tfrecord tfrecords idx log py sh lock sha256 md5 ini toml cfg jsonl crc sha1 sha512 md5sum asc sig "
    "docx xlsx pptx odt ods odp epub jar apk whl"  # which begin like a zip
)
_PACKED = "gz bz2 xz zst zstd lz4 br"
_ARCHIVES = "7z rar lz4 tlz4 lzma tlz lzo mds lance h5 hdf5 lmdb mdb beton rec cpio cab"  # that are not read
IMAGE_SUFFIXES = frozenset(f"{_ALLOWED} {_REFUSED}".split())
SIDECAR_SUFFIXES = frozenset(_SIDECARS.split())
OTHER_SUFFIXES = frozenset(_OTHERS.split())
PACKED_SUFFIXES = frozenset(_PACKED.split())
ARCHIVE_SUFFIXES = frozenset(_ARCHIVES.split())
_KNOWN = IMAGE_SUFFIXES | SIDECAR_SUFFIXES | OTHER_SUFFIXES | PACKED_SUFFIXES | ARCHIVE_SUFFIXES

OTHER_FILE = "file without a suffix that says what it is"
MAX_CALLED = 20

_BMP_HEADERS = (12, *range(16, 65, 4), 108, 124)  # OS/2 may leave out the end of its own
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}
_IMAGE_STARTS = {
    b"8BPS": "PSD",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II\xbc": "JPEG XR",
    b"\x00\x00\x01\x00": "ICO",
    b"qoif": "QOI",
    b"v/1\x01": "OpenEXR",
    b"DDS ": "DDS",
    b"icns": "ICNS",
    b"#?RADIANCE": "Radiance HDR",
    b"gimp xcf": "XCF",
    b"\x8aMNG": "MNG",
    b"\x8bJNG": "JNG",
    b"BPG\xfb": "BPG",
    b"FLIF": "FLIF",
    b"FUJIFILMCCD-RAW": "RAF",
    b"IIRO": "ORF",
    b"IIU\0": "RW2",
    b"\xd7\xcd\xc6\x9a": "WMF",
    b"SIMPLE  =": "FITS",
    b"AT&TFORM": "DjVu",
    b"farbfeld": "farbfeld",
    b"\xabKTX ": "KTX",
    **{b"P%d%c" % (kind, space): "PNM" for kind in range(1, 8) for space in b"\n\r\t "},
}
_IMAGE_START = re.compile(b"|".join(map(re.escape, _IMAGE_STARTS)))
_FIRST_BYTES = {start[:1] for start in _IMAGE_STARTS} | {b"\xff", b"\x89", b"R", b"G", b"B", b"I", b"M"}
_FILE_STARTS = {
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\x1f\x8b": "gzip (to be unpacked first)",
    b"BZh": "bzip2 (to be unpacked first)",
    b"\xfd7zXZ": "xz (to be unpacked first)",
    b"\x28\xb5\x2f\xfd": "zstd (to be unpacked first)",
    b"\x04\x22\x4d\x18": "LZ4 (to be unpacked first)",
    b"PK\x03\x04": "zip (to be unpacked first)",
    b"PK\x05\x06": "zip (empty)",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
    b"\x93NUMPY": "NumPy",
    b"\x89HDF": "HDF5",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"FEA1": "Feather of version 1 (to be written anew as version 2)",
    b"SQLite format 3": "SQLite",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x1aE\xdf\xa3": "Matroska",
    b"ID3": "MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"\x7fELF": "an ELF program",
    b"\x00\x05\x16\x07": "AppleDouble (a macOS resource fork)",
}
_TEXTS = {
    re.compile(rb"\xff\xfe|\xfe\xff"): "UTF-16 text",
    re.compile(rb"version https://git-lfs\.github\.com/"): "a git LFS pointer (git lfs pull fetches the file)",
    re.compile(rb"data:[\w.+-]+/[\w.+-]+[;,]"): "a data URI (base64 is to be decoded first)",
    re.compile(
        rb"(/9j/|iVBORw0KGgo|R0lGOD|UklGR|Qk0|SUkqA|TU0AK|AAAAIGZ0eX)[\w+/=\s-]*\Z"
    ): "an image in base64 (to be decoded first)",
    re.compile(rb"HTTP/\d"): "an HTTP response",
}
TEXT_BYTES = 1024
"""What :func:`other_format` should be shown; of a text of as many bytes, the last letter may be cut."""
_HTML_ELEMENTS = frozenset(
    b"html head body title meta script style link div span p a br h1 h2 h3 center table form iframe img pre".split()
)
_PROLOGUE = re.compile(rb"(\s*(<!--.*?-->|<\?.*?\?>|<!doctype[^>\[]*(\[.*?\]\s*)?>))+", re.DOTALL | re.IGNORECASE)
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@lru_cache(maxsize=16)  # of one name it is asked again and again
def suffix(name: str) -> str:
    """The last suffix of the last part of ``name``, lower case, without its dot."""
    base = name.rsplit("/", 1)[-1]
    return base.rsplit(".", 1)[-1].lower() if "." in base else ""


def sample_key(name: str) -> tuple[str, str]:
    """The WebDataset key of a member and the rest: ``a/b.seg.png`` gives ``("a/b", "seg.png")``.

    A name whose last part begins with a dot has no key of its own but its whole name, so it joins no sample.
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, rest = base.partition(".")
    return (folder + slash + stem, rest) if stem and dot else (name, "")


def is_image_name(name: str) -> bool:
    """Whether the name says that this is an image, ``a.jpg.gz`` too. ``._0001.jpg`` (a macOS resource fork) does not."""
    last = suffix(name)
    if last in PACKED_SUFFIXES:
        last = suffix(name[: -len(last) - 1])
    return last in IMAGE_SUFFIXES and not name.rsplit("/", 1)[-1].startswith(".")


def is_sidecar_name(name: str) -> bool:
    """Whether the name says that this describes an image."""
    return suffix(name) in SIDECAR_SUFFIXES and not name.rsplit("/", 1)[-1].startswith(".")


def is_other_name(name: str) -> bool:
    """Whether the name says that this is something else."""
    return suffix(name) in OTHER_SUFFIXES


def is_silent_name(name: str) -> bool:
    """Whether the name does not say what this is, so that its first bytes are asked."""
    return not (is_image_name(name) or is_sidecar_name(name) or is_other_name(name))


def is_unread_archive(name: str) -> bool:
    """Whether the name says that this holds many images, in a format that is not read: ``a.7z``, ``shard.00000.mds.zstd``."""
    last = suffix(name)
    inner = suffix(name[: -len(last) - 1]) if last in PACKED_SUFFIXES else ""
    return bool({last, inner} & ARCHIVE_SUFFIXES)


def called(name: str) -> str:
    """What to call a file by its name, of one: ``.mds file``, ``hidden file``, ``file without a suffix``."""
    base = name.rsplit("/", 1)[-1]
    if base.startswith("."):
        return "hidden file"
    last = suffix(base)
    if last in PACKED_SUFFIXES and (inner := suffix(base[: -len(last) - 1])):
        last = f"{inner}.{last}"
    return f".{last} file" if last and len(last) <= MAX_CALLED and last.isprintable() and not last.isdigit() else OTHER_FILE


def skipped_kind(name: str) -> str:
    """What to count a member under that is no image, by its name: ``.json``, ``folder``, ``other``, …: one of few words."""
    base = name.rsplit("/", 1)[-1]
    if not base:
        return "folder"
    if base.startswith("."):
        return "hidden"
    last = suffix(base)
    if not last:
        return "no suffix"
    return f".{last}" if last in _KNOWN else "other"


def image_format(head: bytes) -> str | None:
    """The format on the allow-list that ``head`` (64 bytes or more) begins: JPEG, PNG, WEBP, GIF, BMP, TIFF or AVIF."""
    begins = {
        "JPEG": head.startswith(b"\xff\xd8\xff"),
        "PNG": head.startswith(b"\x89PNG\r\n\x1a\n"),
        "WEBP": head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        "GIF": head[:6] in (b"GIF87a", b"GIF89a"),
        "BMP": head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS,
        "TIFF": head[:4] in _TIFF_STARTS,
        "AVIF": bool(_brands(head) & {b"avif", b"avis"}),
    }
    return next((name for name, does in begins.items() if does), None)


def usual_suffix(data: bytes) -> str:
    """How the name of an image file ends, without the dot: ``jpg``, ``png``, …; ``bin`` where ``data`` are no image."""
    kind = (image_format(data) or "bin").lower()
    return "jpg" if kind == "jpeg" else kind


def other_format(head: bytes) -> str | None:
    """The name of what ``head`` begins that is not on the allow-list, for the account; ``None`` where it is not known.

    More bytes tell more of texts, up to about 1,000. Nothing of ``head`` is quoted but the code of an S3 error.
    """
    return _other_image(head) or _other_file(head) or _text(head)


def looks_like_image(head: bytes) -> bool:
    """Whether ``head`` begins an image, of the allow-list or not: for members whose name does not say."""
    if head[:1] not in _FIRST_BYTES and head[4:8] != b"ftyp":
        return False
    return image_format(head) is not None or _other_image(head) is not None


def _other_image(head: bytes) -> str | None:
    brands = _brands(head)
    if brands & _HEIC_BRANDS:
        return "HEIC"
    if brands & {b"crx "}:
        return "CR3"
    start = _IMAGE_START.match(head)
    return _IMAGE_STARTS[start[0]] if start else None


def _other_file(head: bytes) -> str | None:
    if _brands(head):
        return "MP4"
    if head[:4] == b"RIFF":
        return {b"AVI ": "AVI", b"WAVE": "WAV"}.get(head[8:12], "RIFF")
    if head[257:262] == b"ustar":
        return "tar"
    if head and not head.strip(b"\0"):
        return "a file that begins with zeros (a download that was never filled in)"
    return next((name for start, name in _FILE_STARTS.items() if head.startswith(start)), None)


def _text(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    known = next((name for pattern, name in _TEXTS.items() if pattern.match(text)), None)
    if known or text.startswith(b"<"):
        return known or _markup(text)
    try:
        words = text.decode("utf-8", "strict" if len(head) < TEXT_BYTES else "ignore")
    except UnicodeDecodeError:
        return None
    if not words or any(letter < " " and letter not in "\t\n\r\f" for letter in words):
        return None
    return "JSON" if words[0] in "{[" else "plain text"


def _markup(text: bytes) -> str | None:
    prologue = _PROLOGUE.match(text)
    doctype = re.search(rb"<!doctype\s+(\w+)", prologue[0] if prologue else text, re.IGNORECASE)
    root = re.match(rb"\s*<([\w.:-]+)", text[prologue.end() if prologue else 0 :])
    name = (doctype or root or [b"", b""])[1].lower()
    if name in _HTML_ELEMENTS:
        return "HTML"
    if name.rpartition(b":")[2] == b"svg":
        return "SVG"
    code = re.search(rb"<Code>([A-Za-z][\w.]{0,63})</Code>", text)
    if name == b"error" and code:
        return f"XML (S3 error {code[1].decode()})"
    if text.startswith(b"<!--") and not name:
        return "HTML or XML"
    return "XML" if name or text.startswith(b"<?xml") else None


def _brands(head: bytes) -> set[bytes]:
    if head[4:8] != b"ftyp":
        return set()
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, end - 3, 4)}
