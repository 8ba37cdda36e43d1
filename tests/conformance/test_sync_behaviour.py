"""When a program syncs, what it loads and judges, and how it ends: real programs beside the node's end of the link."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from support.box import BOX, drive, said, syncs

from swarm_lab.callback.messages import Release
from swarm_lab.callback.session import FINAL_LINE
from swarm_lab.errors import TermsDiffer

GO = Release(model=False)


def merged(round_: int, **more: object) -> Release:
    return Release(model=True, round=round_, **more)


@pytest.mark.conformance("CB-50", "CB-51", "CB-60")
async def test_every_program_starts_from_the_swarms_model(launch, averager):
    source = BOX + "train(Box(3, 2), 3)"
    members = [await launch(source, f"p{i}", framework="", variables={"START": str(i)}) for i in (2, 4)]
    await averager(3).run(members)
    for member in members:
        assert syncs(member)[0] == ("begin", 0)
        assert said(member, "load")[0] == "load 3.0" and member.exit.error is None


@pytest.mark.conformance(
    "CB-61", different="at calls N, 2N, 3N; with `SWARM_SYNC_CADENCE=hpe` at N+1 and then after every N"
)
@pytest.mark.parametrize(("cadence", "calls"), [("", [3, 6, 9]), ("hpe", [4, 7, 10]), ("HPE", [4, 7, 10])])
async def test_which_calls_sync(launch, averager, cadence, calls):
    source = BOX + "train(Box(3, 1), 11)"
    member = await launch(source, framework="", variables={"SWARM_SYNC_CADENCE": cadence})
    await averager(3).run([member])
    assert [batches for reason, batches in syncs(member) if reason == "interval"] == calls


@pytest.mark.conformance("CB-62", "CB-13")
async def test_the_node_sets_each_next_interval(launch):
    member = await launch(BOX + "train(Box(3, 1, useAdaptiveSync=True, adsValData=0), 12)", framework="")
    answers = [Release(model=False, interval=n) for n in (3, 6, 1, 50)]
    await drive(member, *answers, merged(9, finished=True))
    assert syncs(member) == [("begin", 0), ("interval", 3), ("interval", 9), ("interval", 10), ("end", 12)]
    assert (await member.program.hello(1)).arguments["use_adaptive_sync"] is True


@pytest.mark.conformance("CB-63", "CB-64", "CB-14")
async def test_a_sync_holds_the_loop_and_the_judged_model_is_the_one_that_trains_on(launch):
    member = await launch(BOX + "train(Box(3, 1, adsValData=0), 4)", framework="")
    await drive(member, merged(5), merged(7), merged(9, finished=True))
    lines = [text for _, text in member.lines if text.startswith(("load", "score", "final"))]
    assert lines == [
        *["load 5.0", "score 5.0"],  # the start
        *["score 8.0", "load 7.0", "score 7.0"],  # three batches later: the local model, then the merged one
        *["score 8.0", "load 9.0", "score 9.0", "final 9.0"],
    ]
    assert [(sync.local_loss, sync.local_metric, sync.loss) for sync in member.syncs] == [
        (None, None, None), (8.0, 4.0, 5.0), (8.0, 4.0, 7.0),
    ]  # fmt: skip
    assert member.exit.evaluated.loss == 9.0 and member.exit.evaluated.metric == 4.5


@pytest.mark.conformance("CB-14", different="without validation data the numbers are unknown, not 0")
async def test_without_validation_data_numbers_are_unknown_and_a_warning_says_so(launch):
    member = await launch(BOX + "train(Box(3, 1), 3)", framework="")
    await drive(member, merged(1), merged(2), merged(3, finished=True))
    assert all(sync.loss is sync.metric is sync.local_loss is sync.local_metric is None for sync in member.syncs)
    assert len(said(member, "WARNING : val_data (adsValData) is missing")) == 1


@pytest.mark.conformance("CB-53", "CB-65")
async def test_an_epochs_end_counts_and_syncs_nothing(launch):
    member = await launch(BOX + "train(Box(100, 1), 2, epochs=3)", framework="")
    await drive(member, GO, merged(1, finished=True), interval=100)
    assert syncs(member) == [("begin", 0), ("end", 6)] and member.syncs[-1].epoch == 3


@pytest.mark.conformance("CB-66")
@pytest.mark.parametrize(("steps", "warnings"), [(2, 1), (3, 0)])
async def test_a_training_without_a_merge_is_told_so(launch, steps, warnings):
    member = await launch(BOX + f"train(Box(3, 1), {steps})", framework="")
    await drive(member, merged(1), *[merged(2)] * (steps // 3), merged(3), merged(4, finished=True))
    assert len(said(member, "WARNING : no merge happened")) == warnings


@pytest.mark.conformance("CB-16", "CB-54", "CB-67", "CB-69")
@pytest.mark.parametrize("mode", ["snapshot", "active", "inactive"])
async def test_the_end_keeps_the_frozen_weights_in_the_round_until_all_are_done(launch, mode):
    source = BOX + f"train(Box(5, 1, checkinModelOnTrainEnd={mode!r}), 2)"
    member = await launch(source, framework="")
    await drive(member, merged(1), merged(4), merged(6), merged(9, finished=True), interval=5)
    assert syncs(member)[1:] == [("end", 2)] * 3
    assert [sync.fresh for sync in member.syncs] == [True, True, False, False]
    assert np.frombuffer(member.model, np.float32).tolist() == [3.0] * 4
    assert (await member.program.hello(1)).arguments["checkin_model_on_train_end"] == mode
    texts = [text for _, text in member.lines]
    assert texts[-1] == "final 9.0" and texts[-2].endswith(f" : SwarmCallback : INFO : {FINAL_LINE}")


@pytest.mark.conformance("CB-68", "CB-70", different="all nodes and frameworks stop, and every one has the final model")
@pytest.mark.parametrize("obeys", [True, False])
async def test_the_swarms_early_end_stops_the_loop_and_leaves_one_model(launch, obeys):
    loop = "break" if obeys else "continue"
    source = BOX.replace("break", loop) + "train(Box(2, 1), 8)"
    member = await launch(source, framework="")
    await drive(member, GO, Release(model=False, stop=True), merged(9, finished=True), interval=2)
    assert syncs(member) == [("begin", 0), ("interval", 2), ("end", 2)]
    assert said(member, "final") == ["final 9.0"] and member.exit.finished and member.exit.error is None


@pytest.mark.conformance("CB-68", different="all nodes and frameworks stop, and every one has the final model")
async def test_a_program_that_comes_when_all_is_over_gets_the_final_model(launch):
    member = await launch(BOX + "train(Box(2, 1), 8)", framework="")
    await drive(member, merged(9, finished=True), interval=2)
    assert syncs(member) == [("begin", 0)] and said(member, "final") == ["final 9.0"]


@pytest.mark.conformance("CB-04", "CB-06", "CB-18", "CB-76")
async def test_a_refusal_names_the_nodes_and_is_logged_before_it_is_raised(launch):
    source = BOX + "try: train(Box(2, 1, mergeMethod='GeoMedian'), 8)\nexcept SwarmError as e: print('caught', e.code)"
    member = await launch(source, framework="")
    hello = await member.program.hello(30)
    assert hello.arguments["merge_method"] == "geomedian"
    await member.program.refuse(TermsDiffer("merge_method is geomedian on sl-2 and mean on sl-1"))
    await member.program.exit()
    assert said(member, "caught") == ["caught SWL-606"]
    errors = [text for text in said(member, " : ERROR : ") if "geomedian on sl-2 and mean on sl-1" in text]
    assert len(errors) == 1


@pytest.mark.conformance("CB-04")
async def test_the_constructor_tells_what_it_was_given_and_needs_a_node(launch, monkeypatch, caplog):
    from swarm_lab.callback.errors import NoNodeError
    from swarm_lab.callback.hooks import ArraysCallback

    member = await launch(BOX + "Box(4, '2', adsValData=0, totalEpochs=3); print('made')", framework="")
    await member.program.exit()
    texts = [text for _, text in member.lines]
    line = next(text for text in texts if "INFO : SwarmCallback: " in text)
    assert all(part in line for part in ("sync_frequency=4", "min_peers=2", "total_epochs=3", "val_data=0"))
    assert texts.index(line) < texts.index("made")

    monkeypatch.delenv("SWARM_LINK", raising=False)
    hooks = dict.fromkeys(("take_model", "take_val_data", "save", "load", "score"), lambda *_: None)
    caplog.set_level(logging.ERROR)
    with pytest.raises(NoNodeError):
        type("Alone", (ArraysCallback,), hooks)(4, 2, logger=logging.getLogger("alone"))
    assert "SWL-602" in caplog.text
