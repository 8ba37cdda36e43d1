"""Programs that break, lie, flood or hang: each ends with one error that names it, and the node goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import psutil
import pytest

from swarm_lab.callback.messages import Release
from swarm_lab.errors import (
    ModelTooLarge,
    ProgramEndedEarly,
    ProgramFailed,
    ProgramKilled,
    ProgramMisbehaved,
    ProgramNeverSynced,
    UsageError,
)
from swarm_lab.nodes.launching import ColdProcess
from swarm_lab.nodes.program_edge import Limits

# Without a framework a cold program starts in a fifth of a second; `link` is what the runner opened.
RAW = """
import os, sys, time
from swarm_lab.callback import messages as m
from swarm_lab.callback.link import Segment, _Present
link = _Present.link
raw, V = link._socket, m.PROTOCOL
layout = (m.TensorSpec("w", "F32", (4,)), m.TensorSpec("n", "I64", ()))
hello = m.Hello(V, "0", "torch", os.getpid(), {}, layout)
def begin():
    link.send(hello)
    welcome = link.receive()
    return Segment(link.take_descriptor(), layout, welcome)
def sync(reason="interval"):
    link.send(m.Sync(reason, 1, 0))
    return link.receive()
"""


@pytest.fixture
def raw(launch):
    """raw(source) -> Member of a program without a framework."""

    async def start(source: str, **more):
        return await launch(RAW + source, framework="", **more)

    return start


async def ended(member, limit: float = 20.0):
    async with asyncio.timeout(limit):
        return await member.program.exit()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raw.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n' * 10); time.sleep(60)", "announced a message of"),
        ("raw.sendall(m.LENGTH.pack(2**32 - 1)); time.sleep(60)", "at most"),
        ("raw.sendall(m.LENGTH.pack(5) + b'\\xff\\x00ab{'); time.sleep(60)", "no message of the link"),
        ("link.send(hello); link.send(hello); time.sleep(60)", "sent hello while it was greeted"),
        ("link.send(m.Sync('begin', 0, 0)); time.sleep(60)", "sent sync while it was connected"),
        ("raw.sendall(m.encode(m.Release(True))); time.sleep(60)", "no message of the link"),
        ("link.send(m.Hello(V, '0', 'torch', 1, {}, ())); time.sleep(60)", "wants 0 tensors"),
        (
            "link.send(m.Hello(V, '0', 'torch', 1, {}, (m.TensorSpec('w', 'F32', (2**45,)),))); time.sleep(60)",
            "has a model of",
        ),
    ],
)
async def test_a_program_that_breaks_the_link_is_ended(raw, source, says):
    member = await raw(source)
    with pytest.raises(ProgramMisbehaved, match=says):
        exit = await ended(member)
        assert exit.code == -9
        raise exit.error


async def test_a_second_hello_and_a_sync_while_parked(raw):
    for source in ("begin(); link.send(hello); time.sleep(60)", "begin(); sync_ = m.Sync('begin', 0, 0)\n"
                   "link.send(sync_); link.send(sync_); time.sleep(60)"):  # fmt: skip
        member = await raw(source, name=f"p{len(source)}")
        await member.program.hello(20)
        await member.program.welcome(interval=4)
        with pytest.raises(ProgramMisbehaved):
            while True:
                await member.program.parked()


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("", ProgramNeverSynced, "without a SwarmCallback"),
        ("sys.exit(3)", ProgramFailed, "left with status 3"),
        ("sys.exit('no data')", ProgramFailed, "no data"),
        ("print('why', file=sys.stderr); os._exit(9)", ProgramFailed, "status 9: why"),
        ("os.kill(os.getpid(), 11)", ProgramKilled, "SIGSEGV"),
        ("def f(:\n  pass", ProgramFailed, "line 16: SyntaxError"),
        ("raise ValueError('x' * 10**6)", ProgramFailed, "ValueError: xxx"),
        ("import no_such_module", ProgramFailed, "ModuleNotFoundError"),
        ("raise KeyboardInterrupt", ProgramFailed, "KeyboardInterrupt"),
        ("import swarm_lab, threading\nswarm_lab.SwarmCallback(model=3)", ProgramFailed, "SWL-601: model must be"),
    ],
)
async def test_programs_that_end_before_they_train(raw, source, kind, says):
    member = await raw(source)
    with pytest.raises(kind, match=says) as caught:
        await member.program.hello(20)
    assert (await ended(member)).error is caught.value
    assert len(str(caught.value)) < 10_000


async def test_a_program_that_ends_between_syncs(raw):
    member = await raw("begin(); sync('begin'); sys.exit(0)")
    await member.program.hello(20)
    await member.program.welcome(interval=4)
    await member.program.parked()
    await member.program.release(Release(model=False))
    with pytest.raises(ProgramEndedEarly, match="on_train_end"):
        await member.program.parked()


async def test_a_program_that_never_connects(launch):
    async def start(spec, environment, stdout, stderr):
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        return ColdProcess(await asyncio.create_subprocess_exec(*command, start_new_session=True))

    member = await launch("", start=start, limits=Limits(connect=0.3))
    with pytest.raises(ProgramMisbehaved, match=r"did not connect within 0\.3 s"):
        await member.program.hello(20)


@pytest.mark.parametrize("last", ["raise ValueError('x')", "raw.close()\ntime.sleep(60)"])
async def test_a_program_that_hangs_after_its_failure_or_without_its_link(raw, last):
    hang = "import threading; threading.Thread(target=time.sleep, args=(60,)).start()\n"
    member = await raw(hang + last, limits=Limits(end=0.2))
    with pytest.raises(ProgramFailed if "raise" in last else ProgramKilled):
        await member.program.hello(20)


async def test_nobody_else_gets_the_link_and_its_name_goes(raw):
    member = await raw("link.send(hello); time.sleep(60)", limits=Limits(connect=20))
    await member.program.hello(20)
    assert member.program.phase == "greeted" and not member.program.spec.link.exists()
    stranger = await raw("time.sleep(60)", name="p2")
    connect = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(stranger.program.spec.link)!r})"
    tried = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", connect + "; print(s.recv(1))"],
        check=False,
        capture_output=True,
        timeout=20,
    )
    assert tried.stdout in (b"b''\n", b"")
    while stranger.program.phase != "connected":
        await asyncio.sleep(0.02)


CHILD = """
import subprocess
child = subprocess.run([sys.executable, "-c", '''
import os, sys
from swarm_lab.callback import messages as m
from swarm_lab.callback.link import open_link
link = open_link(os.environ)
layout = (m.TensorSpec("w", "F32", (4,)),)
link.send(m.Hello(m.PROTOCOL, "0", "torch", os.getpid(), {}, layout))
link.receive()
link.send(m.Sync("end", 1, 0))
link.receive()
if sys.argv[1] == "whole": link.send(m.Bye())
''', HOW], check=HOW == "whole")
print("child", child.returncode, flush=True)
time.sleep(0.2)
if HOW == "whole": raise ValueError("after the child")
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["whole", "cut"])
async def test_a_process_of_the_program_may_speak_for_it(raw, how):
    """`torch.multiprocessing.spawn`: rank 0 is a child; what the launched process does afterwards counts as well."""
    member = await raw(f"HOW = {how!r}\n" + CHILD, limits=Limits(end=0.5))
    await member.program.hello(20)
    await member.program.welcome(interval=1)
    await member.program.parked()
    await member.program.release(Release(model=True, finished=True), bytes(16))
    exit = await ended(member)
    assert ("stdout", "child 0") in member.lines
    if how == "whole":
        assert isinstance(exit.error, ProgramFailed) and "ValueError: after the child" in exit.error.message
    else:
        assert not exit.finished and isinstance(exit.error, ProgramKilled)


