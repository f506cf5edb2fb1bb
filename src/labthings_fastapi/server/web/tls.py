"""The certificate and the private key with which a server speaks TLS."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TypeAlias

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.operating_system import open_to_others

from .certificates import CertificateError, checked_name, own_certificate

LOGGER = own_logger("server")
PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tls:
    context: ssl.SSLContext
    certificate: Path
    fingerprint: str
    """SHA-256 of the certificate, as browsers show it."""


TlsChoice: TypeAlias = bool | tuple[str | Path, str | Path] | Tls
"""False: no TLS; True: the server's own certificate; or the files of a certificate and its key."""


def chosen_tls(choice: TlsChoice, settings_folder: Path, hosts: Sequence[str] = ()) -> Tls | None:
    if isinstance(choice, Tls):
        return choice
    if choice is False:
        return None
    if choice is True:
        own = own_certificate(settings_folder, hosts)
        return load_tls(own.certificate, own.key)
    certificate, key = choice
    return load_tls(Path(certificate), Path(key))


def specific_hosts(host: str) -> list[str]:
    """Return the host on which a server listens, if clients can use it in a URL."""
    try:
        name = checked_name(host)
    except CertificateError:  # empty, or an address with the name of a network interface
        return []
    return [] if name in ("0.0.0.0", "::") else [name]  # noqa: S104 # no socket is bound here


def load_tls(certificate: Path, key: Path) -> Tls:
    """Read a certificate, with the rest of its chain if there is one, and its private key."""
    text = _read(certificate, "certificate")
    _read(key, "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])

    def refuse() -> NoReturn:
        raise CertificateError(
            f"The private key {key} needs a password, but a server must start without a person. "
            f"Write a key without a password: `openssl pkey -in {key} -out new-key.pem`. Only the "
            "owner of the file should be able to read it."
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse)
        der = ssl.PEM_cert_to_DER_cert(PEM.findall(text)[0])
    except (ssl.SSLError, ValueError, IndexError) as error:
        if isinstance(error, CertificateError):
            raise
        raise _unusable(certificate, key, error) from error
    _check_dates(der, certificate)
    if open_to_others(key):
        LOGGER.warning("Other users of this computer can read the private key %s.", key)
    return Tls(context, certificate, hashlib.sha256(der).digest().hex(":").upper())


def _read(path: Path, content: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in PEM format"
        raise CertificateError(f"The {content} {path} cannot be read: {reason}.") from error


def _unusable(certificate: Path, key: Path, error: Exception) -> CertificateError:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return CertificateError(
            f"The private key {key} does not belong to the certificate {certificate}. Give the two "
            "files that were made together."
        )
    reason = (isinstance(error, ssl.SSLError) and error.reason) or "not in PEM format"
    return CertificateError(
        f"The certificate {certificate} and the private key {key} cannot be used ({reason}). Both "
        "must be in PEM format, which begins with `-----BEGIN`; the server's own certificate "
        "comes first in its file."
    )


def _check_dates(der: bytes, certificate: Path) -> None:
    if find_spec("cryptography") is None:
        LOGGER.warning(
            "The dates of the certificate %s were not checked, because the package `cryptography` "
            "is not installed. Install the extra `tls` of labthings-fastapi.",
            certificate,
        )
        return
    from cryptography import x509

    found = x509.load_der_x509_certificate(der)
    now = datetime.now(UTC)
    if found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        return
    reason = "has expired" if now > found.not_valid_after_utc else "is not valid yet"
    raise CertificateError(
        f"The certificate {certificate} {reason} (valid from {found.not_valid_before_utc:%Y-%m-%d} "
        f"to {found.not_valid_after_utc:%Y-%m-%d}), so no client would accept it. Get a new "
        "certificate, or correct this computer's clock."
    )
