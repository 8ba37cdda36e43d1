"""Makes docs/conformance.md: what the existing product does, by ID, and which tests show that ours does it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What each ID is about, in a few words of ours.
IDS: dict[str, str] = {
    "CB-01": "A class `SwarmCallback` for Keras, one for PyTorch, one for Hugging Face",
    "CB-02": "Positional: sync frequency, peers, contract; everything else by name",
    "CB-03": "Unknown arguments",
    "CB-04": "The constructor checks, logs the parameters, opens the session",
    "CB-05": "`trainingContract=None`",
    "CB-06": "Failures are logged as errors and raised as `SwarmError`",
    "CB-07": "Old programs: `from swarm import SwarmCallback`, snake_case",
    "CB-08": "scikit-learn: estimators with `partial_fit`",
    "CB-10": "`syncFrequency`: what `int()` takes, above zero",
    "CB-11": "`minPeers`: what `int()` takes, above zero",
    "CB-12": "`trainingContract` and its default",
    "CB-13": "`useAdaptiveSync`",
    "CB-14": "`adsValData` judges merged models",
    "CB-15": "`adsValBatchSize`",
    "CB-16": "`checkinModelOnTrainEnd`: three words, case matters",
    "CB-17": "`nodeWeightage`: 1 to 100",
    "CB-18": "`mergeMethod`: three words, case does not matter",
    "CB-19": "`logger`, and the one that is made without it",
    "CB-20": "`totalEpochs`",
    "CB-21": "`hfMode` outside Hugging Face",
    "CB-22": "`ml_platform` and the documented `mlPlatform`",
    "CB-23": "No upper bound on peers",
    "CB-30": "Keras: `ml_platform`",
    "CB-31": "Graph mode of TensorFlow 1",
    "CB-32": "Keras: the model comes from Keras",
    "CB-33": "Keras: forms of `adsValData`; loss first, then metric",
    "CB-34": "PyTorch: `model` is needed",
    "CB-35": "PyTorch: `adsValData` is a `DataLoader` of pairs",
    "CB-36": "PyTorch: `lossFunction` names a class of `torch.nn`",
    "CB-37": "PyTorch: `lossFunctionArgs`; the loss is a mean over samples",
    "CB-38": "PyTorch: `metricFunction` names a class of `torchmetrics`",
    "CB-39": "PyTorch: `metricFunctionArgs`",
    "CB-40": "PyTorch: `ml_platform`",
    "CB-41": "Hugging Face: `model` is needed",
    "CB-42": "Hugging Face: `hfMode`, the whole model or adapters",
    "CB-43": "Hugging Face: loss and metric",
    "CB-44": "Hugging Face: `adsValData`",
    "CB-45": "Hugging Face: `ml_platform`",
    "CB-46": "Platforms as the node knows them",
    "CB-50": "`on_train_begin`: the first sync",
    "CB-51": "`on_batch_end` after each optimiser step",
    "CB-52": "Hugging Face: `on_step_end`, once an optimiser step",
    "CB-53": "`on_epoch_end`",
    "CB-54": "`on_train_end`",
    "CB-55": "`getLoss(mergedParams)`",
    "CB-56": "`.logger`",
    "CB-60": "All start from one model",
    "CB-61": "At which batches it syncs",
    "CB-62": "The node sets the next interval",
    "CB-63": "A sync holds the training loop",
    "CB-64": "The model that was judged is the one that training goes on with",
    "CB-65": "An epoch's end counts and does nothing else",
    "CB-66": "A training without a merge is told that it had none",
    "CB-67": "The end: a closing sync, and a wait for the peers",
    "CB-68": "A node that was too slow for the end",
    "CB-69": "The last line",
    "CB-70": "The swarm ends early",
    "CB-71": "`SWARM_LOOPBACK`",
    "CB-72": "Keras: names and order of weights",
    "CB-73": "PyTorch: the whole `state_dict`, as it is",
    "CB-74": "PyTorch: modes before and after judging",
    "CB-75": "Another framework: five methods",
    "CB-76": "One platform, program and set of parameters a swarm",
    "CB-77": "Nodes with and without a GPU in one swarm",
    "CB-80": "Defect there: integer buffers without a dimension break the load",
    "CB-81": "Defect there: bfloat16 cannot travel",
    "CB-82": "Defect there: integers and doubles come back as float32",
    "CB-83": "Defect there: adapters are sent and never loaded",
    "CB-84": "Defect there: with adapters the whole model travels",
    "CB-85": "Defect there: Hugging Face with validation data ends in an error",
    "CB-86": "Defect there: loss and metric do not follow the model to the GPU",
    "CB-87": "Defect there: noise in the log at DEBUG",
    "CB-88": "Defect there: two weights of one name are one",
    "CB-89": "Defect there: tensors whose names differ are left out in silence",
    "CB-90": "Defect there: a sync leaves the model in evaluation mode",
    "LC-40": "A finished node goes on with the weights that it ended with",
    "LC-41": "A finished node takes merged weights and gives them back",
    "LC-42": "A finished node goes on without a weight",
    "LC-43": "When the training is over, and what a slower node gets",
    "LC-44": "One final model on all nodes",
    "LC-50": "Merging by the weighted mean",
    "LC-51": "Merging by the weighted median of each coordinate",
    "LC-52": "Merging by the geometric median",
    "LC-60": "Weights of nodes in all methods",
    "LC-61": "Peers needed and peers assigned",
    "LC-62": "Several trainings beside each other",
    "LC-63": "A node that joins late starts from the merged model",
    "LC-70": "A node that comes back after it was away",
}
# In one sentence what several tests show, each a part; for all others the marks' own words stand.
DIFFERENT: dict[str, str] = {
    "CB-03": "an unknown argument is refused, with the nearest known name",
    "CB-61": "at calls N, 2N, 3N; with `SWARM_SYNC_CADENCE=hpe` at N+1, then after every N",
    "CB-68": "no node is too slow: all stop, and every one has the final model",
    "CB-70": "the loops of all frameworks stop, and all nodes end with one model",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One test that shows an ID."""

    id: str
    test: str
    different: str


