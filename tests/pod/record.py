"""Records what the start scripts of other images do: `record.py start-zookeeper SCRIPT`, `record.py docker-entrypoint SCRIPT`.

The scripts need bash, and a host whose name and user are what they are told; `zkServer.sh` is replaced by nothing at all. What
they leave is written to `<name>.json` beside this file, with their directory as `@`. No test runs this.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DOMAIN = "zk-hs.default.svc.cluster.local"
TUTORIAL = (
    "--servers=3 --data_dir=@/data --data_log_dir=@/data/log --conf_dir=@/conf --client_port=2181 --election_port=3888"
    " --server_port=2888 --tick_time=2000 --init_limit=10 --sync_limit=5 --heap=512M --max_client_cnxns=60"
    " --snap_retain_count=3 --purge_interval=12 --max_session_timeout=40000 --min_session_timeout=4000 --log_level=INFO")
PLACES = "--data_dir=@/data --data_log_dir=@/log --log_dir=@/logs --conf_dir=@/conf"
START_ZOOKEEPER = [
    ("zk-0", f"{TUTORIAL} --log_dir=@/logs"),
    ("zk-2", f"{TUTORIAL} --log_dir=@/logs"),
    ("zk-0", PLACES),
    ("my-zk-4", f"{PLACES} --servers=5 --tick_time=500 --heap=3G --log_level=WARN --client_port=2182"),
    ("zk-0", f"{PLACES} --servers=1 --tick_time=1 --tick_time=300 -v"),
    ("zk-0", f"-x {PLACES}"),
    ("zk-0", f"{PLACES} --purge_interval=a=7"),
    ("zk-0", f"{PLACES} stop --servers=3 --bogus"),
    ("zk-0", f"{PLACES} -- --servers=3"),
    ("zk-0", f"{PLACES} --bogus=1"),
    ("zk-0", f"{PLACES} --servers 3"),
    ("zookeeper", PLACES),
]
OFFICIAL = [
    {},
    {"ZOO_MY_ID": "2", "ZOO_SERVERS": "server.1=zoo1:2888:3888;2181 server.2=zoo2:2888:3888;2181 server.3=zoo3:2888:3888;2181"},
    {"ZOO_TICK_TIME": "3000", "ZOO_INIT_LIMIT": "6", "ZOO_SYNC_LIMIT": "3", "ZOO_MAX_CLIENT_CNXNS": "7",
     "ZOO_AUTOPURGE_PURGEINTERVAL": "24", "ZOO_AUTOPURGE_SNAPRETAINCOUNT": "4", "ZOO_STANDALONE_ENABLED": "false",
     "ZOO_ADMINSERVER_ENABLED": "false", "ZOO_4LW_COMMANDS_WHITELIST": "srvr, ruok",
     "ZOO_CFG_EXTRA": "snapCount=5000 reconfigEnabled=true"},
]
OFFICIAL_DEFAULTS = {
    "ZOO_CONF_DIR": "@/conf", "ZOO_DATA_DIR": "@/data", "ZOO_DATA_LOG_DIR": "@/datalog", "ZOO_LOG_DIR": "@/logs",
    "ZOO_TICK_TIME": "2000", "ZOO_INIT_LIMIT": "5", "ZOO_SYNC_LIMIT": "2", "ZOO_AUTOPURGE_PURGEINTERVAL": "0",
    "ZOO_AUTOPURGE_SNAPRETAINCOUNT": "3", "ZOO_MAX_CLIENT_CNXNS": "60", "ZOO_STANDALONE_ENABLED": "true",
    "ZOO_ADMINSERVER_ENABLED": "true"}


def left(root):
    """The files below a directory, and what is in them."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): path.read_text().replace(str(root), "@") for path in files}


def run(script, words, host, variables):
    """One run in a directory of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        root, bin = Path(scratch, "root"), Path(scratch, "bin")
        bin.mkdir()
        for name, text in {
            "hostname": f'case "$1" in -d) echo {DOMAIN};; *) echo {host};; esac', "whoami": "echo root",
            "zkServer.sh": "exit 0", "id": "echo 1000", "chown": "exit 0"}.items():
            (bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin / name).chmod(0o755)
        for name in ["conf", "data"]:
            (root / name).mkdir(parents=True)
        done = subprocess.run(
            ["bash", script, *(word.replace("@", str(root)) for word in words)], capture_output=True, text=True,
            env={"PATH": f"{bin}:{os.environ['PATH']}",
                 **{name: value.replace("@", str(root)) for name, value in variables.items()}})
        told = {stream: getattr(done, stream).replace(str(root), "@") for stream in ("stdout", "stderr")}
        return {"status": done.returncode, **told, "files": left(root)}


def main(name, script):
    """Records all cases of one script."""
    if name == "start-zookeeper":
        cases = [{"host": host, "words": words, **run(script, words.split(), host, {})} for host, words in START_ZOOKEEPER]
    else:
        cases = [
            {"variables": variables,
             **run(script, ["zkServer.sh", "start-foreground"], "host", {**OFFICIAL_DEFAULTS, **variables})}
            for variables in OFFICIAL]
    (HERE / f"{name}.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
