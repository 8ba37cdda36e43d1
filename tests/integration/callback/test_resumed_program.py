"""A program that was killed and started again: its place and its own state come back, and it says where it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.box import BOX, LIMIT, said, syncs

from swarm_lab.callback.messages import Release

KEEPER = """
from swarm_lab.callback.hooks import ArraysModel
class Kept(Box):
    momentum = 0.0
    def __init__(self, *given):
        super().__init__(*given)
        model = self._session._model
        model.state = lambda: ({"m": np.full(2, self.momentum)}, {"kind": "sgd"}) if os.environ["KNOWN"] else None
        model.restore = lambda arrays, facts: print("restored", arrays["m"].tolist(), facts)
cb = Kept(2, 1)
cb.on_train_begin()
for epoch in cb.epochs(3) if os.environ["EPOCHS"] else range(3):
    print("epoch", epoch)
    for _ in range(4):
        cb.momentum += 1
        cb.on_batch_end()
        cb._session._places.close()  # batches that take no time at all would outrun the disk
    if not os.environ["EPOCHS"]: cb.on_epoch_end()
cb.on_train_end()
"""


async def serve(member, kill_at: int | None, first: int = 0, **welcome) -> None:
    """Answer each sync with the model of the next round; kill the program instead of answering the n-th sync."""
    await member.program.hello(LIMIT)
    await member.program.welcome(interval=2, **welcome)
    round_ = first
    while True:
        member.syncs.append(await member.program.parked())
        if len(member.syncs) == kill_at:
            await member.program.kill(0)
            return
        finished = member.syncs[-1].reason == "end"
        model = bytes(member.program.contribution())
        await member.program.release(Release(model=True, round=round_, finished=finished), model)
        round_ += 1
        if finished:
            member.exit = await member.program.exit()
            return


async def test_a_third_start_goes_on_after_the_second_whatever_numbers_its_node_gives(launch, tmp_path):
    variables = {"SWARM_STATE_DIR": str(tmp_path / "state"), "KNOWN": "1", "EPOCHS": "1"}
    for name, kill_at, resume in (
        ("p1", 4, {}),
        ("p2", 3, {"start": 2, "round": 9}),
        ("p3", None, {"start": 3, "round": 14}),
    ):
        member = await launch(BOX + KEEPER, name, framework="", variables=variables)
        await serve(member, kill_at, resume=resume)
    # Each start's models are numbered from 0: the places are 1 and 2 of the first start, 10 of the second.
    assert said(member, "restored") == ["restored [2.0, 2.0] {'kind': 'sgd'}"]
    assert max(path.name for path in (tmp_path / "state").iterdir()) > "place-000000014.safetensors"


async def twice(launch, folder: Path, known: str, epochs: str):
    """A first start that is killed in its second epoch, and a second one that is served to its end."""
    variables = {"SWARM_STATE_DIR": str(folder), "KNOWN": known, "EPOCHS": epochs}
    first = await launch(BOX + KEEPER, "p1", framework="", variables=variables)
    await serve(first, kill_at=5)
    assert syncs(first) == [("begin", 0), ("interval", 2), ("interval", 4), ("interval", 6), ("interval", 8)]
    second = await launch(BOX + KEEPER, "p2", framework="", variables=variables)
    await serve(second, None, first=3, resume={"start": 2, "round": 3})
    assert second.exit.error is None
    return second


async def test_with_its_state_and_its_epochs_it_goes_on_in_the_epoch_that_was_begun(launch, tmp_path):
    second = await twice(launch, tmp_path / "state", known="1", epochs="1")
    assert [line for line in said(second, "epoch ") if line[0] == "e"] == ["epoch 1", "epoch 2"]
    assert said(second, "restored") == ["restored [6.0, 6.0] {'kind': 'sgd'}"]
    assert [sync.epoch for sync in second.syncs][-1] == 3
    assert not said(second, "starts again")


@pytest.mark.parametrize(("known", "epochs"), [("", ""), ("1", ""), ("", "1")])
async def test_without_either_it_starts_again_at_epoch_0_and_says_so_once(launch, tmp_path, known, epochs):
    second = await twice(launch, tmp_path / "state", known, epochs)
    assert [line for line in said(second, "epoch ") if line[0] == "e"] == ["epoch 0", "epoch 1", "epoch 2"]
    assert len(said(second, "starts again at epoch 0 from the last committed model (round 3)")) == 1
    assert [sync.epoch for sync in second.syncs][-1] == 3


async def test_a_new_training_takes_nothing_from_the_folder(launch, tmp_path):
    variables = {"SWARM_STATE_DIR": str(tmp_path / "state"), "KNOWN": "1", "EPOCHS": "1"}
    for name in ("p1", "p2"):
        member = await launch(BOX + KEEPER, name, framework="", variables=variables)
        await serve(member, None)
        assert [line for line in said(member, "epoch ") if line[0] == "e"] == ["epoch 0", "epoch 1", "epoch 2"]
        assert not said(member, "restored")
