"""Calls in a wrong order, twice, from two threads and processes, after the end: refused, each with what to do."""

from __future__ import annotations

import pytest
from support.box import BOX, drive, said

from swarm_lab.callback.messages import Release

TRY = """
def attempt(call, *given):
    try:
        call(*given)
        print("fine")
    except SwarmError as error:
        print("refused", error.code, error.message)
"""
FINAL = Release(model=True, round=9, finished=True)


@pytest.mark.conformance("CB-06", "CB-50", "CB-54")
async def test_too_early_twice_and_after_the_end(launch):
    source = """
cb = Box(3, 1)
for call in (cb.on_batch_end, cb.on_epoch_end, cb.on_train_end): attempt(call)
cb.on_train_begin()
attempt(cb.on_train_begin)
cb.on_train_end()
for call in (cb.on_train_begin, cb.on_batch_end, cb.on_epoch_end, cb.on_train_end): attempt(call)
"""
    member = await launch(BOX + TRY + source, framework="")
    await drive(member, Release(model=False), FINAL)
    refused = said(member, "refused")
    assert len(refused) == 8 and all("SWL-603" in text for text in refused)
    assert [("before on_train_begin" in t, "second time" in t, "after on_train_end" in t) for t in refused] == [
        *[(True, False, False)] * 3, *[(False, True, False)] * 2, *[(False, False, True)] * 3,
    ]  # fmt: skip
    assert len(said(member, " : ERROR : SWL-603")) == 8 and member.exit.error is None


async def test_another_thread_is_refused_and_the_training_goes_on(launch):
    source = """
cb = Box(2, 1)
cb.on_train_begin()
def other():
    for call in (cb.on_batch_end, cb.on_epoch_end, cb.on_train_end): attempt(call)
thread = threading.Thread(target=other, name="loader"); thread.start(); thread.join(20)
cb.on_batch_end(); cb.on_batch_end()
cb.on_train_end()
"""
    member = await launch(BOX + TRY + source, framework="")
    await drive(member, Release(model=False), Release(model=False), FINAL)
    refused = said(member, "refused")
    assert len(refused) == 3 and all("SWL-604" in text and "'loader'" in text for text in refused)
    assert [sync.batches for sync in member.syncs] == [0, 2, 2] and member.exit.error is None


async def test_a_forked_process_is_refused_and_the_training_goes_on(launch):
    source = """
cb = Box(1, 1)
cb.on_train_begin()
sys.stdout.flush()
if (child := os.fork()) == 0:
    attempt(cb.on_batch_end)
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
cb.on_batch_end()
cb.on_train_end()
"""
    member = await launch(BOX + TRY + source, framework="")
    await drive(member, Release(model=False), Release(model=False), FINAL, interval=1)
    assert len(said(member, "refused SWL-604")) == 1 and member.exit.error is None


async def test_a_second_callback_of_one_program_is_refused(launch):
    source = "one, two = Box(3, 1), Box(3, 1)\none.on_train_begin()\nattempt(two.on_train_begin)\none.on_train_end()"
    member = await launch(BOX + TRY + source, framework="")
    await drive(member, Release(model=False), FINAL)
    assert len(said(member, "refused SWL-603")) == 1 and member.exit.error is None


@pytest.mark.conformance("CB-73", "CB-72", different="exact names, shapes and dtypes; strict")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cb.w = cb.w.astype(np.float64)", "w is F32 [4], not F64 [4]"),
        ("cb.w = cb.w[:3]", "w is F32 [4], not F32 [3]"),
        ("cb.name = 'v'", "w is missing"),
    ],
)
async def test_a_model_that_changes_between_syncs_is_refused_by_name(launch, change, message):
    source = f"cb = Box(1, 1)\ncb.on_train_begin()\n{change}\nattempt(cb.on_batch_end)"
    member = await launch(BOX + TRY + source, framework="")
    await drive(member, Release(model=False), interval=1)
    assert any("SWL-608" in text and message in text for text in said(member, "refused"))
