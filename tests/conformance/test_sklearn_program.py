"""Real scikit-learn programs, started cold, beside a small node."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from swarm_lab.callback.messages import Release

SOURCE = """
    import os
    import numpy as np
    from sklearn.{home} import {kind}
    from swarm_lab import SwarmCallback

    rng = np.random.default_rng(int(os.environ["SEED"]))
    x = rng.normal(size=(80, 6)); y = {target}
    model = {kind}({options})
    cb = SwarmCallback(sync_frequency=4, min_peers=2, model=model, init_data=(x[:20], y[:20]), {more}
                       val_data=(x, y), {judged})
    for epoch in cb.epochs(2):
        for i in range(0, 80, 20):
            model.partial_fit(x[i:i+20], y[i:i+20])
            cb.on_batch_end()
    cb.on_train_end()
    held = {{name: getattr(model, name) for name in {shown!r}}}
    parts = {{name: value if isinstance(value, list) else [value] for name, value in held.items()}}
    np.savez("final.npz", **{{f"{{name}}.{{i}}": part for name in parts for i, part in enumerate(parts[name])}})
    print("done", cb.stop_training, model.predict(x[:2]).shape)
"""
CLASSES = {
    "target": "np.where(x[:, 0] > 0, 'yes', 'no')",
    "more": "classes=['no', 'yes'],",
    "judged": "metric_function='accuracy_score'",
}
NUMBERS = {"target": "x @ np.arange(6.0)", "more": "", "judged": "loss_function='mean_squared_error'"}
KINDS = [
    {
        "home": "linear_model",
        "kind": "SGDClassifier",
        "options": "loss='log_loss', average=True",
        "shown": ("coef_", "intercept_", "t_", "_standard_coef", "_average_coef"),
        **CLASSES,
        "judged": "loss_function='log_loss', metric_function='roc_auc_score'",
    },
    {
        "home": "neural_network",
        "kind": "MLPRegressor",
        "options": "hidden_layer_sizes=(4,)",
        "shown": ("coefs_", "t_"),
        **NUMBERS,
    },
]


@pytest.mark.conformance("CB-08")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind['kind']}({kind['options']})")
async def test_two_programs_end_with_one_estimator(launch, averager, kind):
    members = [
        await launch(SOURCE.format(**kind), f"p{i}", framework="sklearn", variables={"SEED": str(i)}) for i in (1, 2)
    ]
    await averager(4).run(members)
    for member in members:
        assert member.exit.error is None, member.lines
        assert member.exit.finished
        assert [(sync.reason, sync.batches) for sync in member.syncs] == [
            ("begin", 0), ("interval", 4), ("interval", 8), ("end", 8),
        ]  # fmt: skip
        measured = "metric" if "metric_function" in kind["judged"] else "loss"
        assert getattr(member.syncs[1], measured) > 0 and getattr(member.exit.evaluated, measured) > 0
        assert any(line.startswith("done True") for _, line in member.lines)
    first, second = (np.load(member.program.spec.directory / "final.npz") for member in members)
    assert len(first.files) >= 3 and all(np.array_equal(first[name], second[name]) for name in first.files)
    assert first[first.files[0]].dtype == np.float64
    merged = members[0].program.layout.views(bytearray(members[0].model))
    assert [name for name in merged if name.startswith("classes_")] == (
        ["classes_ ['no', 'yes']"] if kind["more"] else []
    )


CLUSTERS = """
    import os
    import numpy as np
    from sklearn.cluster import MiniBatchKMeans
    from swarm_lab import SwarmCallback

    x = np.repeat([[0, 0], [9, 0], [0, 9], [9, 9]], 100, axis=0)
    x = x + np.random.default_rng(5).normal(scale=0.5, size=x.shape)
    own = x[int(os.environ["SEED"]) - 1 :: 2]
    model = MiniBatchKMeans(4, init=x[[0, 100, 200, 300]], n_init=1, reassignment_ratio=0)
    cb = SwarmCallback(sync_frequency=2, model=model, init_data=x[:100:25], val_data=own)
    cb.on_train_begin()
    start = model.cluster_centers_ * model._counts[:, None], model._counts.copy()
    for part in np.array_split(own, 2):
        model.partial_fit(part)
        cb.on_batch_end()
    cb.on_train_end()
    near = ((x[:, None] - model.cluster_centers_) ** 2).sum(2).argmin(1)
    expected = [(start[0][k] + x[near == k].sum(0) / 2) / (start[1][k] + (near == k).sum() / 2) for k in range(4)]
    np.testing.assert_allclose(model.cluster_centers_, expected, rtol=1e-12)
    print("centres of all rows")
