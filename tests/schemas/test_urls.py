"""What a URL is once its secrets are taken out."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.urls import bare, hide, public, query_of, scrubbed

NAMES = (
    "X-Amz-Signature X-Amz-Credential X-Amz-Security-Token X-Amz-Date X-Amz-Expires x-goog-signature X-Goog-Credential Signature "
    "AWSAccessKeyId Expires GoogleAccessId OSSAccessKeyId sig se token access_token auth_token api_key apikey password Policy "
    "Key-Pair-Id security-token X-Xet-Access-Token hdnts"
)
SECRETS = NAMES.split()
KEPT = ("versionId", "id", "download", "file", "part", "dataset", "name", "page", "sp", "sv")
TEXT = st.text("ABCxyz019-_.~+ /=", min_size=1, max_size=20).map(lambda value: quote(f"S3CR3T{value}", safe=""))


@given(
    secrets=st.lists(st.tuples(st.sampled_from(SECRETS), TEXT), max_size=4),
    others=st.lists(st.tuples(st.sampled_from(KEPT[:-2]), st.text("abc019", max_size=5)), max_size=3),
    order=st.randoms(use_true_random=False),
    user=st.sampled_from(["", "user@", "user:S3CR3T@", "S3CR3T%40x:S3CR3T@"]),
    scheme=st.sampled_from(["http", "https", "s3", "sftp", "webdav"]),
)
def test_no_secret_is_left_and_all_else_is(
    secrets: list[tuple[str, str]], others: list[tuple[str, str]], order: object, user: str, scheme: str
) -> None:
    pairs = [*secrets, *others]
    order.shuffle(pairs)  # type: ignore[attr-defined]
    query = "&".join(f"{name}={value}" for name, value in pairs)
    url = f"{scheme}://{user}host.example:80/a/b%20c/00000.tar" + (f"?{query}" if query else "")
    shown = public(url)
    rest = "&".join(f"{name}={value}" for name, value in pairs if (name, value) in others)
    assert shown == f"{scheme}://host.example:80/a/b%20c/00000.tar" + (f"?{rest}" if rest else "")
    assert public(shown) == shown
    for text in (f"403, message='Forbidden', url='{url}'", f"could not read {url}.", f"({url}): refused; {url}, again"):
        assert "S3CR3T" not in scrubbed(text)
        assert "host.example" in scrubbed(text)


def test_a_shared_access_signature_of_azure_goes_as_a_whole() -> None:
    url = "https://a.blob.core.windows.net/c/0.tar"
    first, second = (f"{url}?sv=2022-11-02&se={day}T00%3A00Z&sr=b&sp=r&sig={day}abc%3D" for day in ("2024-01-01", "2024-01-02"))
    assert public(first) == public(second) == url
    assert public(f"{url}?sv=2&sp=3") == f"{url}?sv=2&sp=3"  # no signature, so these are the server's own


@pytest.mark.parametrize(
    "url",
    [
        "/data/a?token=1.tar",
        "file:///data/a?token=1.tar",
        "abfs://container@account.dfs.core.windows.net/0.tar",
        "hf://datasets/user/name@main/0.tar",
        "s3://bucket/a@b/0.tar",
        "https://host/get?key=a/00000.tar",
        "photo.jpg",
        "",
    ],
)
def test_what_holds_no_secret_is_itself(url: str) -> None:
    assert public(url) == url


def test_messages_lose_secrets_that_stand_behind_odd_characters() -> None:
    for text in (
        "GET https://h/my file.tar?X-Amz-Signature=S3CR3T failed",
        "GET https://h/a.tar?X-Amz-SignedHeaders=host;range&X-Amz-Signature=S3CR3T failed",
        "/a.tar?sig=S3CR3T",
        "https://user:S3CR3T@h: refused",
    ):
        assert "S3CR3T" not in scrubbed(text)
    assert scrubbed("nothing, a=b & c") == "nothing, a=b & c"


def test_values_of_storage_options_are_left_out_of_messages() -> None:
    hide({"s3": {"secret": "wJalrXUtnFEMI", "endpoint_url": "http://127.0.0.1:9000", "list": ["ya29.a0AfH6SM"], "anon": False}})
    text = scrubbed("no file ya29.a0AfH6SM, wJalrXUtnFEMI; http://127.0.0.1:9000 did not answer")
    assert text == "no file …, …; http://127.0.0.1:9000 did not answer"


def test_a_query_is_no_part_of_a_name() -> None:
    assert bare("https://h/a/0.tar?x=/b.jpg") == "https://h/a/0.tar"
    assert query_of("https://h/a/0.tar?x=/b.jpg") == "?x=/b.jpg"
    assert (bare("/a/b?.tar"), query_of("/a/b?.tar")) == ("/a/b?.tar", "")
