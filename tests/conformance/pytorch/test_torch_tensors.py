"""Each kind of tensor goes through the real link and back, bit by bit."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from support.torch_node import Trained, random_bits

from swarm_lab.rounds.model_file import write_model

PROGRAM = """
torch.manual_seed(3)
class Holder(nn.Module):
    def __init__(self, **tensors):
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)
    def forward(self, x): return x
given = {}
exec(open("make.py").read())
inner = inner if "inner" in dir() else model
if "start" not in dir(): inner.eval()
modes = [m.training for m in inner.modules()]
grads = [p.requires_grad for p in inner.parameters()]
places = [t.data_ptr() for t in inner.state_dict().values()]
cb = SwarmCallback(model=model, **given)
before = bits(inner.state_dict())
cb.on_train_begin()
begun = bits(inner.state_dict())
cb.on_batch_end()
cb.on_train_end()
keep(before=before, begun=begun, final=bits(inner.state_dict()),
     same=[modes == [m.training for m in inner.modules()], grads == [p.requires_grad for p in inner.parameters()],
           places == [t.data_ptr() for t in inner.state_dict().values()]])
"""
# What makes the model, and the names and dtypes that travel.
CASES = {
    "batch norm counter": (
        "model = nn.Sequential(nn.BatchNorm1d(3)); model(torch.randn(4, 3))",
        "0.weight F32 0.bias F32 0.running_mean F32 0.running_var F32 0.num_batches_tracked I64",
    ),
    "integers": (
        "model = Holder(a=torch.tensor([2**53 + 1, -(2**62)]), b=torch.tensor([[2**24 + 1]], dtype=torch.int32), "
        "c=torch.tensor([-3], dtype=torch.int16), d=torch.tensor([-128], dtype=torch.int8))",
        "a I64 b I32 c I16 d I8",
    ),
    "unsigned": (
        "model = Holder(**{f'u{n}': torch.tensor([1, 2**n - 1] if n < 64 else [1, 2], "
        "dtype=getattr(torch, f'uint{n}')) for n in (8, 16, 32, 64)})",
        "u8 U8 u16 U16 u32 U32 u64 U64",
    ),
    "booleans": ("model = Holder(mask=torch.rand(7, 3) > 0.5, flag=torch.tensor(True))", "mask BOOL flag BOOL"),
    "bfloat16": ("model = nn.Linear(5, 3).to(torch.bfloat16)", "weight BF16 bias BF16"),
    "half": ("model = nn.Linear(5, 3).half()", "weight F16 bias F16"),
    "double": ("model = nn.Linear(5, 3).double()", "weight F64 bias F64"),
    "mixed": (
        "model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).to(torch.bfloat16), nn.Linear(2, 2).double())",
        "0.weight F32 0.bias F32 1.weight BF16 1.bias BF16 2.weight F64 2.bias F64",
    ),
    "scalars": (
        "model = Holder(n=torch.tensor(7)); model.s = nn.Parameter(torch.tensor(0.1).double())",
        "s F64 n I64",
    ),
    "empty": ("model = Holder(none=torch.zeros(0, 3), one=torch.ones(1))", "none F32 one F32"),
    "only empty": ("model = Holder(none=torch.zeros(0, 3))", "none F32"),
    "turned": ("model = nn.Module(); model.w = nn.Parameter(torch.randn(4, 6, 2).permute(2, 0, 1))", "w F32"),
    "strided": ("model = Holder(w=torch.randn(8, 6)[::2, 1::3], h=torch.randn(9).half()[::4])", "w F32 h F16"),
    "channels last": ("model = nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last)", "weight F32 bias F32"),
    "frozen": (
        "model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)); model[0].requires_grad_(False)",
        "0.weight F32 0.bias F32 1.weight F32 1.bias F32",
    ),
    "local buffers": (
        "model = nn.Linear(2, 1); model.register_buffer('cache', torch.ones(3), persistent=False)",
        "weight F32 bias F32",
    ),
    "parametrized": (
        "model = torch.nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))",
        "bias F32 parametrizations.weight.original F32 parametrizations.weight.0.base F32",
    ),
    "weight norm": (
        "model = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))",
        "bias F32 parametrizations.weight.original0 F32 parametrizations.weight.original1 F32",
    ),
    "modes that differ": (
        "start = True; model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2)); model[1].eval()",
        "0.weight F32 0.bias F32 2.weight F32 2.bias F32",
    ),
    "data parallel": (
        "inner = nn.Sequential(nn.Linear(2, 2)); model = nn.DataParallel(inner)",
        "0.weight F32 0.bias F32",
    ),
    "compiled": ("inner = nn.Sequential(nn.Linear(2, 2)); model = torch.compile(inner)", "0.weight F32 0.bias F32"),
    "compiled within parallel within compiled": (
        "inner = nn.Sequential(nn.Linear(2, 2)); model = torch.compile(nn.DataParallel(torch.compile(inner)))",
        "0.weight F32 0.bias F32",
    ),
    "names that look like wrappers": (
        "model = nn.Module(); model.module = nn.Linear(1, 1); model.module._orig_mod = nn.Linear(1, 1)",
        "module.weight F32 module.bias F32 module._orig_mod.weight F32 module._orig_mod.bias F32",
    ),
}  # fmt: skip


@pytest.fixture
def through(train, tmp_path):
    """through(make, program) -> Trained: random bits come back at begin, other ones at the end."""

    async def run(make: str, program: str = PROGRAM) -> Trained:
        source = program.replace('exec(open("make.py").read())', make)
        trained = await train(source, lambda round_, layout, _: random_bits(layout, round_), interval=5)
        assert trained.exit.error is None, trained.text
        return trained

    return run


def seen(kept: dict) -> dict[str, bytes]:
    return {name: bytes(raw.numpy()) for name, (_, _, raw) in kept.items()}


@pytest.mark.conformance("CB-60", "CB-73", "CB-74", "CB-80", "CB-81", "CB-82", "CB-90")
@pytest.mark.parametrize("case", CASES)
async def test_a_tensor_crosses_bit_by_bit(through, case):
    make, names = CASES[case]
    trained = await through(make)
    words = names.split()
    assert {spec.name: spec.dtype for spec in trained.layout.specs} == dict(zip(words[::2], words[1::2], strict=True))
    kept = trained.kept
    contributed = [trained.bits(buffer) for buffer in trained.contributions]
    given = [trained.bits(buffer) for buffer in trained.given]
    assert contributed[0] == seen(kept["before"])
    assert contributed[1] == given[0] == seen(kept["begun"])
    assert given[1] == seen(kept["final"])
    shapes = {name: shape for name, (_, shape, _) in kept["before"].items()}
    assert {spec.name: list(spec.shape) for spec in trained.layout.specs} == shapes
    assert kept["same"] == [True, True, True]


@pytest.mark.conformance("CB-73")
async def test_a_compiled_part_of_the_model_shows_nowhere(through):
    """Inside, where `state_dict` of the user's own model has the prefix itself: names are those of a plain node."""
    make = "model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1)))"
    plain = await through(make)
    both = "; model[0] = torch.compile(model[0]); model[1][0] = nn.DataParallel(torch.compile(model[1][0]))"
    wrapped = await through(make + both)
    assert wrapped.layout == plain.layout
    assert list(wrapped.kept["before"])[-1] == "1.0.module._orig_mod.bias"
    assert list(wrapped.bits(wrapped.contributions[1]).values()) == list(plain.bits(plain.contributions[1]).values())


