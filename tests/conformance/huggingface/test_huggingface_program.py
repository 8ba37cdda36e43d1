"""Real Hugging Face programs with `Trainer`, offline, beside a small node."""

from __future__ import annotations

import pytest
import torch

START = """
    import os
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
    from swarm_lab import SwarmCallback

    torch.set_num_threads(1)
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=8, max_position_embeddings=8, num_labels=2)
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    g = torch.Generator().manual_seed(int(os.environ.get("SEED", "1")))
    x = torch.randint(0, 20, (32, 6), generator=g); y = (x[:, 0] > 9).long()
    rows = [{"input_ids": a, "label": b} for a, b in zip(x, y)]

    def arguments(**more):
        given = dict(output_dir="out", per_device_train_batch_size=4, num_train_epochs=2, report_to=[],
                     save_strategy="no", use_cpu=True, disable_tqdm=True, logging_steps=1)
        return TrainingArguments(**{**given, **more})
"""
FULL = (
    START
    + """
    def accuracy(found):
        logits, labels = found
        return {"accuracy": float((logits.argmax(-1) == labels).mean())}

    cb = SwarmCallback(sync_frequency=3, model=model, adsValData=rows, metricFunction=accuracy)
    trainer = Trainer(model, arguments(gradient_accumulation_steps=2), train_dataset=rows, callbacks=[cb])
    trainer.train()
    torch.save(model.state_dict(), "final.pt")
    print("done", cb.hf_mode, trainer.state.global_step, cb.stop_training, model.training)
"""
)


@pytest.mark.conformance("CB-41", "CB-43", "CB-44", "CB-45", "CB-52", "CB-53", "CB-54", "CB-85")
async def test_two_trainers_share_every_round_and_end_with_one_model(launch, averager):
    members = [await launch(FULL, f"p{i}", variables={"SEED": str(i)}) for i in (1, 2)]
    await averager(3).run(members)
    for member in members:
        assert member.exit.error is None, member.exit.error
        # 2 epochs of 8 batches, two of which are one step
        assert [(sync.reason, sync.batches, sync.epoch) for sync in member.syncs] == [
            ("begin", 0, 0), ("interval", 3, 0), ("interval", 6, 1), ("end", 8, 2),
        ]  # fmt: skip
        assert all(sync.loss > 0 and 0 <= sync.metric <= 1 for sync in member.syncs[1:])
        assert member.syncs[1].local_loss > 0 and member.syncs[1].training_loss > 0
        assert member.exit.finished and member.exit.evaluated.loss > 0
        assert ("stdout", "done full 8 True True") in member.lines
    first, second = (torch.load(member.program.spec.directory / "final.pt") for member in members)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {spec.name for spec in members[0].program.layout.specs} == set(first)


PEFT = (
    START
    + """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(int(os.environ["SEED"]))
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"]))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cb = SwarmCallback(sync_frequency=2, model=model, val_data=x and None if False else
                       {"input_ids": x, "labels": y}, metric_function="Accuracy",
                       metric_function_args={"task": "multiclass", "num_classes": 2})
    Trainer(model, arguments(max_steps=100, learning_rate=0.01), train_dataset=rows, callbacks=[cb]).train()
    changed = sorted(name for name, value in model.state_dict().items() if not torch.equal(value, before[name]))
    torch.save({name: model.state_dict()[name] for name in changed}, "final.pt")
    print("done", cb.hf_mode, cb.stop_training)
"""
).replace("x and None if False else\n                       ", "")


@pytest.mark.conformance("CB-42", "CB-83", "CB-84", "CB-89")
@pytest.mark.conformance("CB-70", different="the swarm's end and a stop reach Trainer, which ends its loop")
async def test_only_the_adapter_travels_and_every_tensor_of_it_is_loaded(launch, averager):
    members = [await launch(PEFT, f"p{i}", variables={"SEED": str(i)}) for i in (1, 2)]
    await averager(2, stop_at=3).run(members)
    for member in members:
        assert member.exit.error is None, member.exit.error
        assert member.syncs[-1].batches == 6 and 0 <= member.syncs[1].metric <= 1
        assert ("stdout", "done peft True") in member.lines
    layout = members[0].program.layout
    names = [spec.name for spec in layout.specs if spec.count]
    first, second = (torch.load(member.program.spec.directory / "final.pt") for member in members)
    assert sorted(names) == sorted(first)  # nothing but the adapter changed, and all of it
    assert all(".lora_" in name or ".modules_to_save." in name for name in names)
    assert all(torch.equal(first[name], second[name]) for name in first)
    merged = layout.views(bytearray(members[0].model))
    assert len(names) == 6 and all(merged[name].tobytes() == first[name].numpy().tobytes() for name in names)
    (mark,) = [spec.name for spec in layout.specs if not spec.count]
    assert mark.startswith("frozen parameters ") and layout == members[1].program.layout


