"""Stands in for the nodes' programs where a test is about processes: says ready, listens, and behaves as told.

What it is told stands in the configuration's options: `<name>` = `crash` (ends at once), `deaf` (ignores SIGTERM),
`parent` (has a child in a session of its own), `mute` (never says that it is ready).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from swarm_lab.facts import process
from swarm_lab.facts.state import StateFile
from swarm_lab.nodes.config import NodeConfig


def main() -> None:
    config = NodeConfig.read(Path(sys.argv[1]))
    process.record_self(config.directory)
    told = config.options.get(config.name, "")
    print(f"{config.name} says hello", file=sys.stderr, flush=True)
    if told == "crash":
        sys.exit("Error: told to crash")
    if told == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if told == "parent":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    state = StateFile(config.directory / "state.json")
    state.update("starting", "")
    with socket.socket() as listening:
        if config.address:
            host, _, port = config.address.rpartition(":")
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, int(port)))
            listening.listen()
        state.update("waiting" if told == "mute" else "ready", "told to be mute" if told == "mute" else "")
        until = time.monotonic() + 600
        while time.monotonic() < until:
            time.sleep(0.5)
            if os.getppid() == 0:
                return


if __name__ == "__main__":
    main()