TIED = """
model = nn.Module()
model.embed = nn.Embedding(5, 3); model.head = nn.Linear(3, 5, bias=False); model.head.weight = model.embed.weight
model.register_buffer("mask", torch.tensor([True, False]).expand(4, 2))
given = {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}
"""


async def test_tied_weights_have_all_names_and_stay_tied(train, tmp_path):
    """What the node holds fits `load_state_dict(strict=True)`, with the tie as it was."""
    ends = """
    keep(one=model.head.weight is model.embed.weight, parameters=len(list(model.parameters())))
    """
    seen_by_node = await train(
        PROGRAM.replace('exec(open("make.py").read())', TIED) + ends.replace("    ", ""),
        lambda round_, layout, contribution: contribution,
    )
    assert seen_by_node.exit.error is None, seen_by_node.text
    model = seen_by_node.bits(seen_by_node.contributions[0])
    assert set(model) == {"embed.weight", "head.weight", "mask"} and model["embed.weight"] == model["head.weight"]
    assert model["mask"] == bytes([1, 0] * 4)
    assert seen_by_node.kept["one"] and seen_by_node.kept["parameters"] == 1
    write_model(tmp_path / "model.safetensors", seen_by_node.layout, seen_by_node.contributions[0], {})
    tied = torch.nn.ModuleDict({"embed": torch.nn.Embedding(5, 3), "head": torch.nn.Linear(3, 5, bias=False)})
    tied["head"].weight = tied["embed"].weight
    tied.register_buffer("mask", torch.zeros(4, 2, dtype=torch.bool))
    tied.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    assert tied["embed"].weight.detach().numpy().tobytes() == model["embed.weight"]


