"""What can be seen of a server from outside: its own figures, and those that the kernel keeps of its process."""

import os
from pathlib import Path

from .servers import four_letter_word

# What Java counts from its release 3.10 on.
OF_THE_NEXT_RELEASE = ("op_count", "ttl_node_")


def figures(port):
    """`mntr` as a dictionary of texts, without `zk_`."""
    lines = four_letter_word(port, "mntr").splitlines()
    return dict(line.removeprefix("zk_").split("\t", 1) for line in lines)


def is_javas(name):
    """Whether Java 3.9 shows a figure of this name, without `zk_`."""
    return not name.startswith(("zabd_", *OF_THE_NEXT_RELEASE))


def status_bytes(pid, key):
    """A size in a process's status: `VmRSS` is what it holds in memory, files that it has mapped included, `VmHWM` the most of that."""
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def cpu_seconds(pid):
    """What a process has used of the processors, itself and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
