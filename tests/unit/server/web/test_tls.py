"""A certificate is checked before hardware is opened."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from labthings_fastapi.server.web.tls import (
    CertificateError,
    OwnCertificate,
    chosen_tls,
    load_tls,
    own_certificate,
    specific_hosts,
)

NOW = datetime.now(UTC)


@pytest.fixture
def own(tmp_path: Path) -> OwnCertificate:
    return own_certificate(tmp_path / "settings")


def test_a_pair_of_files_is_loaded_with_its_fingerprint(own):
    tls = chosen_tls((str(own.certificate), own.key), Path("nowhere"))
    assert tls is not None
    assert tls.fingerprint == own.fingerprint
    assert chosen_tls(tls, Path("nowhere")) is tls


def test_a_server_may_have_no_certificate_or_its_own(tmp_path):
    assert chosen_tls(False, tmp_path) is None
    tls = chosen_tls(True, tmp_path, "192.0.2.7")
    assert tls is not None
    assert "192.0.2.7" in own_certificate(tmp_path).names
    assert tls.fingerprint == own_certificate(tmp_path).fingerprint


def test_a_chain_with_text_around_it_is_loaded(own, tmp_path):
    """As certificate authorities send them; the server's own comes first."""
    other = own_certificate(tmp_path / "other")
    text = own.certificate.read_text("utf-8")
    chain = tmp_path / "chain.pem"
    chain.write_text(f"subject: lab\n{text}\n{other.certificate.read_text('utf-8')}", "utf-8")
    assert load_tls(chain, own.key).fingerprint == own.fingerprint


def test_a_key_of_another_certificate_is_refused(own, tmp_path):
    other = own_certificate(tmp_path / "other")
    with pytest.raises(CertificateError, match="does not belong to the certificate"):
        load_tls(own.certificate, other.key)


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_a_file_that_is_missing_is_named(own, missing):
    path = getattr(own, missing)
    path.unlink()
    with pytest.raises(CertificateError, match="cannot be read: No such file") as raised:
        load_tls(own.certificate, own.key)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", [b"notes", b"\xff\x00", b""])
@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_file_of_another_format_is_refused(own, which, content):
    getattr(own, which).write_bytes(content)
    with pytest.raises(CertificateError, match="PEM format"):
        load_tls(own.certificate, own.key)


def test_a_key_with_a_password_does_not_prompt_at_a_terminal(own):
    secret = serialization.load_pem_private_key(own.key.read_bytes(), None)
    own.key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateError, match=r"needs a password.*openssl pkey -in"):
        load_tls(own.certificate, own.key)


@pytest.mark.parametrize(
    ("when", "phrase"),
    [(NOW - timedelta(days=800), "has expired"), (NOW + timedelta(days=9), "is not valid yet")],
)
def test_a_certificate_that_is_not_valid_today_is_refused(tmp_path, when, phrase):
    own = own_certificate(tmp_path, now=when)
    with pytest.raises(CertificateError, match=rf"{phrase} \(valid .*\), so no client would"):
        load_tls(own.certificate, own.key)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_a_private_key_that_others_can_read_is_a_warning(own, caplog):
    load_tls(own.certificate, own.key)
    assert caplog.text == ""
    own.key.chmod(0o644)
    load_tls(own.certificate, own.key)
    assert f"can read the private key {own.key}" in caplog.text


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("0.0.0.0", []),  # noqa: S104 # nothing is bound
        ("::", []),
        ("", []),
        ("192.0.2.7", ["192.0.2.7"]),
        ("Lab-PC", ["lab-pc"]),
    ],
)
def test_a_server_that_listens_everywhere_has_no_address_of_its_own(host, found):
    assert specific_hosts(host) == found


def test_a_given_certificate_needs_no_further_package(own):
    """`cryptography` is an extra, for the server's own certificate and for the dates."""
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path\n"
        "from labthings_fastapi.server.web.tls import load_tls\n"
        "print(load_tls(Path(sys.argv[1]), Path(sys.argv[2])).fingerprint)\n"
    )
    command = [sys.executable, "-c", program, str(own.certificate), str(own.key)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == own.fingerprint
    assert "were not checked" in ended.stderr
