"""``--same-as OLD=NEW``."""

from __future__ import annotations

import pytest

from causalprint.schemas.config import AuditConfig
from causalprint.schemas.moves import Move, parse_move
from causalprint.schemas.options import OptionError


@pytest.mark.parametrize(
    "move",
    [
        Move("s3://old/crawl", "gs://new/crawl"),
        Move("s3://old/date=1", "s3://new/date=1"),
        Move("/data/a=b", "/data/c"),
        Move("old", "new"),
    ],
)
def test_a_pair_is_read_as_it_is_written(move: Move) -> None:
    assert parse_move(str(move)) == move
    config = AuditConfig(("x",), "out", same_as=(str(move),))  # type: ignore[arg-type]
    assert config.same_as == (move,)
    assert ("--same-as", str(move)) in zip(config.argv(), config.argv()[1:], strict=False)


@pytest.mark.parametrize("text", ["old", "=new", "a=b=c", "s3://a=s3://b=s3://c"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"--same-as: .* is not OLD=NEW"):
        AuditConfig(("x",), "out", same_as=(text,))  # type: ignore[arg-type]


@pytest.mark.parametrize("slash", ["", "/"])
def test_what_lies_below_a_prefix_has_moved_and_nothing_else(slash: str) -> None:
    move = Move(f"s3://old/a{slash}", f"s3://new/b{slash}")
    assert move.before("s3://new/b/x/0.tar") == "s3://old/a/x/0.tar"
    assert move.before("s3://new/b/") == "s3://old/a/"
    assert move.before("s3://new/bc/0.tar") is None
    assert Move("s3://old/0.tar", "s3://new/1.tar").before("s3://new/1.tar") == "s3://old/0.tar"
