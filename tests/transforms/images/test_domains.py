"""The registered domain of a sidecar's URL, however the URL is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.transforms.images.domains import domain_of, host_of, url_of


@pytest.mark.parametrize(("url", "domain"), [
    ("https://images.example.co.uk/a.jpg", "example.co.uk"),
    ("http://user:secret@WWW.Example.ORG:8080/a?b=https://other.com#c", "example.org"),
    ("https://me.github.io/x.png", "me.github.io"),
    ("https://github.io/x.png", None),
    ("https://a.b.münchen.de/", "xn--mnchen-3ya.de"),
    ("https://faß.de", "xn--fa-hia.de"),
    ("https://例え.テスト/", "xn--r8jz45g.xn--zckzah"),
    ("https://my_bucket.s3.amazonaws.com/a", "my_bucket.s3.amazonaws.com"),
    ("https://example.org./a", "example.org"),
    ("//cdn.example.net/a.jpg", "example.net"),
    ("example.com/a.jpg", "example.com"),
    ("http://192.0.2.7:80/a", "192.0.2.7"),
    ("http://[2001:DB8::1]/a", "2001:db8::1"),
    ("http://localhost/a", None),
    ("http://[broken/a", None),
    ("hazard://thing.example.org/a", None),
    ("data:image/png;base64,AAAA", None),
    ("https:///a.jpg", None),
    ("http://a..example.org/", None),
    ("http://exa mple.org/", None),
    ("", None),
])  # fmt: skip
def test_a_url_is_of_one_registered_domain(url: str, domain: str | None) -> None:
    assert domain_of(host_of(url)) == domain


@given(st.text())
def test_no_text_raises(text: str) -> None:
    host = host_of(text)
    found = domain_of(host)
    assert found is None or (host is not None and host.endswith(found) and found.isascii())


@pytest.mark.parametrize(("told", "url"), [
    ({"url": "https://a.org"}, "https://a.org"),
    ({"URL": "https://a.org", "caption": "x"}, "https://a.org"),
    ({"url": None, "image_url": "https://b.org"}, "https://b.org"),
    ({"url": 7}, None),
    (["url"], None),
    ({"caption": "no url"}, None),
])  # fmt: skip
def test_a_sidecar_names_its_url(told: object, url: str | None) -> None:
    assert url_of(json.dumps(told)) == url


def test_without_a_sidecar_there_is_no_url() -> None:
    assert url_of(None) is None
