"""What may stand in a web configuration; reading the file and using it is tested with real connections."""

from __future__ import annotations

import pytest

from circus.exc import ConfigError
from circus_exporters.prometheus.web_config import TlsConfig, WebConfig, parse_web_config

PATH = "/etc/circus/web.yml"
HASH = "$2y$10$" + "A" * 53
PAIR = {"cert_file": "web.crt", "key_file": "/keys/web.key"}


def told(document: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_web_config(document, PATH)
    return [str(mistake).removeprefix(f"{PATH}: ") for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    "document",
    [None, {}, {"tls_server_config": None, "basic_auth_users": None}, {"http_server_config": {"http2": True}}],
)
def test_a_file_that_asks_for_nothing_changes_nothing(document: object) -> None:
    assert parse_web_config(document, PATH) == WebConfig(path=PATH)


def test_files_are_beside_the_file_that_names_them() -> None:
    tls = parse_web_config({"tls_server_config": {**PAIR, "client_ca_file": ""}}, PATH).tls
    assert tls == TlsConfig(cert_file="/etc/circus/web.crt", key_file="/keys/web.key")
    assert tls.files == ("/etc/circus/web.crt", "/keys/web.key")


def test_everything_together() -> None:
    document = {
        "tls_server_config": {
            **PAIR, "client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert", "min_version": "TLS13",
            "cipher_suites": [], "client_allowed_sans": None,
        },
        "basic_auth_users": {"alice": HASH, "bob": HASH},
    }  # fmt: skip
    config = parse_web_config(document, PATH)
    assert config.users == {"alice": HASH, "bob": HASH}
    assert config.tls is not None
    assert (config.tls.min_version, config.tls.client_auth) == ("TLS13", "RequireAndVerifyClientCert")
    assert config.tls.files[-1] == "/etc/circus/ca.crt"


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ({"cert_file": "a"}, "[tls_server_config] key_file: is missing"),
        ({}, "[tls_server_config] cert_file: is missing"),
        ({**PAIR, "cert_file": 7}, "[tls_server_config] cert_file = '7': expected the name of a file"),
        ({**PAIR, "min_version": "TLS11"}, "min_version = 'TLS11': expected one of TLS12, TLS13"),
        ({**PAIR, "min_version": "TLS13", "max_version": "TLS12"}, "max_version = 'TLS12': is below min_version"),
        ({**PAIR, "client_auth_type": "Sometimes"}, "client_auth_type = 'Sometimes': expected one of NoClientCert"),
        ({**PAIR, "client_auth_type": "RequireAnyClientCert"}, "certificates that nobody verifies are not asked for"),
        ({**PAIR, "client_auth_type": "VerifyClientCertIfGiven"}, "needs client_ca_file"),
        ({**PAIR, "client_ca_file": "ca.crt"}, "client_ca_file = 'ca.crt': needs a client_auth_type that uses it"),
        ({**PAIR, "client_allowed_sans": ["x"]}, "client_allowed_sans: is not supported here"),
        ({**PAIR, "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}, "cipher_suites: is not supported here"),
        ({**PAIR, "certfile": "x"}, "certfile: no such key here; there are cert_file"),
    ],
)
def test_a_mistake_in_tls_is_told(tls: dict[str, object], expected: str) -> None:
    assert expected in told({"tls_server_config": tls})[0]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (["x"], "expected keys with values"),
        ("text", "expected keys with values"),
        ({"tls": {}}, "tls: no such key here; there are tls_server_config, http_server_config, basic_auth_users"),
        ({"tls_server_config": []}, "[tls_server_config]: expected keys with values"),
        ({"http_server_config": {"headers": {}}}, "[http_server_config] headers: no such key here; there are http2"),
        ({"basic_auth_users": {"a:b": HASH}}, "[basic_auth_users] a:b: a user's name cannot have a colon"),
    ],
)
def test_a_mistake_in_the_shape_is_told(document: object, expected: str) -> None:
    assert told(document)[0] == expected


@pytest.mark.parametrize("password", ["hunter2", "$2y$10$short", 5, None, "$2y$99$" + "A" * 53])
def test_a_password_that_is_no_hash_is_refused_and_not_repeated(password: object) -> None:
    (mistake,) = told({"basic_auth_users": {"alice": password}})
    assert mistake.startswith("[basic_auth_users] alice: expected the bcrypt hash of a password")
    assert "hunter2" not in mistake


def test_all_mistakes_are_told_at_once() -> None:
    assert len(told({"x": 1, "tls_server_config": {"min_version": "x"}, "basic_auth_users": {"a": "b"}})) == 4