async def test_a_tie_that_other_nodes_do_not_have_is_an_error(train):
    trained = await train(
        PROGRAM.replace('exec(open("make.py").read())', TIED), lambda round_, layout, _: random_bits(layout, round_)
    )
    assert "embed.weight and head.weight are one tensor here and two on another node" in trained.exit.error.message


LORA = """
class Adapted(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base, self.a, self.b = base, nn.Linear(4, 1, bias=False), nn.Linear(1, 4, bias=False)
        base.requires_grad_(False); nn.init.zeros_(self.b.weight)
    def forward(self, x): return self.base(x) + self.b(self.a(x))
model = nn.Sequential(Adapted(nn.Linear(4, 4)), nn.BatchNorm1d(4, affine=False), Adapted(nn.Linear(4, 4)))
given = {"parameters": "trainable"}
"""


async def test_trainable_parameters_alone_travel(through):
    trained = await through(LORA)
    *names, mark = sorted(spec.name for spec in trained.layout.specs)
    assert names == ["0.a.weight", "0.b.weight", "2.a.weight", "2.b.weight"]
    assert mark.startswith("frozen parameters ") and trained.layout.specs[-1].shape == (0,)
    before, final = seen(trained.kept["before"]), seen(trained.kept["final"])
    given = trained.bits(trained.given[1])
    assert given.pop(mark) == b"" and {name: final[name] for name in given} == given
    assert {name: before[name] for name in before if name not in given} == {
        name: final[name] for name in final if name not in given
    }


