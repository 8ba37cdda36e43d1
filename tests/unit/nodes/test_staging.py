"""Staging: what the operator sends is checked before a byte of it is used."""

import json
from collections.abc import AsyncIterator

import pytest

from swarm_lab.errors import StagingError
from swarm_lab.nodes.staging import Stage, StageRequest, parse_request, program_digest, receive_files

FILES = {"main.py": b"print('hello')", "lib/helper.py": b"x = 1"}


def body(**changes: object) -> dict[str, object]:
    rules = {
        "nodes": ["sl-1", "sl-2"],
        "sync_frequency": 16,
        "min_peers": 2,
        "program": program_digest(FILES.items()),
    } | changes.pop("rules", {})
    return {
        "protocol": 1,
        "package": "0.1.0",
        "training": "t-00beef",
        "rules": rules,
        "program": "main.py",
        "files": [{"path": p, "size": len(c)} for p, c in FILES.items()],
        "data_dir": "/data/sl-1",
    } | changes


def parse(**changes: object) -> StageRequest:
    return parse_request(json.dumps(body(**changes)).encode())


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_files_come_whole_and_rest_on_disk(tmp_path) -> None:
    request = parse()
    files = await receive_files(request, chunks(b"".join(FILES.values())))
    stage = Stage(tmp_path)
    stage.store(request, files)
    assert stage.request("t-00beef") == request and stage.trainings() == ["t-00beef"]
    assert (tmp_path / "t-00beef/program/lib/helper.py").read_bytes() == b"x = 1"
    assert stage.request("t-ffffff") is None
    assert (tmp_path / "t-00beef/request.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("path", ["../evil.py", "/etc/passwd", "a/../../b", "", "a\\..\\b", "a\0b"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    with pytest.raises(StagingError):
        parse(files=[{"path": "main.py", "size": 1}, {"path": path, "size": 1}])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"protocol": 9}, "protocol 9"),
        ({"training": "x"}, "training"),
        ({"program": "other.py"}, "other.py"),
        ({"rules": {"min_peers": 3}}, "min_peers is 3"),
        ({"rules": {"merge": "magic"}}, "merge"),
        ({"files": [{"path": "main.py", "size": 33 * 1024 * 1024}]}, "size"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_bad_request_names_what_is_wrong(changes: dict[str, object], named: str) -> None:
    with pytest.raises(StagingError, match=named):
        parse(**changes)


@pytest.mark.parametrize("sent", [b"short", b"x" * 100, b"x" * sum(map(len, FILES.values()))])
async def test_bytes_that_do_not_match_the_request_are_refused(sent: bytes) -> None:
    with pytest.raises(StagingError):
        await receive_files(parse(), chunks(sent))