DOCUMENTED = (
    START.replace("from swarm_lab import", "from swarmlearning.hf_transformers import")
    + """
    cb = SwarmCallback(syncFrequency=4, minPeers=2, model=model, mlPlatform="HF_TRANSFORMER", hfMode="full",
                       lossFunction="CrossEntropyLoss", metricFunction="Accuracy", totalEpochs=2)
    trainer = Trainer(model=model, args=arguments(), train_dataset=rows, callbacks=[cb])
    trainer.train()
    print("done", trainer.state.global_step)
"""
)


@pytest.mark.conformance("CB-01", "CB-02", "CB-22", "CB-42", "CB-45")
async def test_a_program_in_the_documented_style_runs_as_it_is(train):
    trained = await train(DOCUMENTED, interval=4)
    assert trained.exit.error is None, trained.exit.error
    assert "done 16" in trained.text and "mlPlatform='HF_TRANSFORMER' is not needed" in trained.text
    assert [sync.batches for sync in trained.syncs] == [0, 4, 8, 12, 16, 16]


BEST = (
    START
    + """
    cb = SwarmCallback(model=model)
    more = dict(save_strategy="epoch", eval_strategy="epoch", load_best_model_at_end=True)
    Trainer(model, arguments(num_train_epochs=4, **more), train_dataset=rows, eval_dataset=rows, callbacks=[cb]).train()
    torch.save(model.state_dict(), "kept.pt")
"""
)


@pytest.mark.conformance("CB-68", different="every node ends with the swarm's final model")
async def test_the_swarms_final_model_replaces_what_trainer_thinks_best(train):
    trained = await train(BEST, interval=12, stop_at=1)
    assert trained.exit.error is None, trained.exit.error
    assert "its best local model" in trained.text and trained.syncs[-1].batches == 12
    final = trained.layout.views(bytearray(trained.given[-1]))
    assert all(final[name].tobytes() == value.numpy().tobytes() for name, value in trained.kept.items())


AGAIN = (
    START
    + """
    from transformers import TrainerCallback
    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            rates.append(more["lr_scheduler"].get_last_lr()[0])
            moments.append(sum(float(part["exp_avg_sq"].sum()) for part in more["optimizer"].state.values()))
            if os.environ["KILL"] and state.global_step == 20:
                cb._session._places.close()
                os._exit(9)
    rates, moments = [], []
    cb = SwarmCallback(model=model)
    trainer = Trainer(model, arguments(num_train_epochs=3), train_dataset=rows, callbacks=[cb, Kill()])
    trainer.train()
    print("done", trainer.state.global_step, f"{rates[0]:.3g} {rates[-1]:.3g}", moments[0] > 0)
"""
)


@pytest.mark.conformance("CB-54", different="after a restart Trainer ends earlier by the whole epochs done before it")
async def test_a_trainer_that_was_killed_does_the_rest(train, tmp_path):
    places = {"SWARM_STATE_DIR": str(tmp_path / "state")}
    killed = await train(AGAIN, interval=4, variables={**places, "KILL": "1"})
    assert killed.exit.error is not None and killed.syncs[-1].batches == 20
    again = await train(AGAIN, interval=4, variables={**places, "KILL": ""}, resume={"start": 2, "round": 5})
    assert again.exit.error is None, again.exit.error
    assert "16 of 24 steps were done before the restart" in again.text
    # The scheduler goes on after 20 of 24 steps of a linear decay from 5e-5: 3/24 of it are left after one more.
    assert "done 8 6.25e-06 0 True" in again.text, again.text


