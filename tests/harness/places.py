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

# The Debian jar names its own dependencies; the logging backend is not among them.
JAVA38_CLASSPATH = f"{DEBIAN_JARS}/zookeeper.jar:{DEBIAN_JARS}/slf4j-simple.jar"
JAVA395_CLASSPATH = f"{DEPS}/zookeeper-3.9.5/*"
CURATOR_CLASSPATH = f"{DEPS}/curator/*"
