"""What can be seen of a server from outside: its own figures, and those that the kernel keeps of its process."""

from .servers import four_letter_word


def figures(port):
    """`mntr` as a dictionary of texts, without `zk_`."""
    lines = four_letter_word(port, "mntr").splitlines()
    return dict(line.removeprefix("zk_").split("\t", 1) for line in lines)


def status_bytes(pid, key):
    """A size in a process's status: `VmRSS` is what it holds in memory, files that it has mapped included, `VmHWM` the most of that."""
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
