"""The certificate with which a server speaks TLS: from files, or its own, self-signed one."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from labthings_fastapi.exceptions import LabThingsError
from labthings_fastapi.own_log import own_logger
from labthings_fastapi.thing_host.operating_system import open_to_others, write_durably

if TYPE_CHECKING:
    from cryptography import x509

LOGGER = own_logger("server")
VALIDITY: Final = timedelta(days=730)  # Apple's systems refuse more than 825 days
RENEWAL: Final = timedelta(days=30)
CLOCK_TOLERANCE: Final = timedelta(days=1)  # the clock of a client may be behind
_DNS_NAME = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
)


class CertificateError(LabThingsError, ValueError):
    """A certificate or its private key cannot be used; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    certificate: Path
    key: Path
    names: tuple[str, ...]  # host names and addresses for which the certificate is valid
    expires: datetime
    fingerprint: str  # SHA-256 of the certificate, as browsers show it


def own_certificate(
    folder: Path, hosts: Sequence[str] = (), *, add_hosts: bool = False, now: datetime | None = None
) -> OwnCertificate:
    """Return the certificate in a settings folder; make one if it is missing or about to expire."""
    if find_spec("cryptography") is None:
        raise CertificateError(
            "The package `cryptography`, which makes certificates, is not installed. Install the "
            "extra `tls` of labthings-fastapi, or use your own certificate with --tls-cert and "
            "--tls-key."
        )
    now = now or datetime.now(UTC)
    wanted = [checked_name(host) for host in hosts]
    certificate, key = folder / "tls" / "certificate.pem", folder / "tls" / "private-key.pem"
    known: tuple[str, ...] = ()
    if certificate.exists():
        found = _describe(certificate, key)
        missing = [name for name in wanted if name not in found.names]
        reason = _reason_to_replace(found, missing if add_hosts else [], now)
        if reason is None:
            for name in missing:
                LOGGER.warning(
                    "The certificate %s does not name %s, so clients that use this name refuse it. "
                    "`labthings-server cert --host %s` makes a certificate that does.",
                    *(certificate, name, name),
                )
            return found
        known = found.names
        LOGGER.warning(
            "The certificate %s %s, so a new one replaces it. Give the new one to the clients that "
            "trust the old one.",
            *(certificate, reason),
        )
    _make(certificate, key, list(dict.fromkeys([*known, *usual_names(), *wanted])), now)
    return _describe(certificate, key)


def _reason_to_replace(found: OwnCertificate, missing: Sequence[str], now: datetime) -> str | None:
    if now >= found.expires - RENEWAL:
        return f"{'expired' if found.expires <= now else 'expires'} on {found.expires:%Y-%m-%d}"
    if missing:
        return f"does not name {', '.join(missing)}"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(found.certificate, found.key, password="")
    except OSError:  # also an SSLError; missing, not in PEM format, or with a password
        return "does not belong to its private key"
    return None


def checked_name(host: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.ip_address(host.strip("[]")))
    try:
        name = host.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        name = ""
    if not _DNS_NAME.fullmatch(name) or len(name) > 253:
        raise CertificateError(
            f"{host!r} is neither a host name nor an IP address. Give the part of the URL between "
            "`https://` and the port."
        )
    return name


def usual_names() -> list[str]:
    found = ["localhost", "127.0.0.1", "::1"]
    host = socket.gethostname()
    for name in (host, f"{host.partition('.')[0]}.local", socket.getfqdn()):
        with suppress(CertificateError):  # a computer may have a name that is not valid in a URL
            found.append(checked_name(name))
    return list(dict.fromkeys(found))


def _make(certificate: Path, key: Path, names: Iterable[str], now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    public = secret.public_key()
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "LabThings server")
    name = x509.NameAttribute(NameOID.COMMON_NAME, socket.gethostname()[:64] or "localhost")
    subject = x509.Name([organisation, name])
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
        # It cannot sign other certificates: to trust it means to trust this one server.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(issuer, critical=False)
        .sign(secret, hashes.SHA256())
    )
    pem_format = serialization.Encoding.PEM
    pem = secret.private_bytes(
        pem_format, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # If the process is killed in between, the next start finds that they do not belong together.
    write_durably(key, pem, private=True)
    write_durably(certificate, built.public_bytes(pem_format))


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _describe(certificate: Path, key: Path) -> OwnCertificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
        held = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise CertificateError(
            f"The certificate {certificate} cannot be read ({error}). Remove the file, and the "
            "next start makes a new one; or use your own with --tls-cert and --tls-key."
        ) from error
    names = (*held.get_values_for_type(x509.DNSName), *held.get_values_for_type(x509.IPAddress))
    fingerprint = read.fingerprint(hashes.SHA256()).hex(":").upper()
    return OwnCertificate(
        certificate, key, tuple(map(str, names)), read.not_valid_after_utc, fingerprint
    )


PEM = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tls:
    context: ssl.SSLContext
    certificate: Path
    fingerprint: str  # SHA-256 of the certificate, as browsers show it


TlsChoice: TypeAlias = bool | tuple[str | Path, str | Path] | Tls
"""False: no TLS; True: the server's own certificate; or the files of a certificate and its key."""


def chosen_tls(choice: TlsChoice, settings_folder: Path, host: str = "") -> Tls | None:
    if isinstance(choice, Tls) or choice is False:
        return choice or None
    if choice is True:
        own = own_certificate(settings_folder, specific_hosts(host))
        return load_tls(own.certificate, own.key)
    certificate, key = choice
    return load_tls(Path(certificate), Path(key))


def specific_hosts(host: str) -> list[str]:
    try:
        name = checked_name(host)
    except CertificateError:  # empty, or an address with the name of a network interface
        return []
    return [] if name in ("0.0.0.0", "::") else [name]  # noqa: S104 # no socket is bound here


def load_tls(certificate: Path, key: Path) -> Tls:
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
            "is not installed. Install the extra 'tls' (in the checkout: pip install '.[tls]').",
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
