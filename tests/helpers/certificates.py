"""Certificates for a test, made by openssl: an authority, and what it signs."""

from __future__ import annotations

import pathlib
import subprocess

from tests.helpers import real

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Signs certificates; all files are in one directory, NAME.crt and NAME.key, its own is ca.crt."""

    def __init__(self, directory: pathlib.Path, name: str = "ca") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.name = directory, name
        self.certificate = directory / f"{name}.crt"
        self._openssl(
            "req", "-x509", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}"
        )

    def sign(self, name: str) -> tuple[pathlib.Path, pathlib.Path]:
        """A certificate for 127.0.0.1 and its key; one of that name is replaced by a new one."""
        self._openssl(
            "req", "-x509", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN={name}",
            "-CA", f"{self.name}.crt", "-CAkey", f"{self.name}.key", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE",
        )  # fmt: skip
        return self.directory / f"{name}.crt", self.directory / f"{name}.key"

    def _openssl(self, *words: str) -> None:
        program = real.program("openssl", "openssl")
        done = subprocess.run([program, *words], cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