async def test_output_floods_binary_and_no_newline(raw):
    source = """
sys.stdout.buffer.write(bytes(range(256)) * 4 + b"\\n")
for _ in range(100):
    sys.stdout.buffer.write(b"x" * 2**20)
sys.stdout.buffer.write(b"\\nlast\\n"); sys.stdout.flush()
for i in range(20000): print(i, file=sys.stderr)
"""
    member = await raw(source)
    begun = time.monotonic()
    exit = await ended(member, 30)
    assert isinstance(exit.error, ProgramNeverSynced)
    print("100 MB of output:", round(time.monotonic() - begun, 2), "s")
    stdout = [text for stream, text in member.lines if stream == "stdout"]
    assert stdout[-1] == "last" and max(map(len, stdout)) < 5000 and "\ufffd" in "".join(stdout)
    assert len(member.lines) < 5000
    assert member.program.spec.output.stat().st_size < 70 * 2**20


async def test_a_hung_program_that_ignores_sigterm_and_its_children_end(raw):
    source = """
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid)
begin()
time.sleep(60)
"""
    member = await raw(source)
    await member.program.hello(20)
    await member.program.welcome(interval=4)
    while not member.lines:
        await asyncio.sleep(0.02)
    exit = await member.program.kill(0.3)
    assert isinstance(exit.error, ProgramKilled) and "SIGKILL" in exit.error.message
    child = int(member.lines[0][1])
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.02)
    assert not member.program.spec.record.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="sealed memory is Linux's")
