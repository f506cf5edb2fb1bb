"""What a server needs to speak TLS: a certificate, its private key, and rules for both."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.operating_system import open_to_others

from .certificates import CertificateError, checked_name, own_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

LOGGER = own_logger("server")
PEM_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
PEM_END: Final = "-----END CERTIFICATE-----"
EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED, of OpenSSL
NOT_YET_VALID: Final = 9  # X509_V_ERR_CERT_NOT_YET_VALID


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate that was found fit, ready to serve with."""

    context: ssl.SSLContext
    certificate: Path
    fingerprint: str
    """SHA-256 of the certificate, as browsers show it."""


TlsChoice: TypeAlias = bool | tuple[str | Path, str | Path] | Tls
"""False: none; True: a certificate of the server's own; or the files of certificate and key."""


def chosen_tls(choice: TlsChoice, settings_folder: Path, hosts: Sequence[str] = ()) -> Tls | None:
    """Return what a server needs for this choice; None if it serves without TLS.

    `hosts` are names and addresses by which clients reach it, apart from the usual ones.

    Raises:
        CertificateError: there is no usable certificate.
        OSError: its own certificate cannot be written.
    """
    if isinstance(choice, Tls):
        return choice
    if isinstance(choice, bool):
        if not choice:
            return None
        own = own_certificate(settings_folder, hosts)
        return load_tls(own.certificate, own.key)
    certificate, key = choice
    return load_tls(Path(certificate), Path(key))


def specific_hosts(host: str) -> list[str]:
    """Return the host that a server listens at, if it is one that clients can go to."""
    try:
        name = checked_name(host)
    except CertificateError:  # an empty one, an address with the name of a network card
        return []
    return [] if name in ("0.0.0.0", "::") else [name]  # noqa: S104 # nobody binds here


def load_tls(certificate: Path, key: Path) -> Tls:
    """Read a certificate, with those that vouch for it if there are any, and its private key.

    Raises:
        CertificateError: they cannot be read, do not fit, need a password, or time is up.
    """
    text = _read(certificate, "certificate")
    _read(key, "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])

    def refuse() -> NoReturn:
        raise CertificateError(
            f"The private key {key} needs a password, which nobody could type when the server "
            f"starts by itself. Write one without: `openssl pkey -in {key} -out new-key.pem`, "
            "and let only its owner read it."
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse)
        end = text.index(PEM_END) + len(PEM_END)
        der = ssl.PEM_cert_to_DER_cert(text[text.index(PEM_BEGIN) : end])
    except (ssl.SSLError, ValueError) as error:
        if isinstance(error, CertificateError):
            raise
        raise _unusable(certificate, key, error) from error
    _check_time(context, der, certificate)
    if open_to_others(key):
        LOGGER.warning("Other users of this computer can read the private key %s.", key)
    digest = hashlib.sha256(der).hexdigest().upper()
    fingerprint = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
    return Tls(context, certificate, fingerprint)


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in PEM format"
        raise CertificateError(f"The {what} {path} cannot be read: {reason}.") from error


def _unusable(certificate: Path, key: Path, error: Exception) -> CertificateError:
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return CertificateError(
            f"The private key {key} is not that of the certificate {certificate}: name the two "
            "files that were made together."
        )
    reason = (isinstance(error, ssl.SSLError) and error.reason) or "not in PEM format"
    return CertificateError(
        f"The certificate {certificate} and the private key {key} cannot be used ({reason}). Both "
        "must be in PEM format, which begins with `-----BEGIN`; the server's own certificate "
        "comes first in its file."
    )


def _check_time(context: ssl.SSLContext, der: bytes, certificate: Path) -> None:
    """Meet the server in memory as a client that trusts this certificate and has a clock."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=der)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        while sides:
            for side in list(sides):
                try:
                    side.do_handshake()
                    sides.remove(side)
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (EXPIRED, NOT_YET_VALID):
            when = "has expired" if error.verify_code == EXPIRED else "is not valid yet"
            raise CertificateError(
                f"The certificate {certificate} {when}, so no client would accept it. Get a new "
                "one, or mend this computer's clock."
            ) from error
        LOGGER.warning("Clients may refuse %s: %s.", certificate, error.verify_message)
    except ssl.SSLError as error:
        raise CertificateError(
            f"No TLS connection can be made with the certificate {certificate}: {error.reason}."
        ) from error