async def test_other_frozen_parameters_are_another_layout(train):
    """What was trained on top of one base means nothing on another: nodes find out before they merge."""
    begin = PROGRAM[: PROGRAM.index("begun = bits")].replace('exec(open("make.py").read())', LORA)
    seeds = [(await train(begin.replace("manual_seed(3)", f"manual_seed({seed})"))).layout for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert "'frozen parameters " in seeds[0].difference(seeds[2])


GROUP = (
    "import torch.distributed as dist; "
    "dist.init_process_group('gloo', init_method='file://' + os.path.abspath('meet'), rank=0, world_size=1)"
)
REFUSED = {
    "complex": ("model = Holder(c=torch.zeros(2, dtype=torch.complex64))", "c has the dtype torch.complex64"),
    "float8": ("model = Holder(f=torch.zeros(2, dtype=torch.float8_e4m3fn))", "f has the dtype torch.float8_e4m3fn"),
    "sparse": (
        "model = Holder(s=torch.eye(3).to_sparse())",
        "s is no dense tensor with values (torch.sparse_coo",
    ),
    "quantized": (
        "model = Holder(q=torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8))",
        "q is no dense tensor with values (it is quantized)",
    ),
    "nested": (
        "model = Holder(n=torch.nested.nested_tensor([torch.ones(1), torch.ones(2)], layout=torch.jagged))",
        "n is a NestedTensor, which is not in one piece",
    ),
    "sharded": (
        f"{GROUP}; from torch.distributed.fsdp import FullyShardedDataParallel as FSDP; "
        "model = FSDP(nn.Linear(2, 2), device_id=torch.device('cpu'))",
        "the model is cut over ranks by FullyShardedDataParallel",
    ),
    "fully sharded": (
        f"{GROUP}; from torch.distributed.fsdp import fully_shard; from torch.distributed import init_device_mesh; "
        "model = fully_shard(nn.Linear(2, 2), mesh=init_device_mesh('cpu', (1,)))",
        "weight is a DTensor, which is not in one piece on this process",
    ),
    "meta": ("model = nn.Linear(2, 2, device='meta')", "weight is no dense tensor with values (torch.strided on meta)"),
    "lazy": ("model = nn.LazyLinear(3)", "weight has no shape yet"),
    "nothing": ("model = nn.ReLU()", "the model has no parameters and no buffers"),
    "nothing to train": (
        "model = nn.Linear(2, 2).requires_grad_(False); given = {'parameters': 'trainable'}",
        "the model has no parameters of the kind that is to travel",
    ),
    "made by a hook": (
        "model = nn.Linear(2, 2); model.register_state_dict_post_hook("
        "lambda module, state, prefix, local: state.update(ema=torch.ones(2)))",
        "ema is made by state_dict() and is no parameter or buffer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_travel_is_refused_by_its_name(train, case):
    make, says = REFUSED[case]
    holder = PROGRAM[PROGRAM.index("class Holder") : PROGRAM.index("exec(")]
    trained = await train(f"{holder}\n{make}\nSwarmCallback(model=model, **given).on_train_begin()", hello=False)
    assert f"ModelError: SWL-607: {says}" in trained.exit.error.message


CHANGED = {
    "shape": ("model.weight = nn.Parameter(torch.zeros(1, 3))", "weight was F32 [1, 2] and is now F32 [1, 3]"),
    "dtype": ("model.double()", "weight was F32 [1, 2] and is now F64 [1, 2]"),
    "new": ("model.extra = nn.Parameter(torch.zeros(1))", "extra is new in the model"),
    "gone": ("model.bias = None", "bias is no longer in the model"),
    "sparse": ("model.weight = nn.Parameter(model.weight.detach().to_sparse())", "weight is no dense tensor"),
}


@pytest.mark.parametrize("case", CHANGED)
async def test_a_model_that_changed_between_syncs_is_named(train, case):
    change, says = CHANGED[case]
    source = f"""
    model = nn.Linear(2, 1)
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    {change}
    cb.on_batch_end(); cb.on_batch_end()
    """
    trained = await train(source)
    assert says in trained.exit.error.message
    assert [sync.reason for sync in trained.syncs] == ["begin"]


async def test_a_changed_place_of_a_tensor_is_no_change(train):
    """The same names, shapes and dtypes in other memory: a module that was replaced, or moved, goes on."""
    source = """
    model = nn.Sequential(nn.Linear(2, 1))
    cb = SwarmCallback(model=model)
    cb.on_train_begin()
    model[0] = nn.Linear(2, 1)
    cb.on_batch_end(); cb.on_batch_end(); cb.on_train_end()
    keep(final=bits(model.state_dict()))
    """
    trained = await train(source, lambda round_, layout, _: random_bits(layout, round_))
    assert trained.exit.error is None
    assert trained.bits(trained.given[-1]) == seen(trained.kept["final"])
