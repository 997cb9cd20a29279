"""Where callbacks may go."""

from __future__ import annotations

import pytest

from shared.batches.callback_addresses import NotAllowed, is_public, place_of

FINE = [
    ("https://hooks.example.com/x?y=1", "hooks.example.com", 443),
    ("https://Hooks.Example.COM:8443", "hooks.example.com", 8443),
    ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
    ("https://93.184.215.14/x", "93.184.215.14", 443),
    ("https://[2606:4700::1111]/", "2606:4700::1111", 443),
    ("https://my_host.example.com./", "my_host.example.com", 443),
]
NEVER = [
    "", "hooks.example.com", "ftp://hooks.example.com", "file:///etc/passwd", "https://", "https:///x", "//hooks.example.com",
    "http://hooks.example.com/x", "https://user:pw@hooks.example.com/", "https://@hooks.example.com/",
    "https://hooks.example.com/#x", "https://hooks.example.com/#", "https://hooks.example.com:0/", "https://hooks.example.com:99999/",
    "https://hooks.example.com/a b", "https://hooks.example.com/\r\nx: y", "https://hooks.example.com\\@localhost/", "https://bücher.example/",
    "https://" + "a" * 2048 + ".com", "https://localhost/", "https://LOCALHOST/", "https://x.localhost/", "https://printer.local/",
    "https://metadata.google.internal/", "https://intranet/", "https://127.0.0.1/", "https://127.1/", "https://0x7f.0.0.1/", "https://2130706433/",
    "https://0177.0.0.1/", "https://0/", "https://10.1.2.3/", "https://172.16.0.1/", "https://192.168.0.1/", "https://169.254.169.254/metadata",
    "https://168.63.129.16/", "https://100.64.0.1/", "https://224.0.0.1/", "https://255.255.255.255/", "https://[::1]/", "https://[::]/",
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00::1]/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[::127.0.0.1]/", "https://[ff02::1]/", "https://[2001:db8::1]/", "https://[::1/",
]  # fmt: skip


@pytest.mark.parametrize(("url", "host", "port"), FINE)
def test_addresses_of_the_internet(url: str, host: str, port: int) -> None:
    place = place_of(url, ())
    assert (place.url, place.host, place.port, place.tls, place.listed) == (url, host, port, True, False)


@pytest.mark.parametrize("url", NEVER)
def test_what_is_never_called(url: str) -> None:
    with pytest.raises(NotAllowed):
        place_of(url, ("hooks.example.org", "127.0.0.2"))


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("http://localhost:8080/x", "localhost:8080"),
        ("http://localhost:8080/x", "LocalHost"),
        ("https://10.1.2.3/x", "10.1.2.3"),
        ("https://[::1]:8443/x", "[::1]:8443"),
        ("https://[::1]/x", "::1"),
        ("http://intranet/x", "intranet:80"),
    ],
)
def test_what_the_operator_lists_may_be_private_and_without_tls(url: str, listed: str) -> None:
    assert place_of(url, (listed,)).listed


def test_another_port_of_a_listed_one_is_not_listed() -> None:
    with pytest.raises(NotAllowed):
        place_of("http://localhost:8081/x", ("localhost:8080",))


def test_a_listed_host_needs_an_address_all_the_same() -> None:
    for url in ("ftp://localhost/", "http://u@localhost/", "http://localhost/#x"):
        with pytest.raises(NotAllowed):
            place_of(url, ("localhost",))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "168.63.129.16", "192.88.99.1", "240.0.0.1", "192.0.0.1", "198.18.0.1", "203.0.113.1", "fec0::1", "2001::1", "2620:4f:8000::%1",
     "64:ff9b:1::1", "64:ff9b::a00:1", "2002:a00:1::1", "::ffff:10.0.0.1", "fe80::1%2", "4000::1", "rubbish", ""],
)  # fmt: skip
def test_addresses_that_are_not(address: str) -> None:
    assert not is_public(address)
