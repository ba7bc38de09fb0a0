"""causalprint: which generative model made each image of a web-scale dataset, with the evidence in Parquet.

Importing it loads neither torch nor Beam; each name below loads what it needs when it is first used.

- :func:`audit`: shards to tables, as ``causalprint audit`` does; the command's options are its keywords.
- :func:`open_bundle`: the verdict on an image, or its fingerprint, in this process.
- :func:`open_audit`: an audit's tables by SQL, pandas, polars or Arrow.
- :func:`fetch`: the bytes of a finding again, SHA-256 checked.
- :func:`match_shards`, :class:`ReadImageShards`, :class:`ComputeFingerprints`, :class:`AttributeSources`: parts of an audit, for
  a Beam pipeline of one's own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from causalprint.pipelines.audit_call import audit as audit
    from causalprint.pipelines.fetch import fetch as fetch
    from causalprint.pipelines.open_audit import open_audit as open_audit
    from causalprint.pipelines.open_bundle import open_bundle as open_bundle
    from causalprint.transforms.attribute_sources import AttributeSources as AttributeSources
    from causalprint.transforms.compute_fingerprints import ComputeFingerprints as ComputeFingerprints
    from causalprint.transforms.match_shards import match_shards as match_shards
    from causalprint.transforms.read_image_shards import ReadImageShards as ReadImageShards

__version__ = "0.1.0"

_HOMES = {
    "audit": "pipelines.audit_call",
    "open_bundle": "pipelines.open_bundle",
    "open_audit": "pipelines.open_audit",
    "fetch": "pipelines.fetch",
    "match_shards": "transforms.match_shards",
    "ReadImageShards": "transforms.read_image_shards",
    "ComputeFingerprints": "transforms.compute_fingerprints",
    "AttributeSources": "transforms.attribute_sources",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - names of the mapping above


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
