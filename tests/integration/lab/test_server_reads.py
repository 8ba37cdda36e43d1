"""A server over swarms that are only files: what it tells, to how many at once, and what of it survives its end."""

from __future__ import annotations

import json
import shutil
import time
from datetime import datetime

import httpx
import nbformat
import psutil
import pytest
from support.lab_server import LabServer
from support.paper import Paper, big_log
from websocket import create_connection

from swarm_lab.facts.process import record_of, write_record


def test_about_and_schemas(server: LabServer) -> None:
    about = server.get("about")[1]
    assert about["api"] == 1 and set(about["frameworks"]) <= {"torch", "keras", "sklearn"}
    for form in ("up", "train", "add", "spec"):
        schema = server.get(f"schemas/{form}")[1]
        assert schema["$schema"].endswith("2020-12/schema") and schema["properties"]
    assert "detach" not in server.get("schemas/train")[1]["properties"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "swarms/ghost/nodes/sl-1", None, 404, "SWL-103"),
        ("GET", "swarms/..%2f..%2fetc/nodes/sl-1", None, 400, "SWL-102"),
        ("GET", "swarms/demo/nodes/sl-9", None, 404, "SWL-112"),
        ("GET", "swarms/demo/nodes/..%2fsl-1/log", None, 404, "SWL-112"),
        ("GET", "swarms/demo/trainings/t-9", None, 404, "SWL-113"),
        ("GET", "swarms/demo/trainings/t-9/notebook", None, 404, "SWL-113"),
        ("GET", "operations/none", None, 404, "SWL-132"),
        ("GET", "facts?since=0", None, 400, "SWL-101"),
        ("GET", "facts?swarm=demo&since=-1", None, 400, "SWL-101"),
        ("GET", "schemas/down", None, 400, "SWL-101"),
        ("POST", "specs/check", {"yml": ""}, 400, "SWL-101"),
        ("POST", "swarms", {"sl": 0}, 400, "SWL-101"),
        ("POST", "swarms", {"name": "No Name"}, 400, "SWL-102"),
        ("POST", "swarms", {"yaml": "sl: many"}, 400, "SWL-120"),
        ("POST", "swarms", {"file": "nothing.yaml"}, 400, "SWL-120"),
        ("POST", "swarms/demo/trainings", {}, 400, "SWL-101"),
        ("POST", "swarms/demo/nodes", {"kind": "sn"}, 400, "SWL-101"),
        ("POST", "swarms/demo/nodes/sl-1/faults", {"kind": "burn"}, 400, "SWL-101"),
        ("DELETE", "swarms/ghost", None, 404, "SWL-103"),
        ("DELETE", "swarms/demo/nodes/sl-9", None, 404, "SWL-112"),
    ],
)
def test_what_is_wrong_is_told(server: LabServer, method, path, body, status, code) -> None:
    Paper("demo")
    found, said = server.call(method, path, body)
    assert (found, said["error"]["code"]) == (status, code), said
    assert said["message"] == said["error"]["message"] and said["error"]["next"]


def test_a_body_that_is_no_json_is_told(server: LabServer) -> None:
    headers = {"Authorization": "token for-tests"}
    answer = httpx.post(server.base + "demo", content=b"{", headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "SWL-101")


def test_an_operation_that_fails_says_why_and_what_mends_it(server: LabServer) -> None:
    Paper("demo")
    (server.root / "a.py").write_text("x = 1\n")
    found = server.does("POST", "swarms/demo/trainings", {"program": "a.py"})
    assert (found["state"], found["error"]["code"]) == ("failed", "SWL-106")
    assert found["error"]["action"] == {
        "label": "Start demo",
        "method": "POST",
        "path": "swarms",
        "body": {"name": "demo"},
    }
    found = server.does("POST", "swarms/demo/nodes/sl-1/faults", {"kind": "pause"})
    assert found["error"]["code"] == "SWL-136"


def test_facts_in_pages(server: LabServer) -> None:
    paper = Paper("demo")
    paper.trains(rounds=5)
    page = server.get("facts?swarm=demo&since=3")[1]
    assert [fact["seq"] for fact in page["facts"]] == list(range(4, page["next"] + 1))
    assert server.get(f"facts?swarm=demo&since={page['next']}")[1] == {"facts": [], "next": page["next"]}
    detail = server.get("swarms/demo/trainings/t-1")[1]
    assert (detail["round"], len(detail["rounds"]), detail["seq"]) == (5, 5, page["next"])


def test_a_swarm_without_its_facts_or_with_a_file_that_cannot_be_read_is_told(server: LabServer) -> None:
    paper = Paper("demo")
    paper.paths.events.unlink()
    assert server.get("facts?swarm=demo&since=0")[1] == {"facts": [], "next": 0}
    paper.paths.log("sl-1").mkdir(parents=True)
    status, said = server.get("swarms/demo/nodes/sl-1/log")
    assert (status, said["error"]["code"]) == (500, "SWL-000") and "IsADirectoryError" in said["message"]


def test_a_log_of_a_gigabyte(server: LabServer) -> None:
    paper = Paper("demo")
    big_log(paper.paths.log("sl-1"), 1 << 30, b'{"level": "warning", "message": "needle"}', b"last")
    began = time.monotonic()
    page = server.get("swarms/demo/nodes/sl-1/log?lines=2&search=needle")[1]
    assert time.monotonic() - began < 8
    assert [line["text"] for line in page["lines"]] == ["needle", "last"]
    assert page["matches"] == [page["lines"][0]["offset"]] and page["searched_from"] >= 0
    assert server.get("swarms/demo/nodes/sl-1")[1]["log_size"] == page["size"] > 1 << 30
    assert psutil.Process(server.process.pid).memory_info().rss < 600 << 20


