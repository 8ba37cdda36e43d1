"""What a sync costs a PyTorch model on a device: copies into and out of the shared memory, optimizer state, losses.

    python tests/bench/device_copies.py [cuda|cpu]

One JSON object a line, in milliseconds unless it says otherwise: the first call, which meets fresh pages, and the
median and the extremes of the next. `registered` is the same with the shared memory registered with the driver
(pinned), which the callback does not do; `queued` lets all copies run before it waits.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from swarm_lab import SwarmCallback
from swarm_lab.callback.link import Segment as ProgramSegment
from swarm_lab.callback.messages import HEADER, PROTOCOL, Welcome
from swarm_lab.callback.torch import TorchModel
from swarm_lab.callback.torch_state import TorchState
from swarm_lab.nodes.segment import Segment as NodeSegment
from swarm_lab.rounds.layout import Layout, TensorSpec

# Parameters and tensors: as in the other benches, and cut as finely as large networks are.
MODELS = ((1_000_000, 20), (10_000_000, 20), (50_000_000, 20), (1_000_000, 400), (50_000_000, 400))
ADAM = (10_000_000, 50_000_000)
NETWORKS = ((256, 8, 256), (2048, 8, 2048))  # width, layers, batch
STEPS = 200


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(call: Callable[[], object], times: int = 8) -> dict[str, float]:
    found = []
    for _ in range(times):
        wait()
        begun = time.perf_counter()
        call()
        wait()
        found.append((time.perf_counter() - begun) * 1000)
    first, *rest = (round(one, 2) for one in found)
    return {"first": first, "median": round(statistics.median(rest), 2), "least": min(rest), "most": max(rest)}


def model_of(count: int, tensors: int, device: str) -> nn.Module:
    model = nn.Module()
    for i in range(tensors):
        model.register_parameter(f"w{i:03d}", nn.Parameter(torch.randn(count // tensors, device=device)))
    return model


def copies(count: int, tensors: int, device: str) -> dict[str, object]:
    """Through the callback's own functions, into the memory that a real node would give."""
    module = model_of(count, tensors, device)
    model = TorchModel(module, None)
    layout = Layout(tuple(TensorSpec(spec.name, spec.dtype, spec.shape) for spec in model.layout()))
    node = NodeSegment(layout.nbytes)
    offsets = tuple(layout.offsets[spec.name] for spec in model.specs)
    mine = ProgramSegment(os.dup(node.descriptor), model.specs, Welcome(PROTOCOL, 1, node.size, offsets, None, {}, {}))
    node.merged[:] = bytes(len(node.merged))

    def both() -> dict[str, object]:
        return {
            "store": timed(lambda: model.store(mine.contribution)),
            "load": timed(lambda: model.load(mine.merged)),
        }

    found: dict[str, object] = {"device": device, "parameters": count, "tensors": tensors, **both()}
    if device == "cuda":
        address = ctypes.addressof(ctypes.c_char.from_buffer(mine._map))
        begun = time.perf_counter()
        failed = int(torch.cuda.cudart().cudaHostRegister(address, HEADER + 2 * node.size, 0))
        found["register"] = {"ms": round((time.perf_counter() - begun) * 1000, 1), "error": failed}
        if not failed:
            found["registered"] = both() | {"queued": timed(lambda: queued(module, mine.contribution))}
            torch.cuda.cudart().cudaHostUnregister(address)
    node.close()
    return found


def queued(module: nn.Module, views: list[memoryview]) -> None:
    with torch.no_grad():
        for view, tensor in zip(views, module.parameters(), strict=True):
            torch.frombuffer(view, dtype=tensor.dtype).copy_(tensor, non_blocking=True)


def adam(count: int, device: str) -> dict[str, object]:
    """What is copied at a sync for a restart, and put back after one."""
    module = model_of(count, 20, device)
    optimizer = torch.optim.Adam(module.parameters())
    for parameter in module.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    state = TorchState.of(optimizer, None)
    kept = state.read()
    return {
        "device": device,
        "adam of": count,
        "read": timed(state.read, 4),
        "write": timed(lambda: state.write(*kept), 3),
    }


def losses(width: int, layers: int, batch: int, device: str) -> dict[str, object]:
    """Microseconds of a training step without the callback, with it, and with a loss that lies on the device."""
    parts = [part for _ in range(layers) for part in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*parts).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    x = torch.randn(batch, width, device=device)
    callback = SwarmCallback(model=model, logger=logging.getLogger("quiet"), total_epochs=1)
    callback.on_train_begin()

    def step_us(after: Callable[[torch.Tensor], None], steps: int = STEPS) -> float:
        wait()
        begun = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            after(loss)
        wait()
        return round((time.perf_counter() - begun) / steps * 1e6, 1)

    step_us(lambda loss: None, STEPS // 10)
    ways: dict[str, Callable[[torch.Tensor], None]] = {
        "alone": lambda loss: None,
        "on_batch_end()": lambda loss: callback.on_batch_end(),
        "on_batch_end(loss=loss)": lambda loss: callback.on_batch_end(loss=loss),
    }
    found = {name: [step_us(way) for _ in range(3)] for name, way in ways.items()}
    return {"device": device, "width": width, "layers": layers, "batch": batch, "us a step": found}


def main(devices: list[str]) -> None:
    logging.getLogger("quiet").setLevel(logging.CRITICAL)
    os.environ["SWARM_LOOPBACK"] = "true"
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    print(json.dumps({"card": card, "torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for device in devices:
        for count, tensors in MODELS:
            print(json.dumps(copies(count, tensors, device)), flush=True)
        for count in ADAM:
            print(json.dumps(adam(count, device)), flush=True)
        for width, layers, batch in NETWORKS if device != "cpu" else NETWORKS[:1]:
            print(json.dumps(losses(width, layers, batch, device)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or (["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]))
