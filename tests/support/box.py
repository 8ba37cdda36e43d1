"""A program of four numbers for tests of the callback: it starts in a fifth of a second and says what is done to it."""

from __future__ import annotations

import numpy as np
from support.small_node import Member

from swarm_lab.callback.messages import Release

LIMIT = 30.0
BOX = """
import os, sys, threading, time
import numpy as np
from swarm_lab.callback.errors import SwarmError
from swarm_lab.callback.hooks import ArraysCallback

class Box(ArraysCallback):
    name = "w"
    def take_model(self, arguments):
        self.w = np.full(4, float(os.environ.get("START", "0")), np.float32)
    def take_val_data(self, data, batch_size):
        self.data = data
    def save(self):
        return {self.name: self.w}
    def load(self, arrays):
        self.w = arrays["w"]
        print("load", self.w[0])
    def score(self):
        print("score", self.w[0])
        return float(self.w[0]), float(self.w[0]) / 2

def train(cb, steps, epochs=1):
    cb.on_train_begin()
    for epoch in range(epochs):
        for _ in range(steps):
            cb.w = cb.w + 1
            cb.on_batch_end()
            if cb.stop_training:
                break
        cb.on_epoch_end(epoch)
    cb.on_train_end()
    print("final", cb.w[0])
"""


def said(member: Member, word: str) -> list[str]:
    """The program's lines with this word."""
    return [text for _, text in member.lines if word in text]


async def drive(member: Member, *releases: Release, interval: int = 3, **welcome: object) -> None:
    """Answer the program's syncs with these; a release with a model brings its round's number in all four places."""
    await member.program.hello(LIMIT)
    await member.program.welcome(interval=interval, **welcome)
    for release in releases:
        member.syncs.append(await member.program.parked())
        member.model = bytes(member.program.contribution())
        model = np.full(4, release.round, np.float32).tobytes() if release.model else None
        await member.program.release(release, model)
    member.exit = await member.program.exit()


def syncs(member: Member) -> list[tuple[str, int]]:
    """Reason and batches of each sync."""
    return [(sync.reason, sync.batches) for sync in member.syncs]
