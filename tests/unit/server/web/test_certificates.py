"""A server's own certificate: made once, kept, renewed in time, and accepted by strict clients."""

from __future__ import annotations

import logging
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from labthings_fastapi.server.web.tls import (
    CertificateError,
    checked_name,
    own_certificate,
    usual_names,
)

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "settings"


def test_it_is_made_on_first_use_and_kept(folder):
    made = own_certificate(folder, now=NOW)
    assert made.certificate.is_relative_to(folder)
    assert own_certificate(folder, now=NOW + timedelta(days=600)) == made


@pytest.mark.skipif(os.name != "posix", reason="Windows has no modes")
def test_only_the_owner_can_read_the_private_key(folder):
    made = own_certificate(folder)
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert made.key.parent.stat().st_mode & 0o777 == 0o700


def test_todays_clients_accept_it(folder):
    """Apple wants at most 825 days; all of them want names in subjectAltName and nowhere else."""
    read = x509.load_pem_x509_certificate(own_certificate(folder, now=NOW).certificate.read_bytes())
    assert read.not_valid_before_utc < NOW
    assert timedelta(days=700) < read.not_valid_after_utc - read.not_valid_before_utc
    assert read.not_valid_after_utc - read.not_valid_before_utc < timedelta(days=825)
    key = read.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    find = read.extensions.get_extension_for_class
    assert find(x509.BasicConstraints).critical
    assert not find(x509.BasicConstraints).value.ca
    assert x509.ExtendedKeyUsageOID.SERVER_AUTH in find(x509.ExtendedKeyUsage).value


def test_it_is_valid_for_this_computer_and_for_given_hosts(folder):
    made = own_certificate(folder, ["Lab-PC.example.org.", "192.0.2.7", "[2001:db8::1]"])
    host = socket.gethostname().partition(".")[0].lower()
    expected = {"localhost", "127.0.0.1", "::1", host, f"{host}.local"}
    expected |= {"lab-pc.example.org", "192.0.2.7", "2001:db8::1"}
    assert expected <= set(made.names)
    assert len(set(made.names)) == len(made.names)


def test_names_can_be_added_and_stay(folder, caplog):
    first = own_certificate(folder, ["one.example"], now=NOW)
    second = own_certificate(folder, ["two.example"], add_hosts=True, now=NOW)
    assert second.fingerprint != first.fingerprint
    assert {"one.example", "two.example"} <= set(second.names)
    assert "does not name two.example, so a new one replaces it" in caplog.text
    assert own_certificate(folder, ["one.example"], add_hosts=True, now=NOW) == second


def test_a_missing_name_is_a_warning_and_keeps_the_certificate(folder, caplog):
    """Clients that trust the certificate under other names must not lose it."""
    made = own_certificate(folder, now=NOW)
    assert own_certificate(folder, ["192.0.2.9"], now=NOW) == made
    assert "`labthings-server cert --host 192.0.2.9`" in caplog.text


@pytest.mark.parametrize(("days", "phrase"), [(701, "expires on"), (731, "expired on")])
def test_it_is_renewed_with_its_names_before_or_after_it_expires(folder, caplog, days, phrase):
    first = own_certificate(folder, ["one.example"], now=NOW)
    with caplog.at_level(logging.WARNING):
        second = own_certificate(folder, now=NOW + timedelta(days=days))
    assert second.expires - first.expires == timedelta(days=days)
    assert "one.example" in second.names
    assert f"{phrase} 2028-05-03, so a new one replaces it" in caplog.text


def test_it_is_replaced_if_its_key_is_missing_or_another_one(folder, tmp_path, caplog):
    """As after a kill between the two files."""
    first = own_certificate(folder)
    other = own_certificate(tmp_path / "other")
    first.key.write_bytes(other.key.read_bytes())
    second = own_certificate(folder)
    second.key.unlink()
    third = own_certificate(folder)
    assert len({made.fingerprint for made in (first, second, third)}) == 3
    assert third.key.exists()
    assert caplog.text.count("does not belong to its private key") == 2


def test_a_file_that_is_not_a_certificate_is_named_and_kept(folder):
    made = own_certificate(folder)
    made.certificate.write_text("notes", "utf-8")
    with pytest.raises(CertificateError, match=r"certificate\.pem cannot be read .* Remove"):
        own_certificate(folder)
    assert made.certificate.read_text("utf-8") == "notes"


@pytest.mark.parametrize(
    "host", ["", "a b", "http://a", "a/b", "a:5000", "-a", "a..b", "x" * 64, "\udc80", "a." * 200]
)
def test_an_invalid_host_is_refused_with_the_remedy(host):
    with pytest.raises(CertificateError, match="is neither a host name nor an IP address"):
        checked_name(host)


@pytest.mark.parametrize(
    ("host", "name"),
    [("Bücher.example", "xn--bcher-kva.example"), ("A_B", "a_b"), ("::FFFF", "::ffff")],
)
def test_names_have_the_form_that_clients_compare(host, name):
    assert checked_name(host) == name


def test_a_computer_name_that_is_not_valid_in_a_url_is_left_out(monkeypatch):
    """This computer has no such name, so the functions of the system are replaced."""
    monkeypatch.setattr(socket, "gethostname", lambda: "the lab's PC")
    monkeypatch.setattr(socket, "getfqdn", lambda: "lab.example.org")
    assert usual_names() == ["localhost", "127.0.0.1", "::1", "lab.example.org"]


def test_without_cryptography_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(CertificateError, match=r"Install the extra [`']tls[`']"):
        own_certificate(folder)
