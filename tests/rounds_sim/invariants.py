"""Section 13 of the round's rules, watched from outside: what the machines may never do, whatever the weather."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rounds_sim.peer import Peer, Violation
from rounds_sim.registry import root, weighted_mean

from swarm_lab.rounds import checks
from swarm_lab.rounds import events as e
from swarm_lab.rounds.messages import GENESIS, Digest, NodeId, Participant, PlanMessage, Result

if TYPE_CHECKING:
    from rounds_sim.world import World


class Invariants:
    """Numbers are those of section 13."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.committed: dict[int, int] = {}
        """Batch -> round that has its effect."""
        self.contributed: set[tuple[NodeId, Digest]] = set()
        self.models: dict[Digest, Digest] = {GENESIS: ""}
        self.commit_times: list[float] = []
        self.forged: dict[tuple[NodeId, Digest], tuple[int, ...]] = {}

    # --- 1, 2, 4, 5 -----------------------------------------------------------------------------------------

    def on_view(self, old: e.LedgerView, new: e.LedgerView) -> None:
        if new.results[: len(old.results)] != old.results:
            raise Violation("1: the final chain changed")
        for result in new.results[len(old.results) :]:
            self.world.log("FINAL round", result.round, [n[-2:] for n in result.nodes()], "END" if result.end else "")
            self._check(result)
            self.commit_times.append(self.world.now)

    def _check(self, result: Result) -> None:
        world = self.world
        if len(result.participants) < world.setup.min_peers:
            raise Violation("2: committed with too few contributions")
        base = self.models[result.prev]
        parts = [(p.weight, self._contribution(p, result, base)) for p in result.participants]
        if not any(w for w, _ in parts):
            parts = [(1, v) for _, v in parts] if not base else [(1, world.tensors[base])]
        merged = weighted_mean(parts)
        if world.wrong_merges:
            merged = world.tensors[result.model]
        if root(merged) != result.model:
            raise Violation(f"2: round {result.round} is not the merge of its contributions")
        world.tensors[result.model] = merged
        self.models[world.registry.result_id(result)] = result.model
        disks = [m.root for p in world.peers.values() for m, _ in p.disk.values()]
        if disks.count(result.model) < world.setup.min_peers and not world.setup.wipes and not world.hostile:
            raise Violation(f"5: round {result.round} is committed and on {disks.count(result.model)} disks")

    def _contribution(self, p: Participant, result: Result, base: Digest) -> tuple[int, ...]:
        peer = self.world.peers[p.node]
        known = peer.contributions.get(p.root)
        hostile = p.node in self.world.hostile
        if known is None:
            if (p.node, p.root) in self.forged:
                return self.forged[p.node, p.root]
            if p.root == base or (result.round == 1 and p.root in self.world.tensors):
                return self.world.tensors[p.root]
            raise Violation(f"2: round {result.round} lists an unknown contribution of {p.node}")
        again = p.done and (p.node, p.root) in self.contributed
        if p.root != base and not hostile and not again:
            if known.base not in (base, p.root) and not p.done:
                raise Violation(f"3: contribution of {p.node} to round {result.round} started from another base")
            for batch in known.batches:
                if batch in self.committed:
                    raise Violation(f"4: batch {batch} is in rounds {self.committed[batch]} and {result.round}")
                self.committed[batch] = result.round
        self.contributed.add((p.node, p.root))
        return known.vector

    # --- 3 ------------------------------------------------------------------------------------------------

    def before_batch(self, peer: Peer) -> None:
        if peer.me in self.world.hostile:
            return
        desk = peer.machine.desk
        base, results = desk.state.base, desk.view.results
        if base.round and len(results) >= base.round and results[base.round - 1] != base.result:
            raise Violation(f"3: {peer.me} trains on a model that it knows to be rejected")
        due = base.result.next if base.result else self.world.setup.sync
        if peer.trainer.interval != due:
            raise Violation(f"{peer.me} trains an interval of {peer.trainer.interval} batches where {due} are due")

    # --- 9 ------------------------------------------------------------------------------------------------

    def on_action(self, peer: Peer, action: e.Action) -> None:
        if isinstance(action, e.Send) and isinstance(action.message, PlanMessage) and peer.me not in self.world.hostile:
            missing = checks.unexplained(peer.machine.desk.view, action.message)
            if missing:
                raise Violation(f"9: {missing} is left out without a reason")
        if isinstance(action, e.Notice) and action.kind == "waiting" and not action.text:
            raise Violation("8: a wait without a name")

    # --- 6, 4 at the end ----------------------------------------------------------------------------------

    def at_the_end(self) -> None:
        world = self.world
        for node, why in world.newest.removed.items():
            if node not in world.hostile:
                raise Violation(f"9: honest {node} was removed: {why}")
        if not world.newest.results or not world.newest.results[-1].end:
            raise Violation("6: no end")
        model = world.newest.results[-1].model
        for peer in world.honest():
            if peer.failed:
                continue
            if root(peer.trainer.x) != model or peer.finished is None:
                raise Violation(f"6: {peer.me} ends with another model")
            self._nothing_dropped(peer)

    def _nothing_dropped(self, peer: Peer) -> None:
        """A node that never crashed and stands in the last round: each batch is in a round, or was reported as lost."""
        setup, last = self.world.setup, self.world.newest.results[-1]
        counted = setup.modes[peer.number] != "inactive" and peer.me in last.nodes() and not peer.crashes
        if not counted or peer.me in self.world.hostile:
            return
        reported = sum(int(n.fields["count"]) for n in peer.notices if n.kind == "lost_batches")
        mine = {b for c in peer.contributions.values() for b in c.batches} | peer.trainer.lost
        dropped = mine - self.committed.keys()
        if setup.end_rule == "all" and len(dropped) > reported:
            raise Violation(f"4: {len(dropped)} batches of {peer.me} are in no round, {reported} reported as lost")
