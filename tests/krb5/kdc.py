"""A realm of the tests' own: a KDC of MIT Kerberos on 127.0.0.1, its principals, their keys, and tickets.

Nothing of it is the machine's: files are in a directory, and programs find them by their environment.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from harness.servers import die_with_parent, free_port
from harness.waiting import eventually

REALM = "ZABD.TEST"
SERVICE = "zookeeper/localhost"
SECONDS_MAX = 30
# Debian's programs of administrators.
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class Kdc:
    """It lives as long as the `with`."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.port = free_port()
        self.process = None
        self.krb5_conf = self.configuration("krb5.conf")
        self.environment = {
            **os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8", "KRB5_CONFIG": str(self.krb5_conf), "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf"),
            "KRB5RCACHEDIR": str(self.directory)}

    def configuration(self, name, **more):
        """A krb5.conf, with more for its defaults."""
        defaults = {
            "default_realm": REALM, "dns_lookup_kdc": "false", "dns_lookup_realm": "false", "dns_canonicalize_hostname": "false",
            "rdns": "false", "udp_preference_limit": 1, **more}
        path = self.directory / name
        path.write_text("[libdefaults]\n" + "".join(f"  {key} = {value}\n" for key, value in defaults.items() if value)
                        + f"[realms]\n  {REALM} = {{\n    kdc = 127.0.0.1:{self.port}\n  }}\n")
        return path

    def __enter__(self):
        (self.directory / "kdc.conf").write_text(
            f"[kdcdefaults]\n  kdc_listen = 127.0.0.1:{self.port}\n  kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n  {REALM} = {{\n    database_name = {self.directory}/principal\n    key_stash_file = {self.directory}/stash\n"
            f"    acl_file = {self.directory}/kadm5.acl\n    max_life = 1d\n  }}\n")
        self.run("kdb5_util", "-r", REALM, "-P", "master", "create", "-s")
        with open(self.directory / "kdc.log", "ab") as log:
            self.process = subprocess.Popen(
                [shutil.which("krb5kdc", path=PATH), "-n", "-r", REALM], env=self.environment, stdout=log, stderr=log,
                preexec_fn=die_with_parent)
        eventually(self._is_listening, what=lambda: (self.directory / "kdc.log").read_text())
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _is_listening(self):
        assert self.process.poll() is None, (self.directory / "kdc.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def run(self, program, *words, script="", **environment):
        """Runs a program of Kerberos; gives its output."""
        done = subprocess.run(
            [shutil.which(program, path=PATH), *words], input=script, env={**self.environment, **environment}, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=SECONDS_MAX, check=False)
        assert done.returncode == 0, f"{program} {words}: {done.stdout}"
        return done.stdout

    def administer(self, *commands):
        """Commands of kadmin."""
        output = self.run("kadmin.local", "-r", REALM, script="\n".join([*commands, "quit"]))
        assert "while" not in output, output

    def keytab(self, principal, name=None):
        """A new key of a principal, in a file of its own."""
        path = self.directory / (name or f"{principal.replace('/', '_')}.keytab")
        path.unlink(missing_ok=True)
        self.administer(f"ktadd -k {path} {principal}")
        return path

    def principals(self, *names):
        """New principals, and their keytabs."""
        self.administer(*(f"addprinc -randkey {name}" for name in names))
        return [self.keytab(name) for name in names]

    def log_in(self, principal, keytab, *words):
        """A cache with a ticket of a principal."""
        cache = self.directory / f"{principal.replace('/', '_')}.cache"
        cache.unlink(missing_ok=True)
        self.run("kinit", *words, "-k", "-t", str(keytab), "-c", str(cache), principal)
        return cache