def test_two_clients_see_the_same_and_only_what_they_ask_for(server: LabServer) -> None:
    paper = Paper("demo")
    paper.trains(rounds=1)
    first, second = server.live(), server.live()
    for live in (first, second):
        hello, snapshot = live.next(), live.next()
        assert (hello["type"], snapshot["type"]) == ("hello", "snapshot")
        assert hello["seqs"] == {swarm["swarm"]: swarm["seq"] for swarm in snapshot["snapshot"]["swarms"]}
        assert [swarm["swarm"] for swarm in snapshot["snapshot"]["swarms"]] == ["demo"]
    first.ask(type="watch", swarm="demo", facts=True)
    first.ask(type="nonsense")
    time.sleep(0.3)
    paper.round("t-1", 2)
    told = first.next("facts")
    assert [fact["event"] for fact in told["facts"]] == ["round"]
    assert time.time() - told["facts"][0]["time"] < 2
    seen = []
    for live in (first, second):  # each may have had another one before
        while (trainings := live.next("status")["swarm"]["trainings"])[0]["round"] != 2:
            pass
        seen.append(trainings)
    assert seen[0] == seen[1]
    Paper("another")
    assert {swarm["swarm"] for swarm in second.next("snapshot")["snapshot"]["swarms"]} == {"demo", "another"}
    shutil.rmtree(paper.paths.root)
    assert first.next("gone")["swarm"] == "demo"
    assert first.next("hosts", limit=6)["hosts"][0]["cpus"] > 0
    first.close()
    second.close()


def test_a_gap_is_filled_by_what_the_next_status_says(server: LabServer) -> None:
    paper = Paper("demo")
    live = server.live()
    seen = live.next("hello")["seqs"]["demo"]
    live.close()
    paper.trains(rounds=3)  # the network is gone meanwhile
    again = server.live()
    now = again.next("hello")["seqs"]["demo"]
    missed = server.get(f"facts?swarm=demo&since={seen}")[1]
    assert [fact["seq"] for fact in missed["facts"]] == list(range(seen + 1, now + 1))
    again.close()


def test_a_log_is_followed(server: LabServer) -> None:
    paper = Paper("demo")
    paper.says("sl-1")
    paper.paths.log("sl-1").write_bytes(b"one\n")
    live = server.live()
    live.ask(type="follow", swarm="demo", node="sl-1", **{"from": 0})
    told = live.next("log")
    assert [line["text"] for line in told["lines"]] == ["one"]
    with paper.paths.log("sl-1").open("ab") as file:
        file.write(b"two\n")
    assert [(line["offset"], line["text"]) for line in live.next("log")["lines"]] == [(4, "two")]
    live.close()


def test_all_is_found_again_by_a_server_that_is_started_anew(server: LabServer) -> None:
    paper = Paper("demo")
    paper.trains(rounds=3)
    before = server.get("snapshot")[1]
    server.stop()
    server.start()
    after = server.get("snapshot")[1]
    assert before["boot"] != after["boot"]
    for node in (*before["swarms"][0]["nodes"], *after["swarms"][0]["nodes"]):
        node.pop("load")  # of a moment
    assert before["swarms"] == after["swarms"]


def test_a_training_counts_as_activity_and_a_dead_one_does_not(server: LabServer) -> None:
    def last_activity() -> float:
        status = httpx.get(
            f"http://127.0.0.1:{server.port}/api/status?no_track_activity=1",
            headers={"Authorization": "token for-tests"},
            timeout=10,
        ).json()
        return datetime.fromisoformat(status["last_activity"].replace("Z", "+00:00")).timestamp()

    paper = Paper("demo")
    paper.trains(rounds=1)
    time.sleep(6)
    quiet = last_activity()
    assert time.time() - quiet > 3, "nothing of the swarm runs: its training is no activity"
    write_record(paper.paths.root / "supervisor.json", record_of(server.process.pid))
    until = time.monotonic() + 15
    while last_activity() <= quiet:
        assert time.monotonic() < until
        time.sleep(0.5)


def test_notebooks_that_do_it_again(server: LabServer) -> None:
    paper = Paper("demo", cold=True)
    paper.trains(rounds=2, ends=True)
    whole = server.get("swarms/demo/notebook")[1]
    one = server.get("swarms/demo/trainings/t-1/notebook")[1]
    for found in (whole, one):
        nbformat.validate(nbformat.from_dict(found["content"]))
    assert (whole["name"], one["name"]) == ("demo.ipynb", "demo-t-1.ipynb")
    sources = [cell["source"] for cell in one["content"]["cells"]]
    assert "%swarm up --name demo --sl 2 --sn 1 --framework torch" in sources
    assert any(source.startswith("%swarm train /p/a.py --name demo -o run --min-peers 1") for source in sources)
    paper.paths.spec.unlink()
    assert server.get("swarms/demo/notebook")[1]["error"]["code"] == "SWL-131"


def test_jupyter_events_carry_facts_of_low_rate(server: LabServer) -> None:
    paper = Paper("demo")
    url = f"ws://127.0.0.1:{server.port}/api/events/subscribe"
    events = create_connection(url, header={"Authorization": "token for-tests"}, timeout=10)
    live = server.live()
    live.next("snapshot")
    paper.log.append("progress", training="t-1", node="sl-1", round=1, batches=1, loss=None)
    seq = paper.log.append("swarm_down")
    said = json.loads(events.recv())
    assert said["schema_id"] == "https://swarm-lab.dev/events/fact"
    assert (said["swarm"], said["seq"], said["event"]) == ("demo", seq, "swarm_down")
    events.close()
    live.close()
