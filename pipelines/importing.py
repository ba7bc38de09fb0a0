"""What a process of ours imports at its start, most of the time that this takes and of the memory that it holds then."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Any

UNUSED = (
    "apache_beam.io.aws.s3filesystem",
    "apache_beam.io.gcp.bigquery",
    "apache_beam.io.gcp.gcsfilesystem",
    "pymongo",
)
"""What Beam imports where it can, and goes without where it cannot: other ways to other stores. Ours are fsspec's."""


def import_at_once(*names: str) -> None:
    """Imports modules for a pipeline on this machine: Beam without what is :data:`UNUSED`, which can be imported afterwards.

    Modules stay, and so does what they make: rubbish is not looked for in it, now or later. Arrow takes memory where torch does,
    so that each takes what the other has left. For processes that are ours alone.
    """
    modules: dict[str, Any] = sys.modules
    if all(name in modules for name in names):
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    hidden = [] if "apache_beam" in modules else [name for name in UNUSED if name not in modules]
    modules.update(dict.fromkeys(hidden))  # an import of what is None there says that it is not found
    gc.disable()
    try:
        for name in names:
            import_module(name)
    finally:
        gc.freeze()
        gc.enable()
        for name in hidden:
            del modules[name]
