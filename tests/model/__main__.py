"""Random walks from the command line: `PYTHONPATH=tests .deps/venv/bin/python -m model --seeds 20 --steps 3000`.

Each seed begins with fresh servers. What parts is shown with the words that show it again; the last line is
`N passed, N failed`.
"""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from harness.servers import KINDS

from .lockstep import Parted
from .walks import random_walk, together


def main():
    parser = argparse.ArgumentParser(prog="python -m model", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, help="the first one, instead of a fresh one")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--steps", type=int, default=3000, help="of each")
    parser.add_argument("--server", default="zabd", choices=KINDS, help="the server under test")
    parser.add_argument("--judge", default="java395", choices=KINDS, help="the server beside it and the model")
    arguments = parser.parse_args()
    first = secrets.randbelow(1 << 31) if arguments.seed is None else arguments.seed
    seeds = range(first, first + arguments.seeds)
    failed = sum(not walked(seed, arguments) for seed in seeds)
    print(f"{len(seeds) - failed} passed, {failed} failed")
    return failed > 0


def walked(seed, arguments):
    """Whether the sides went all the way together."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        try:
            random_walk(seed, arguments.steps, Path(directory), together(arguments.server, arguments.judge))
        except Parted as parted:
            print(f"{parted}\nagain with --seed {seed} --steps {arguments.steps} --judge {arguments.judge}", flush=True)
            return False
    print(f"seed {seed}: {arguments.steps} steps in {time.monotonic() - begin:.1f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
