"""Certificates of a small world, made by openssl and keytool: good ones, and one of each kind of bad one.

Everything lies in one directory, which is made once for a run. Stores have the password `secret1`.
"""

import datetime
import shutil
import subprocess
from pathlib import Path

PASSWORD = "secret1"
EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("rsa:2048",)
HERE = "DNS:localhost,IP:127.0.0.1"

CA_CONFIG = """
[ca]
default_ca = any
[any]
database = index
new_certs_dir = .
serial = serial
default_md = sha256
policy = policy
unique_subject = no
copy_extensions = none
[list]
authorityKeyIdentifier = keyid:always
[policy]
commonName = supplied
organizationName = optional
countryName = optional
"""


class Authority:
    """A directory with an authority `ca`, a foreign one, and what they signed."""

    def __init__(self, directory):
        self.directory = Path(directory)
        (self.directory / "ca.conf").write_text(CA_CONFIG)
        (self.directory / "index").write_text("")
        (self.directory / "serial").write_text("1000\n")
        for name in ("ca", "foreign"):
            self.self_signed(name)
        self.sign("server", "/C=DE/O=Acme/CN=server", key=RSA)
        self.sign("second", "/CN=second")
        self.sign("alice", "/C=DE/O=Acme, Inc./CN=alice")
        self.sign("admin", "/CN=admin")
        self.sign("expired", "/CN=expired", days=("20200101000000Z", "20210101000000Z"))
        self.sign("early", "/CN=early", days=("20900101000000Z", "20910101000000Z"))
        self.sign("backwards", "/CN=backwards", days=("20910101000000Z", "20900101000000Z"))
        self.sign("elsewhere", "/CN=elsewhere", hosts="DNS:elsewhere.invalid,IP:127.9.9.9")
        self.sign("stranger", "/CN=stranger", by="foreign")
        self.self_signed("self")
        self.store("server.p12", "server")
        self.trust("trust.jks", "ca")

    def path(self, name):
        return self.directory / name

    def _run(self, *words):
        done = subprocess.run(list(map(str, words)), cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    def self_signed(self, name, subject=None):
        self._run("openssl", "req", "-x509", "-newkey", *EC, "-nodes", "-days", 60, "-subj", subject or f"/CN={name}", "-keyout",
                  f"{name}.key", "-out", f"{name}.crt")
        self._join(name, name)

    def sign(self, name, subject, key=EC, by="ca", hosts=HERE, days=("20240101000000Z", "20400101000000Z")):
        """`NAME.key`, `NAME.crt`, and `NAME.pem` with both."""
        self.path("extensions").write_text(f"subjectAltName={hosts}\nbasicConstraints=CA:FALSE\n")
        self._run("openssl", "req", "-new", "-newkey", *key, "-nodes", "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._run("openssl", "ca", "-batch", "-notext", "-config", "ca.conf", "-cert", f"{by}.crt", "-keyfile", f"{by}.key", "-in",
                  f"{name}.csr", "-out", f"{name}.crt", "-startdate", days[0], "-enddate", days[1], "-extfile", "extensions",
                  "-preserveDN")
        self._join(name, by)

    def sign_anybody(self, name, hosts):
        """Somebody without a subject, whom `openssl ca` would not sign."""
        self.path("extensions").write_text(f"subjectAltName={hosts}\nbasicConstraints=CA:FALSE\n")
        self._run("openssl", "req", "-new", "-newkey", *EC, "-nodes", "-subj", "/", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile",
                  "extensions", "-out", f"{name}.crt")
        self._join(name, "ca")

    def revocation_list(self, target, revoked=(), hours=(-1, 24), version=2):
        """A list of the authority's at `target`, from and to these hours from now; of version 1 it is what openssl writes by itself."""
        config = self.path("list.conf")
        config.write_text(CA_CONFIG.replace("database = index", "database = list-index"))
        self.path("list-index").write_text("")
        words = ("openssl", "ca", "-config", config, "-cert", "ca.crt", "-keyfile", "ca.key")
        for name in revoked:
            self._run(*words, "-revoke", f"{name}.crt")
        now = datetime.datetime.now(datetime.UTC)
        begin, end = ((now + datetime.timedelta(hours=each)).strftime("%Y%m%d%H%M%SZ") for each in hours)
        self._run(*words, "-gencrl", "-crl_lastupdate", begin, "-crl_nextupdate", end, *(("-crlexts", "list") if version == 2 else ()),
                  "-out", "list.crl")
        self.path("list.crl").replace(target)

    def _join(self, name, by):
        # Java takes a key only in PKCS#8, which is what openssl writes here.
        self.path(f"{name}.pem").write_text(self.path(f"{name}.key").read_text() + self.path(f"{name}.crt").read_text())
        if not self.path("ca.pem").exists():
            shutil.copy(self.path("ca.crt"), self.path("ca.pem"))

    def store(self, store, name):
        """A PKCS#12 store with a key, as keytool takes it in."""
        self._run("openssl", "pkcs12", "-export", "-inkey", f"{name}.key", "-in", f"{name}.crt", "-certfile", "ca.crt", "-name", name,
                  "-out", store, "-passout", f"pass:{PASSWORD}")

    def trust(self, store, name):
        """A JKS store of trust, by keytool."""
        self._run("keytool", "-importcert", "-noprompt", "-storetype", "JKS", "-storepass", PASSWORD, "-file", f"{name}.crt", "-alias",
                  name, "-keystore", store)
