"""Runs kazoo's own suite against one server, or an ensemble: `python tests/kazoo_suite/suite.py java38 --size 3`.

With `--record` the tests that passed are written to `passes-java38.txt`, which is what zabd is held to: a test is listed when
it passed in each of the runs (`--runs 2`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PASSES = HERE / "passes-java38.txt"
EXCUSED = HERE / "not-standalone.txt"
ENSEMBLE = HERE / "ensemble.txt"
WORKERS = 4  # The suite mostly waits; two cores keep four workers and their servers busy.


def run_suite(kind, log=os.devnull, size=1):
    """Outcomes by test: `passed`, `failed` or `skipped`; against so many servers.

    Some tests of kazoo race with their own threads and now and then fail against any server: what failed beside others gets
    two more chances alone.
    """
    result = run_tests(kind, [], WORKERS, log, size)
    excused = set(listed(EXCUSED)) if size == 1 else set()
    for _ in range(2):
        failed = [test for test, outcome in result.items() if outcome == "failed" and test not in excused]
        if failed:
            result.update(run_tests(kind, failed, 0, log, size))
    return result


def run_tests(kind, select, workers, log, size=1):
    """Outcomes of one run: of everything, or of the tests selected."""
    import kazoo.tests
    tests = Path(kazoo.tests.__file__).parent
    with tempfile.TemporaryDirectory() as directory:
        outcomes = Path(directory) / "outcomes"
        outcomes.touch()
        environment = {
            **os.environ,
            "PYTHONPATH": str(HERE),
            "ZABD_KAZOO_SERVER": kind,
            "ZABD_KAZOO_SIZE": str(size),
            "ZABD_KAZOO_OUTCOMES": str(outcomes),
            "TMPDIR": directory,
        }
        environment.pop("PYTEST_XDIST_WORKER", None)
        environment.pop("PYTEST_ADDOPTS", None)
        targets = [str(tests / name) for name in select] or [str(tests)]
        command = [
            sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tests.parents[1]), "-p", "kazoo_plugin",
            "-p", "no:cacheprovider", "-n", str(workers), "--dist", "loadscope", "--timeout", "120", "-q", "--tb=short",
            *targets]
        with open(log, "a") as output:
            subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
        result = {}
        for line in outcomes.read_text().splitlines():
            outcome, test = line.split(" ", 1)
            if result.get(test) != "failed":
                result[test] = outcome
        return result


def listed(path):
    """The names in a list file: `#` begins a comment."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--size", type=int, default=1, help="how many servers")
    parser.add_argument("--log", default=os.devnull)
    arguments = parser.parse_args()
    runs = [run_suite(arguments.server, arguments.log, arguments.size) for _ in range(arguments.runs)]
    every = sorted(set().union(*runs))
    for test in every:
        outcomes = sorted({run.get(test, "missing") for run in runs})
        if outcomes != ["passed"]:
            print(", ".join(outcomes), test)
    passes = [test for test in every if all(run.get(test) == "passed" for run in runs)]
    print(len(passes), "passed in every run, of", len(every))
    if arguments.record:
        import kazoo
        header = (
            f"# Tests of kazoo {kazoo.__version__} that pass against a standalone Java ZooKeeper 3.8.0 (Debian), made by\n"
            f"# `python tests/kazoo_suite/suite.py {arguments.server} --runs {arguments.runs} --record`.\n")
        PASSES.write_text(header + "".join(f"{test}\n" for test in passes))


if __name__ == "__main__":
    main()
