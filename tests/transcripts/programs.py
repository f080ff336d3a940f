"""Runs the clients whose output is the transcript: zkCli.sh, Curator, the C library and its shell, Node's client."""

import fcntl
import itertools
import os
import re
import subprocess
import threading
from pathlib import Path

from harness import places
from harness.servers import JAVA_OPTIONS

HERE = Path(__file__).resolve().parent
BUILD = places.DEPS / "transcripts"
SECONDS_MAX = 240
# What the scripts ask of a server.
PROPERTIES = {"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": 3_600_000}
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"


def run(command, script="", more_environment=None, **more):
    """Runs a client to its end; gives stdout and stderr."""
    environment = {
        **os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "CLIENT_JVMFLAGS": " ".join([*JAVA_OPTIONS, "-Dfile.encoding=UTF-8"]),
        **(more_environment or {})}
    done = subprocess.run(
        [str(word) for word in command], input=script, text=True, capture_output=True, timeout=SECONDS_MAX, env=environment,
        check=False, **more)
    return done.stdout, done.stderr, done.returncode


def debian_zkcli(server, script):
    """The shell of the Debian package, as installed."""
    return run([places.DEBIAN_SCRIPTS / "zkCli.sh", "-server", server.hosts], script)


def zkcli395(server, script):
    """The shell of 3.9.5."""
    java = ["java", *JAVA_OPTIONS, "-Dfile.encoding=UTF-8", QUIET, "-cp", places.JAVA395_CLASSPATH]
    return run([*java, "org.apache.zookeeper.ZooKeeperMain", "-server", server.hosts], script)


def zkcli34(server, script):
    """The shell of 3.4.14, with one class of it replaced."""
    compile_java(HERE / "old_client" / "StaticHostProvider.java", places.JAVA34_CLASSPATH, BUILD / "old_client")
    java = ["java", *JAVA_OPTIONS, "-Dfile.encoding=UTF-8", "-cp", f"{BUILD / 'old_client'}:{places.JAVA34_CLASSPATH}"]
    return run([*java, "org.apache.zookeeper.ZooKeeperMain", "-server", server.hosts], script)


def compile_java(source, classpath, target):
    """Compiles one source."""
    compile_once(source, target / f"{source.stem}.compiled", ["javac", "-nowarn", "-cp", classpath, "-d", target, source])


def compile_once(source, stamp, command):
    """Compiles a source, unless that was done since it changed; once, however many tests run beside each other."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    with open(stamp.parent / "compiling", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.stat().st_mtime > source.stat().st_mtime:
            return
        compiled = run(command)
        assert compiled[2] == 0, compiled[1]
        stamp.touch()


def curator(server):
    """The Java program of this folder."""
    compile_java(HERE / "CuratorScript.java", places.CURATOR_CLASSPATH, BUILD)
    java = ["java", *JAVA_OPTIONS, "-Dfile.encoding=UTF-8", QUIET, "-cp", f"{places.CURATOR_CLASSPATH}:{BUILD}"]
    return run([*java, "CuratorScript", server.hosts])


def secured(hosts, scheme, people, stranger, *defines):
    """The program of those who have proved who they are; `people` are three of (name, configuration of a client)."""
    compile_java(HERE / "CuratorScript.java", places.CURATOR_CLASSPATH, BUILD)
    classpath = f"{places.CURATOR_CLASSPATH}:{BUILD}"
    compile_java(HERE / "SecuredScript.java", classpath, BUILD)
    java = ["java", *JAVA_OPTIONS, "-Dfile.encoding=UTF-8", QUIET, *defines, "-cp", classpath]
    words = [word for person in people for word in person]
    return run([*java, "SecuredScript", hosts, scheme, *words, stranger])


def c_program(server):
    """The C program of this folder, with Debian's library."""
    source, target = HERE / "c_script.c", BUILD / "c_script"
    compile_once(source, target, ["gcc", "-Wall", "-O1", "-DTHREADED", "-o", target, source, "-lzookeeper_mt", "-lpthread"])
    return run([target, server.hosts])


def c_secured(hosts, scheme, people, **more):
    """The same with the library of 3.9.5; `people` are (name, how he logs in), three who are believed and then guests."""
    source, target = HERE / "c_script.c", BUILD / "c_secured"
    compile_once(source, target, [
        "gcc", "-Wall", "-O1", "-DTHREADED", "-DHAVE_OPENSSL_H", "-DHAVE_CYRUS_SASL_H", "-I", places.C_LIBRARY / "include", "-o", target,
        source, places.C_LIBRARY / "libzookeeper_mt.a", "-lssl", "-lcrypto", "-lsasl2", "-lm", "-lpthread"])
    return run([target, hosts, scheme, *(word for person in people for word in person)], **more)


def node_program(server):
    """The program for Node of this folder."""
    return run(["node", HERE / "node_script.js", server.hosts], more_environment={"NODE_PATH": str(places.NODE_MODULES)})


C_SHELL_COMMANDS = """\
create /x
create /x
create +e /x/e
create +s /x/s-
create2 +c /container
create2 +t=100000 /ttl
create /none/x
ls /
ls /none
ls2 /x
get /x
set /x hello
get /x
set /none hello
exists /x
exists /none
wexists /later
create /later
sync /x
delete /x
delete /x/e
delete /none
exists /x
delete /the-end
"""


def c_shell(server):
    """The shell of the C library (package zookeeper-bin): its lines, and its exit status.

    Commands are not waited for; the thread that prints the answers does so in their order. What the main thread prints between
    them ("Creating", "time", "Error") is left out, and the names of children, whose order is open, are sorted.
    """
    shell = subprocess.Popen(
        ["/usr/lib/zookeeper/bin/cli_mt", server.hosts], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "TZ": "UTC"})
    deadline = threading.Timer(SECONDS_MAX, shell.kill)
    deadline.start()
    try:
        shell.stdin.write(C_SHELL_COMMANDS)
        shell.stdin.flush()
        said = []
        for line in shell.stderr:
            said.append(line)
            if line.startswith("/the-end: rc = -101"):
                break
        # The main thread's complaint may come amidst a line of the other thread, which writes it in pieces.
        text = re.sub(r"Error -?\d+ for .*\n", "", "".join(said))
        lines = [line for line in text.splitlines() if not line.startswith(("Creating ", "time = ", "Got a new session id"))]
        shell.stdin.write("quit\n")
        shell.stdin.close()
        shell.stderr.read()
        return indented_sorted(lines), shell.wait()
    finally:
        deadline.cancel()
        shell.kill()
        shell.wait()


def indented_sorted(lines):
    """Each run of indented lines sorted."""
    result = []
    for indented, run in itertools.groupby(lines, key=lambda line: line.startswith("\t")):
        result += sorted(run) if indented else run
    return result
