"""The machine's side of the ML program: what it was last given, whether it is over, and what it contributes."""

from __future__ import annotations

from swarm_lab.rounds.events import Load, Park, ProgramReady, StopProgram, SyncPoint, Train
from swarm_lab.rounds.messages import ABSENT, Digest, Phase, bits
from swarm_lab.rounds.state import Desk, Mark


class Program:
    """Decides each Load, Train, Park and StopProgram: section 7's four moves, seen from the program."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ready = False
        self.initial: Digest = ""
        self.loaded: Digest = ""
        """Root of the base that it trains from, once it took every Load so far."""
        self.root: Digest = ""
        """Its contribution at the last sync point that counted."""
        self.done = False
        self.owed = False
        """It is over, and its last interval has not entered a round yet."""
        self.snapshot: Digest = ""
        self.snapshot_base: Digest = ""
        self.stop = False
        self.since = 0.0
        """When the present interval started."""
        self.counted_from = 0
        """Batches that were done when its work last entered a round, or was lost."""
        self.merged = self.local = (ABSENT, ABSENT)
        """Loss and metric of the model that its last interval started from, and of what it trained from it."""
        self.steps = 0
        self.interval = 0
        """Batches of the interval that it was last told."""

    def on_ready(self, event: ProgramReady) -> None:
        """It is connected and parked."""
        self.ready = True
        self.initial = self.loaded = self.root = event.root
        self.desk.have.add(event.root)
        self.desk.state.batches = self.counted_from = event.batches
        self.desk.nbytes, self.desk.blocks = event.nbytes, event.blocks

    def on_sync_point(self, event: SyncPoint) -> bool:
        """Whether this is a contribution to the round that is open; if not, the driver gives another after the Load."""
        state = self.desk.state
        state.batches = max(state.batches, event.batches)
        counts = state.phase is Phase.TRAINING and event.base == self.loaded
        if counts:
            self.root = event.root
            self.desk.have.add(event.root)
            self.merged, self.steps = (bits(event.loss), bits(event.metric)), event.steps
            self.local = bits(event.local_loss), bits(event.local_metric)
        if event.done and not self.done:
            self.done, self.owed = True, counts
            if counts:
                self.snapshot, self.snapshot_base = event.root, event.base
        return counts

    def contribution(self) -> tuple[Digest, int]:
        """Root and weight of the check-in for the open round (train-end modes: section 8)."""
        rules = self.desk.rules
        if not self.done:
            return self.root, rules.weight
        weight = 0 if rules.train_end == "inactive" else rules.weight
        if self.owed and rules.train_end == "active":
            return self.root, weight
        if self.snapshot and rules.train_end == "snapshot":
            return self.snapshot, weight
        return self.desk.state.base.model or self.initial, weight

    def measured(self, root: Digest) -> dict[str, int]:
        """What a check-in with this contribution says of it. A program that is over measures no later model."""
        loss, metric = self.merged if self.loaded == self.desk.state.base.model else (ABSENT, ABSENT)
        local_loss, local_metric = self.local if root == self.root else (ABSENT, ABSENT)
        return {"loss": loss, "metric": metric, "local_loss": local_loss, "local_metric": local_metric}

    def roots(self) -> set[Digest]:
        """What it may still contribute."""
        return {self.root, self.snapshot, self.loaded} if self.ready else set()

    # --- the four moves -----------------------------------------------------------------------------------

    def adopt(self, root: Digest) -> None:
        """Its contribution is in the model: start from that."""
        self.owed = False
        self.counted_from = self.desk.state.batches
        if not self.done:
            self._load(Load("adopt", root, self.loaded), root)

    def rebase(self, root: Digest) -> None:
        """Its contribution is not in the model: carry the local work over to it."""
        if not self.done or (self.owed and self.desk.rules.train_end == "active"):
            self._load(Load("rebase", root, self.loaded), root)

    def reset(self, root: Digest) -> None:
        """It trained on a result that lost the race: that work is lost."""
        self.lose(self.counted_from)
        if self.snapshot_base == self.loaded:
            self.snapshot = ""
        self.owed = False
        if not self.done:
            self._load(Load("reset", root, self.loaded), root)

    def mark(self) -> Mark:
        """For a later *restore*."""
        batches = self.desk.state.batches
        return Mark(self.loaded, batches, self.counted_from, self.owed, self.snapshot, self.snapshot_base)

    def restore(self, contribution: Digest, mark: Mark) -> None:
        """The round must be made again: back to the contribution that was signed for it, and park."""
        if self.loaded != mark.loaded:
            self.lose(mark.batches)
            if self.snapshot_base == self.loaded:
                self.snapshot, self.snapshot_base = contribution, mark.loaded
            self._load(Load("restore", contribution, mark.loaded), mark.loaded)
            self.desk.act(Park())
        self.owed, self.counted_from = mark.owed, mark.counted_from
        self.root = contribution

    def finish(self, root: Digest) -> None:
        """The last model, for its user."""
        self.done, self.owed = True, False
        self._load(Load("adopt", root, self.loaded), root)

    def _load(self, load: Load, base: Digest) -> None:
        self.desk.act(load)
        self.loaded = self.root = base
        self.since = self.desk.now

    def lose(self, counted_from: int) -> None:
        """What was done since then is in no round, and will not be."""
        lost = self.desk.state.batches - counted_from
        self.counted_from = self.desk.state.batches
        if lost > 0:
            text = f"{lost} batches are in no round, and will not be"
            self.desk.notice("lost_batches", text, (self.desk.me,), count=lost)

    # --- running ------------------------------------------------------------------------------------------

    def go_on(self, keep_count: bool) -> bool:
        """Let it train, if there is anything to train or to wait for. Else False: the next check-in is due at once."""
        if self.done and not (self.owed and self.desk.rules.train_end == "active"):
            return False
        state = self.desk.state
        state.phase = Phase.TRAINING
        if self.stop and not self.done:
            self.desk.act(StopProgram())
        if not self.done:
            self.interval = self._interval()
            self.desk.act(Train(self.interval, keep_count))
        return True

    def _interval(self) -> int:
        result = self.desk.state.base.result
        return result.next if result else self.desk.rules.sync

    def keep_pace(self) -> None:
        """It trains on, on another base: its sync point comes when the interval of that one is full."""
        if not self.done and self.interval != self._interval():
            self.interval = self._interval()
            self.desk.act(Train(self.interval, keep_count=True))

    def request_stop(self) -> None:
        """End with the round that is open; a parked program ends when it would be released."""
        if not self.stop and not self.done and self.desk.state.phase is Phase.TRAINING:
            self.desk.act(StopProgram())
        self.stop = True

    def park(self) -> None:
        """It must not start another batch on its base."""
        if not self.done and self.desk.state.phase is Phase.TRAINING:
            self.desk.act(Park())