CHECKS = (
    START
    + """
    import warnings
    from peft import LoraConfig, PromptTuningConfig, get_peft_model
    from swarm_lab.callback.errors import CallbackArgumentError, EvaluationError, SwarmError
    from swarm_lab.callback.huggingface import HuggingFaceCallback
    from swarm_lab.callback.huggingface_model import HuggingFaceModel
    from transformers import TrainerCallback

    def fails(says, **given):
        try:
            SwarmCallback(**{"model": model, **given})
        except SwarmError as error:
            assert says in str(error), error
        else:
            raise AssertionError(given)

    def fresh(seed):
        torch.manual_seed(seed)
        return BertForSequenceClassification(config)

    def names(model):
        return [spec.name for spec in HuggingFaceModel(model, None, part="adapter", logger=None).layout()]

    fails("needs a model with an adapter", hfMode="peft")
    fails("must be one of full, peft", hf_mode="half")
    fails("must be HF_TRANSFORMER", ml_platform="KERAS")
    fails("val_data must be a dataset", val_data=(x, y))
    fails("have [31, 32] rows", val_data={"input_ids": x, "labels": y[:31]})
    fails("did you mean", hfmod="full")
    fails("has no Accurate", val_data=rows, metricFunction="Accurate")

    lora = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    one, same, other = (get_peft_model(fresh(seed), lora) for seed in (0, 0, 1))
    assert names(one) == names(same) and names(one)[:-1] == names(other)[:-1] and names(one)[-1] != names(other)[-1]
    assert len(names(one)) == 2 + 2 + 1 and "classifier.modules_to_save.default.weight" in str(names(one))
    assert names(get_peft_model(fresh(0), lora, adapter_name="own"))[0].endswith(".lora_A.own.weight")
    prompt = get_peft_model(fresh(0), PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2))
    assert any("prompt_encoder" in name for name in names(prompt)), names(prompt)
    injected = fresh(0)
    injected.add_adapter(LoraConfig(r=2, target_modules=["query"]))
    assert SwarmCallback(model=injected).hf_mode == "peft" and len(names(injected)) == 3, names(injected)
    whole = SwarmCallback(model=one, hf_mode="full")
    assert whole.hf_mode == "full" and isinstance(whole, (HuggingFaceCallback)) and isinstance(whole, TrainerCallback)
    assert len(whole._model.layout()) == len(one.state_dict())

    def judge(**given):
        return SwarmCallback(**{"model": model, **given})._evaluation.run(model)

    model.eval()
    with torch.no_grad():
        loss = float(model(input_ids=x, labels=y).loss)
    model.train()
    noted = [{"input_ids": a, "labels": b, "note": "-"} for a, b in zip(x, y)]
    loader = torch.utils.data.DataLoader(noted, batch_size=5)
    for data in (rows, {"input_ids": x, "labels": y}, loader):
        found = judge(val_data=data, val_batch_size=5)
        assert abs(found[0] - loss) < 1e-6 and found[1] is None, found
    assert model.training
    found = judge(val_data=rows, lossFunction="CrossEntropyLoss", metricFunction="Accuracy",
                  metricFunctionArgs={"task": "multiclass", "num_classes": 2})
    assert abs(found[0] - loss) < 1e-6 and 0 <= found[1] <= 1
    assert judge(val_data=[], metric_function=lambda found: 1 / 0) == (None, None)
    pairs = torch.utils.data.DataLoader(list(zip(x, y)))
    wrong = ((pairs, "is no dict of tensors"), (rows, "ZeroDivisionError"), ([{"idx": 1}], "none of the model"))
    for data, says in wrong:
        try:
            judge(val_data=data, metric_function=lambda found: 1 / 0)
        except EvaluationError as error:
            assert says in error.message, error
        else:
            raise AssertionError(says)
    print("all checked")
"""
)


@pytest.mark.conformance("CB-03", different="an unknown argument is refused with the nearest known name")
@pytest.mark.conformance("CB-41", "CB-42", "CB-43", "CB-44", "CB-45", "CB-46", "CB-84", "CB-85")
async def test_what_travels_how_it_is_judged_and_what_is_refused(train):
    trained = await train(CHECKS, hello=False, variables={"SWARM_LOOPBACK": "true"})
    assert trained.exit.code == 0 and "all checked" in trained.text, trained.exit


OTHER = (
    START
    + """
    Trainer(BertForSequenceClassification(config), arguments(), train_dataset=rows,
            callbacks=[SwarmCallback(model=model)]).train()
"""
)


async def test_a_trainer_of_another_model_is_refused(train):
    trained = await train(OTHER, hello=False)
    assert trained.exit.failed.code == "SWL-601" and "is not the model given to SwarmCallback" in (
        trained.exit.failed.message
    )


UNLABELLED = (
    START
    + """
    bare = [{"input_ids": a} for a in x]
    Trainer(model, arguments(), train_dataset=rows, callbacks=[SwarmCallback(model=model, val_data=bare)]).train()
"""
)


async def test_validation_rows_without_labels_are_told(train):
    trained = await train(UNLABELLED)
    assert trained.exit.failed.code == "SWL-609" and "gave no loss" in trained.exit.failed.message


RANKS = (
    START
    + """
    import socket
    import torch.multiprocessing as mp

    def train(rank, port):
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
                       "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        torch.manual_seed(rank)
        mine = BertForSequenceClassification(config)
        given = arguments(ddp_backend="gloo")
        cb = SwarmCallback(model=mine, val_data=rows)
        Trainer(mine, given, train_dataset=rows, callbacks=[cb]).train()
        torch.save(mine.state_dict(), f"rank{rank}.pt")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    other = mp.get_context("fork").Process(target=train, args=(1, port))
    other.start()
    train(0, port)
    other.join(20)
    print("rank 1 left with", other.exitcode)
"""
)


@pytest.mark.conformance("CB-41", "CB-52")
async def test_of_several_ranks_the_first_speaks_and_all_have_its_model(train):
    trained = await train(RANKS, interval=3)
    assert trained.exit.error is None, trained.exit.error
    assert "rank 1 left with 0" in trained.text, trained.text
    assert [sync.batches for sync in trained.syncs] == [0, 3, 6, 8]  # 2 epochs of 32 rows in batches of 2 times 4
    folder = trained.program.spec.directory
    first, second = (torch.load(folder / f"rank{rank}.pt") for rank in (0, 1))
    final = trained.layout.views(bytearray(trained.given[-1]))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(final[name].tobytes() == value.numpy().tobytes() for name, value in first.items())