async def test_a_program_cannot_cut_the_shared_memory(raw):
    source = """
link.send(hello)
link.receive()
try:
    os.ftruncate(link.take_descriptor(), 0)
except PermissionError as error:
    print("refused")
sync("begin")
"""
    member = await raw(source)
    await member.program.hello(20)
    await member.program.welcome(interval=4)
    await member.program.parked()
    assert len(bytes(member.program.contribution())) == 24
    assert ("stdout", "refused") in member.lines


async def test_attention_progress_and_what_a_node_may_not_do(raw):
    source = """
segment = begin()
sync("begin")
segment.tick(41, 0.25); segment.epoch(2)
print("ticked")
while not segment.attention: time.sleep(0.01)
answer = sync("attention")
print(segment.attention, segment.merged[1][0], answer.digest)
"""
    member = await raw(source)
    program = member.program
    assert program.progress().batches == 0
    await program.hello(20)
    with pytest.raises(RuntimeError):
        await program.release(Release(model=False))
    await program.welcome(interval=4)
    assert (await program.parked()).reason == "begin"
    with pytest.raises(ValueError, match="25 bytes"):
        await program.release(Release(model=True), bytes(25))
    await program.release(Release(model=False))
    with pytest.raises(RuntimeError):
        program.contribution()
    while ("stdout", "ticked") not in member.lines:
        await asyncio.sleep(0.02)
    progress = program.progress()
    assert (progress.batches, progress.epochs, progress.loss) == (41, 2, 0.25)
    assert abs(progress.at - time.monotonic()) < 20
    program.attention()
    assert (await program.parked()).reason == "attention"
    await program.release(Release(model=True, digest="ab"), bytes(range(24)))
    await ended(member)
    assert member.lines[-1] == ("stdout", "False 0 ab")


async def test_a_refused_program_fails_with_the_nodes_reason(raw):
    member = await raw("link.send(hello); print(link.receive())")
    await member.program.hello(20)
    await member.program.refuse(UsageError("min_peers is 3 on sl-1 and 2 here"))
    await ended(member)
    assert "SWL-101" in member.lines[0][1] and "min_peers is 3" in member.lines[0][1]


async def test_a_model_that_does_not_fit_is_refused_with_its_size(raw):
    source = "link.send(m.Hello(V, '0', 'torch', 1, {}, (m.TensorSpec('w', 'F32', (2**33,)),))); print(link.receive())"
    member = await raw(source)
    await member.program.hello(20)
    with pytest.raises(ModelTooLarge, match="34359738368 bytes"):
        await member.program.welcome(interval=4)
    await ended(member)
    assert "SWL-656" in member.lines[0][1]


async def test_no_secret_of_the_node_reaches_the_program(raw):
    inherited = {"PATH": "/usr/bin", "HOME": "/tmp", "SECRET": "1", "SWARM_LAB_KEY": "2", "CUDA_VISIBLE_DEVICES": "0"}
    member = await raw("print(sorted(os.environ))", inherited=inherited, variables={"DATA_DIR": "/d"}, seed=5)
    await ended(member)
    seen = member.lines[0][1]
    assert "SECRET" not in seen and "SWARM_LAB_KEY" not in seen
    assert all(name in seen for name in ("CUDA_VISIBLE_DEVICES", "DATA_DIR", "SWARM_SEED", "SWARM_LINK"))
