"""An ensemble that an application works on, and what happens to it meanwhile."""

import subprocess
import threading

from ensemble.members import Ensemble
from harness.servers import die_with_parent

TICK_MS = 1000


def ensemble_of(kinds, directory):
    """Three members with an application's usual times."""
    return Ensemble(kinds, directory, config={"tickTime": TICK_MS, "maxSessionTimeout": 40_000})


def there_and_back(ensemble, work):
    """Java to zabd and back, member by member, each time behind some more work; with zabd alone, its leader is killed."""
    for number in sorted(ensemble.members):
        work.goes_on()
        ensemble.replace(number, "zabd")
    work.goes_on()
    leader = ensemble.leader()
    ensemble.members[leader].kill()
    work.goes_on()
    ensemble.members[leader].start()
    for number in sorted(ensemble.members):
        work.goes_on()
        ensemble.replace(number, "java395")
    work.goes_on()


def program(command, log_path, **arguments):
    """A process that ends with the test, what it says in a file."""
    with open(log_path, "ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent, **arguments)


class Work(threading.Thread):
    """Does one thing after the other until it is told to end; counts what was done."""

    def __init__(self, do, seconds_max):
        super().__init__(daemon=True)
        self.do, self.seconds_max = do, seconds_max
        self.done, self.failure = 0, None
        self.more = threading.Condition()
        self.ends = threading.Event()

    def run(self):
        try:
            while not self.ends.is_set():
                self.do(self.done)
                with self.more:
                    self.done += 1
                    self.more.notify_all()
        except BaseException as failure:  # pylint: disable=broad-except
            self.failure = failure
            with self.more:
                self.more.notify_all()

    def goes_on(self, steps=3):
        """Returns when some more was done, from beginning to end."""
        with self.more:
            goal = self.done + 1 + steps
            assert self.more.wait_for(lambda: self.failure or self.done >= goal, self.seconds_max), "the work stands still"
        if self.failure:
            raise self.failure

    def end(self):
        """Ends it, and gives how much was done."""
        self.ends.set()
        self.join()
        if self.failure:
            raise self.failure
        return self.done
