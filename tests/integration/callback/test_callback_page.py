"""The programs of docs/callback.md run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "callback.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BEFORE = """
import torch
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
criterion = torch.nn.CrossEntropyLoss()
data = torch.utils.data.TensorDataset(torch.randn(8, 4), torch.zeros(8, dtype=torch.long))
train = loader = torch.utils.data.DataLoader(data, 4)
"""
AFTER = """
import numpy as np
class Model:
    weights = np.zeros(3)
    def loss(self, data): return 0.5
callback = MyCallback(model=Model(), val_data=(1, 2))
for epoch in callback.epochs(2):
    callback.on_batch_end()
callback.on_train_end()
print("both done", callback._session.epochs)
"""


def test_both_programs_run(tmp_path, need):
    need("python:torch")
    own = next(block for block in BLOCKS if "ArraysCallback" in block)
    program = tmp_path / "program.py"
    program.write_text(BEFORE + BLOCKS[0] + own + AFTER)
    done = subprocess.run(
        [sys.executable, str(program)], check=False, capture_output=True, text=True, timeout=100,
        env={**os.environ, "SWARM_LOOPBACK": "true"},
    )  # fmt: skip
    assert done.returncode == 0 and "both done 2" in done.stdout, done.stderr[-3000:]
