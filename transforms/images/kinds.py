"""What a member is: an image, a sidecar of one, or neither; by its name first, by its first bytes where the name is silent."""

from __future__ import annotations

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

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


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
    """The name of a known format that is not on the allow-list, for the account."""
    brands = _brands(head)
    if brands & {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}:
        return "HEIC"
    if brands:
        return "MP4"
    starts = {
        b"8BPS": "PSD",
        b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
        b"\xff\x4f\xff\x51": "JPEG 2000",
        b"\x00\x00\x00\x0cJXL ": "JPEG XL",
        b"\xff\x0a": "JPEG XL",
        b"\x00\x00\x01\x00": "ICO",
        b"%PDF": "PDF",
        b"qoif": "QOI",
        b"v/1\x01": "OpenEXR",
        b"DDS ": "DDS",
        b"icns": "ICNS",
        b"II\xbc\x01": "JPEG XR",
        b"gimp xcf": "XCF",
    }
    for start, name in starts.items():
        if head.startswith(start):
            return name
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<svg", b"<?xml")):
        return "SVG"
    return "HTML" if text.startswith((b"<!doctype html", b"<html")) else None


def looks_like_image(head: bytes) -> bool:
    """Whether ``head`` begins an image, of the allow-list or not: for members whose name does not say."""
    return image_format(head) is not None or other_format(head) not in (None, "MP4", "PDF", "SVG", "HTML")


def _brands(head: bytes) -> set[bytes]:
    if head[4:8] != b"ftyp":
        return set()
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, end - 3, 4)}
