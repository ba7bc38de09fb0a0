"""``tf.train.Example`` without TensorFlow: the message as its ``example.proto`` and ``feature.proto`` define it."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

Features = dict[str, list[bytes] | list[float] | list[int]]


class ExampleError(ValueError):
    """Bytes that are no ``tf.train.Example``."""


def parse_example(data: bytes) -> Features:
    """The features of one serialised example, ordered by name.

    Raises:
        ExampleError: it is none.
    """
    try:
        example = example_class().FromString(data)
    except DecodeError as error:
        raise ExampleError(f"{len(data)} bytes are no tf.train.Example") from error
    features = example.features.feature
    return {name: _values(features[name]) for name in sorted(features)}


@cache
def example_class() -> Any:
    """The message class ``tensorflow.Example``, in a pool of its own."""
    pool = DescriptorPool()
    pool.Add(ParseDict(_FILE, FileDescriptorProto()))
    return GetMessageClass(pool.FindMessageTypeByName("causalprint.Example"))


def _values(feature: Any) -> list[bytes] | list[float] | list[int]:
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


def _list(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "field": [{"name": "value", "number": 1, "label": "LABEL_REPEATED", "type": kind}]}


def _message(name: str, number: int, kind: str, label: str = "LABEL_OPTIONAL") -> dict[str, Any]:
    return {"name": name, "number": number, "label": label, "type": "TYPE_MESSAGE", "typeName": f".causalprint.{kind}"}


def _one_of(name: str, number: int, kind: str) -> dict[str, Any]:
    return _message(name, number, kind) | {"oneofIndex": 0}


_ENTRY = {
    "name": "FeatureEntry",
    "field": [{"name": "key", "number": 1, "label": "LABEL_OPTIONAL", "type": "TYPE_STRING"}, _message("value", 2, "Feature")],
    "options": {"mapEntry": True},
}
_FILE = {
    "name": "causalprint/example.proto",
    "package": "causalprint",
    "syntax": "proto3",
    "messageType": [
        _list("BytesList", "TYPE_BYTES"),
        _list("FloatList", "TYPE_FLOAT"),
        _list("Int64List", "TYPE_INT64"),
        {
            "name": "Feature",
            "field": [
                _one_of("bytes_list", 1, "BytesList"),
                _one_of("float_list", 2, "FloatList"),
                _one_of("int64_list", 3, "Int64List"),
            ],
            "oneofDecl": [{"name": "kind"}],
        },
        {
            "name": "Features",
            "field": [_message("feature", 1, "Features.FeatureEntry", "LABEL_REPEATED")],
            "nestedType": [_ENTRY],
        },
        {"name": "Example", "field": [_message("features", 1, "Features")]},
    ],
}
