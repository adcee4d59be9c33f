"""A throw-away certificate authority, so that TLS is used and verified locally as it is on AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of a run of the local stack.

    ca_bundle: the authority, for every client; certificate and key: the emulator's own.
    """

    ca_bundle: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write a new authority and one certificate for `localhost`, the loopback address and every distribution."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = trustme.CA(organization_name="siteferry local stack")
    leaf = authority.issue_cert("localhost", "*.cloudfront.localhost", "127.0.0.1")
    files = Certificates(folder / "ca.pem", folder / "emulator.pem", folder / "emulator.key")
    authority.cert_pem.write_to_path(str(files.ca_bundle))
    for index, blob in enumerate(leaf.cert_chain_pems):
        blob.write_to_path(str(files.certificate), append=index > 0)
    files.key.touch(mode=0o600)
    leaf.private_key_pem.write_to_path(str(files.key))
    return files
