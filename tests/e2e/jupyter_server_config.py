"""A Jupyter Server for the browser tests. Never use it elsewhere: it has no token."""

import os
import tempfile
from pathlib import Path

from jupyterlab.galata import configure_jupyter_server

from swarm_lab.jupyter.server import models

home = Path(os.environ["SWARM_LAB_HOME"])
c = get_config()  # noqa: F821 - Jupyter puts it there
tempfile.tempdir = str(home)  # what galata makes goes with the rest; a swarm's sockets need the usual place
configure_jupyter_server(c)
tempfile.tempdir = None
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = int(os.environ["SWARM_LAB_PORT"])
c.ServerApp.root_dir = str(home / "work")
c.ServerApp.allow_root = True  # containers run as root
if "TOKEN" in os.environ:  # a page that was opened without it is not let in any more
    c.IdentityProvider.token = os.environ["TOKEN"]
if "NEXT_API" in os.environ:  # the server part of a later version of the package
    models.About.model_fields["api"].default = models.API + 1
    models.About.model_rebuild(force=True)
