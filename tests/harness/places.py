"""Where things are: the project, what `tests/run` installed, the golden data."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
DEPS = ROOT / ".deps"
GOLDEN = TESTS / "data" / "golden"

ZABD = Path(os.environ.get("ZABD", ROOT / "target" / "release" / "zabd")).resolve()

DEBIAN_JARS = Path("/usr/share/java")
DEBIAN_SCRIPTS = Path("/usr/share/zookeeper/bin")

# The Debian jar names its own dependencies; the logging backend is not among them, nor what TLS between servers needs.
JAVA38_CLASSPATH = ":".join(f"{DEBIAN_JARS}/{name}.jar" for name in ("zookeeper", "slf4j-simple", "netty-codec", "netty-resolver"))
JAVA395_CLASSPATH = f"{DEPS}/zookeeper-3.9.5/*"
# With Jetty and the Prometheus provider, without which there is nothing to ask over HTTP.
JAVA395_HTTP_CLASSPATH = f"{DEPS}/zookeeper-3.9.5-http/*"
# As it comes: the editor of its shell's line is not among what the server needs.
JAVA395_SHELL_CLASSPATH = f"{JAVA395_CLASSPATH}:{DEPS}/jline/*"
# Without its jline jar, which would take the script from a terminal.
JAVA34_CLASSPATH = ":".join(f"{DEPS}/zookeeper-3.4.14/{name}.jar" for name in (
    "zookeeper-3.4.14", "slf4j-api-1.7.25", "log4j-1.2.17", "netty-3.10.6.Final"))
CURATOR_CLASSPATH = f"{DEPS}/curator/*"
# With TLS and SASL, as Debian's is not.
C_LIBRARY = DEPS / "c-library"
NODE_MODULES = DEPS / "node" / "node_modules"