def shown() -> list[Shown]:
    """Every test of the tree with the mark, read from the source."""
    found: list[Shown] = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text("utf-8")
        if "mark.conformance" in text:
            found += _of_file(path, ast.parse(text))
    return found


def page() -> str:
    """The page."""
    tests: dict[str, list[Shown]] = {}
    for one in shown():
        tests.setdefault(one.id, []).append(one)
    different = [id_ for id_ in sorted(tests) if any(one.different for one in tests[id_])]
    lines = [
        "# Conformance",
        "",
        "Made from the tests by `docs/make_pages.py`. Programs that were written for the existing product run here;",
        "this is what they rely on, and the tests that show it. A test carries the IDs as",
        '`@pytest.mark.conformance("CB-61")`; where ours differs on purpose, it says how.',
        "",
        f"{len(tests)} IDs shown, {len(tests) - len(different)} the same, {len(different)} deliberately different.",
        "",
        "| ID | What | Here | Tests |",
        "|---|---|---|---|",
    ]
    for id_ in sorted(tests):
        own = tests[id_]
        words = dict.fromkeys(one.different for one in own if one.different)
        how = words and DIFFERENT.get(id_, "; ".join(words))
        here = f"different: {how}" if how else "the same"
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(one.test for one in own))
        lines.append(f"| {id_} | {IDS.get(id_, '')} | {here} | {names} |")
    return "\n".join(lines) + "\n"


def _of_file(path: Path, tree: ast.Module) -> Iterator[Shown]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("mark.conformance"):
                words = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
                for id_ in mark.args:
                    test = f"{path.stem}::{node.name}"
                    yield Shown(ast.literal_eval(id_), test, words.get("different") or "")