"""


@pytest.mark.conformance("CB-08")
async def test_centres_are_merged_as_if_one_estimator_had_seen_the_rows_of_all(launch, averager):
    members = [await launch(CLUSTERS, f"p{i}", framework="sklearn", variables={"SEED": str(i)}) for i in (1, 2)]
    await averager(2).run(members)
    for member in members:
        assert member.exit.error is None, member.exit.error.traceback
        assert ("stdout", "centres of all rows") in member.lines
        assert 0 < member.exit.evaluated.loss < 1


async def test_clusters_refuse_a_median_that_the_command_line_asks_for(launch):
    member = await launch(CLUSTERS, framework="sklearn", variables={"SEED": "1"})
    await member.program.hello(30)
    await member.program.welcome(interval=2, arguments={"merge_method": "coordmedian"})
    await member.program.parked()
    await member.program.release(Release(model=False, interval=2))
    assert "only a mean makes centres" in (await member.program.exit()).failed.message


ENDLESS = """
    import numpy as np
    from sklearn.linear_model import SGDClassifier
    from swarm_lab import SwarmCallback

    x = np.random.default_rng(0).normal(size=(40, 3)); y = (x[:, 0] > 0) * 1
    model = SGDClassifier()
    model.partial_fit(x, y, classes=[0, 1])
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    while True:
        model.partial_fit(x, y)
        cb.on_batch_end()
        if cb.stop_training:
            break
    cb.on_train_end()
"""


async def test_a_plain_loop_sees_that_the_swarm_stops(launch, averager):
    member = await launch(ENDLESS, framework="sklearn")
    await averager(3, stop_at=2).run([member])
    assert member.exit.error is None and member.syncs[-1].batches == 6


AGAIN = """
    import os
    import numpy as np
    from sklearn.{home} import {kind}
    from swarm_lab import SwarmCallback

    x = np.random.default_rng(0).normal(size=(40, 3)); y = (x[:, 0] > 0) * 1
    model = {kind}()
    cb = SwarmCallback(model=model, init_data=(x, y), classes=[0, 1])
    for epoch in cb.epochs(4):
        print("epoch", epoch, getattr(getattr(model, "_optimizer", None), "t", None))
        for part in range(2):
            model.partial_fit(x, y)
            cb.on_batch_end()
            cb._session._places.close()  # waits for the place, which is else left out while the last is being written
        if os.environ["KILL"] and epoch == 2:
            os._exit(9)
    cb.on_train_end()
"""


@pytest.mark.conformance("CB-08")
@pytest.mark.parametrize(("home", "kind"), [("linear_model", "SGDClassifier"), ("neural_network", "MLPClassifier")])
async def test_a_program_that_was_killed_goes_on_in_its_epoch(launch, tmp_path, home, kind):
    source, epochs = AGAIN.format(home=home, kind=kind), []
    for name, resume in (("first", None), ("second", {"start": 2, "round": 6})):
        variables = {"SWARM_STATE_DIR": str(tmp_path / "state"), "KILL": "1" if resume is None else ""}
        member = await launch(source, name, framework="sklearn", variables=variables)
        await member.program.hello(30)
        await member.program.welcome(interval=1, resume=resume)
        for round_ in itertools.count():
            reason = (await member.program.parked()).reason
            model = bytearray(member.program.contribution())
            finished = reason == "end"
            await member.program.release(Release(model=True, round=round_, interval=1, finished=finished), model)
            if finished or (resume is None and round_ == 6):
                break
        await member.program.exit()
        epochs.append([line.split()[1:] for _, line in member.lines if line.startswith("epoch")])
    assert [epoch for epoch, _ in epochs[0]] == ["0", "1", "2"]
    steps = "7" if kind == "MLPClassifier" else "None"
    assert epochs[1][0] == ["2", steps] and [epoch for epoch, _ in epochs[1]] == ["2", "3"]


DOCUMENTED = """
    import os
    import numpy as np
    from swarmlearning.sklearn import SwarmCallback

    class Mean:  # a model of one's own: two attributes, one of them a list
        def __init__(self):
            self.mean_, self.seen_ = None, [np.zeros(1)]
        def partial_fit(self, x, y):
            self.seen_ = [self.seen_[0] + len(x)]
            self.mean_ = x.mean(0) if self.mean_ is None else self.mean_ + (x.mean(0) - self.mean_) / 2

    x = np.full((8, 3), float(os.environ["SEED"])); y = np.zeros(8)
    model = Mean()
    swarmCallback = SwarmCallback(syncFrequency=2, minPeers=2, mlPlatform="SKLEARN", model=model, totalEpochs=1,
                                  initData=(x, y), weight_attrs=["mean_", "seen_"], weight_attrs_is_list=True,
                                  adsValData=(x, y))
    swarmCallback.on_train_begin()
    for batch in range(2):
        model.partial_fit(x, y)
        swarmCallback.on_batch_end(batch)
    swarmCallback.on_epoch_end(0)
    swarmCallback.on_train_end()
    print("mean", model.mean_.tolist(), model.seen_)
"""


@pytest.mark.conformance("CB-08", "CB-22", "CB-75")
async def test_a_program_in_the_documented_style_brings_a_model_of_its_own(launch, averager):
    members = [await launch(DOCUMENTED, f"p{i}", framework="sklearn", variables={"SEED": str(i)}) for i in (1, 2)]
    await averager(2).run(members)
    for member in members:
        assert member.exit.error is None, member.exit.failed
        assert ("stdout", "mean [1.5, 1.5, 1.5] [array([24.])]") in member.lines
