"""Real Hugging Face programs with `Trainer`, started cold and offline, beside a small node."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import torch

from swarm_lab.callback.messages import Release

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
    g = torch.Generator().manual_seed(int(os.environ["SEED"]))
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
    assert mark.startswith("frozen base model ") and layout == members[1].program.layout


WRONG = {
    "another model": (
        """
    other = BertForSequenceClassification(config)
    Trainer(other, arguments(), train_dataset=rows, callbacks=[SwarmCallback(model=model)]).train()
""",
        "SWL-601",
        "is not the model given to SwarmCallback",
    ),
    "no labels": (
        """
    bare = [{"input_ids": a} for a in x]
    Trainer(model, arguments(), train_dataset=rows, callbacks=[SwarmCallback(model=model, val_data=bare)]).train()
""",
        "SWL-609",
        "gave no loss",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_is_said(launch, case):
    source, code, says = WRONG[case]
    member = await launch(START + source, variables={"SEED": "1"})
    if code == "SWL-609":
        await member.program.hello(60)
        await member.program.welcome(interval=1)
        await member.program.parked()
        await member.program.release(Release(model=True, interval=1), bytearray(member.program.layout.nbytes))
    failed = (await member.program.exit()).failed
    assert failed.code == code and says in failed.message
