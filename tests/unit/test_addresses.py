from __future__ import annotations

import pytest

from shared.addresses import is_loopback, is_safe_url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0", ""])
def test_another_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url", ["https://h", "HTTPS://h:8443/p?q", "http://127.0.0.1:7071", "http://localhost/", "http://[::1]:1"]
)
def test_nobody_on_the_way_reads_what_is_sent(url: str) -> None:
    assert is_safe_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://h", "http://127.0.0.1.evil.example", "http://127.0.0.1@evil.example", "https://", "ftp://127.0.0.1", "h", "",
     "http://[", "http://localhost.evil.example"],
)  # fmt: skip
def test_somebody_might(url: str) -> None:
    assert not is_safe_url(url)
