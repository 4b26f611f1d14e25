"""Certificates for a server of the suite, by the openssl program."""

import pathlib
import shutil
import subprocess
import tempfile

NAME = "ringcast.test"
CERTIFICATE_FILE, KEY_FILE = "certificate.pem", "key.pem"

ECDSA, RSA = "ECDSA P-256", "RSA 2048"
NO_AUTHORITIES = ["-no-CAfile", "-no-CApath", "-no-CAstore"]  # of s_server and s_time
KEYS = {
    ECDSA: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    RSA: ["-newkey", "rsa:2048"],
}


def available():
    return shutil.which("openssl") is not None


def version():
    """As "3.0.2"."""
    return subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]


def files(kind=ECDSA):
    """A certificate that signs itself and its key, by name, for the server's folder."""
    with tempfile.TemporaryDirectory(prefix="ringcast-bench-") as folder_name:
        folder = pathlib.Path(folder_name)
        subprocess.run(
            ["openssl", "req", "-x509", *KEYS[kind], "-nodes", "-sha256", "-days", "30", "-subj", f"/CN={NAME}",
             "-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1", "-keyout", folder / KEY_FILE,
             "-out", folder / CERTIFICATE_FILE],
            capture_output=True, check=True)
        return {name: (folder / name).read_text() for name in (CERTIFICATE_FILE, KEY_FILE)}


def sections(**keys):
    """Of a configuration: TLS with these files, and what else stands in [tls]."""
    return {"tls": {"certificate": CERTIFICATE_FILE, "private_key": KEY_FILE} | keys}
