"""The contracts, called through the client on a real chain: what they accept, and each thing they refuse."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from swarm_lab.errors import LedgerRefused, PlatformMixed, TermsDiffer
from swarm_lab.ledger.records import Perf, Terms
from swarm_lab.ledger.signing import Domain, LedgerKey, result_id, sign_enrolment, training_key
from swarm_lab.rounds.messages import Certificate, CheckIn, SignedCheckIn, Vote

STRANGER = LedgerKey(b"\x77" * 32)


async def refused(call: Awaitable[Any], error: str) -> LedgerRefused:
    with pytest.raises(LedgerRefused) as caught:
        await call
    assert caught.value.error == error, caught.value
    return caught.value


async def test_rounds_are_committed_and_seen(lab: Any) -> None:
    training = await lab.training()
    ids = await lab.commit_rounds(training, 3)
    view = await lab.learners[0].view(training)
    assert [lab.learners[0].verifier.result_id(r) for r in view.results] == ids
    assert view.included == frozenset(ids)
    assert view.rosters == (frozenset(), *[frozenset(a.account for a in lab.learners)] * 3)
    assert all(member.incarnation == 1 and member.nonce == "first" for member in view.members.values())
    committed = await lab.operator.committed(training)
    assert [r.result_id for r in committed] == ids
    assert committed[0].certificate == lab.certificate(lab.result(training))
    assert (await lab.operator.receipt(committed[0].tx)).gas_used > 21000


async def test_a_commit_twice_is_no_error_and_another_result_is(lab: Any) -> None:
    training = await lab.training()
    certificate = lab.certificate(lab.result(training))
    await lab.learners[0].commit(certificate)
    await lab.learners[1].commit(certificate)
    other = lab.certificate(lab.result(training, model="55" * 32))
    await refused(lab.learners[1].commit(other), "RoundTaken")
    assert len((await lab.learners[2].view(training)).results) == 1


async def test_a_single_node_cannot_commit_a_lie(lab: Any) -> None:
    training = await lab.training()
    result = lab.result(training)
    liar = lab.learners[0]
    own = liar.signer.sign_result(result)
    forged = Certificate(result, tuple(Vote(ledger.account, own) for ledger in lab.learners))
    caught = await refused(liar.commit(forged), "ForgedVote")
    assert "sl-" in caught.message
    twice = Certificate(result, tuple(Vote(liar.account, own) for _ in range(3)))
    await refused(liar.commit(twice), "VoteNotCounted")
    votes = tuple(Vote(STRANGER.address, STRANGER.sign(b"1" * 32).hex()) for _ in range(3))
    await refused(liar.commit(Certificate(result, votes)), "VoteNotCounted")
    await refused(liar.commit(lab.certificate(result, voters=2)), "TooFewVotes")
    junk = Certificate(result, tuple(Vote(ledger.account, "00" * 65) for ledger in lab.learners))
    await refused(liar.commit(junk), "ECDSAInvalidSignature")
    signed_other = lab.certificate(lab.result(training, next=99))
    await refused(liar.commit(Certificate(result, signed_other.votes)), "ForgedVote")


async def test_what_a_result_must_be(lab: Any) -> None:
    training = await lab.training()
    send = lab.learners[0].commit

    async def fails(error: str, **changes: Any) -> None:
        await refused(send(lab.certificate(lab.result(training, **changes))), error)

    good = lab.result(training).participants
    await fails("NotTheNextRound", round_=2)
    await fails("NotTheNextRound", round_=0)
    await fails("OtherHistory", prev="66" * 32)
    await fails("TooFewParticipants", participants=good[:1])
    await fails("NotAscending", participants=tuple(reversed(good)))
    await fails("NotAscending", participants=(good[0], good[0], good[1]))
    await fails("UnknownIncarnation", participants=(good[0], replace(good[1], incarnation=2)))
    await fails("UnknownIncarnation", participants=(good[0], replace(good[1], incarnation=0)))
    await fails("NoWeight", participants=tuple(replace(p, weight=0) for p in good))
    await fails("EndNotDue", end=True)
    stranger = replace(good[0], node=STRANGER.address)
    await fails("UnknownIncarnation", participants=tuple(sorted((*good, stranger))))
    unknown = replace(lab.result(training), training="77" * 32)
    await refused(send(lab.certificate(unknown)), "UnknownTraining")
    await send(lab.certificate(lab.result(training)))


async def test_the_end(lab: Any) -> None:
    training = await lab.training()
    (first,) = await lab.commit_rounds(training, 1)
    last = lab.result(training, 2, first, done=True, end=True)
    weightless = replace(last, participants=tuple(replace(p, weight=0) for p in last.participants))
    await lab.learners[0].commit(lab.certificate(weightless))
    assert (await lab.operator.info(training)).state == "finished"
    assert training not in [t.id for t in await lab.operator.queue()]
    third = lab.result(training, 3, result_id(weightless))
    await refused(lab.learners[0].commit(lab.certificate(third)), "TrainingEnded")


async def test_the_end_by_min_peers_is_exact(lab: Any) -> None:
    training = await lab.training(Terms("torch", 2, 16, "mean", "min_peers"))
    plain = lab.result(training).participants
    two_done = (replace(plain[0], done=True), replace(plain[1], done=True), *plain[2:])
    await refused(lab.learners[0].commit(lab.certificate(lab.result(training, participants=two_done))), "EndIsDue")
    one_done = two_done[:1] + plain[1:]
    early = lab.result(training, participants=one_done, end=True)
    await refused(lab.learners[0].commit(lab.certificate(early)), "EndNotDue")
    await lab.learners[0].commit(lab.certificate(lab.result(training, participants=two_done, end=True)))


async def test_restarts_and_leaving(lab: Any) -> None:
    training = await lab.training()
    node = lab.learners[0]
    await node.announce(training, "first")
    assert (await node.view(training)).members[node.account].incarnation == 1
    await node.announce(training, "second")
    assert (await node.view(training)).members[node.account].incarnation == 2
    await node.leave(training, "SWL-500")
    view = await node.view(training)
    assert view.left == {node.account: "SWL-500"}
    await node.announce(training, "third")
    assert (await node.view(training)).left == {}
    for ledger in lab.learners:
        await ledger.leave(training)
    assert (await lab.operator.info(training)).state == "stopped"


async def test_a_node_leaves_before_it_ever_announced_itself(lab: Any) -> None:
    training = await lab.training(announce=False)
    early, other = lab.learners[:2]
    await refused(lab.operator.leave(training, "SWL-601"), "NotAMember")
    await early.leave(training, "SWL-601")
    view = await other.view(training)
    assert view.left == {early.account: "SWL-601"} and view.members == {}
    await early.register(training, Terms("torch", 2, 16, "mean"))
    await early.announce(training, "after all")
    view = await other.view(training)
    assert view.left == {} and view.members[early.account].incarnation == 1
    for ledger in lab.learners:
        await ledger.leave(training, "SWL-601")
    assert (await lab.operator.info(training)).state == "failed"


async def test_all_failed_closes_the_training(lab: Any) -> None:
    training = await lab.training()
    for ledger in lab.learners:
        await ledger.leave(training, "SWL-601")
    info = await lab.operator.info(training)
    assert (info.state, info.reason) == ("failed", "all nodes have left")


async def test_removal_by_the_operator(lab: Any) -> None:
    training = await lab.training()
    gone = lab.learners[3]
    await refused(lab.learners[0].remove(training, gone.account, "no"), "NotAllowed")
    await lab.operator.remove(training, gone.account, "its site withdrew")
    await refused(lab.learners[0].commit(lab.certificate(lab.result(training))), "NodeRemoved")
    await refused(gone.announce(training, "again"), "NodeRemoved")
    result = lab.result(training, size=3)
    await lab.learners[0].commit(lab.certificate(result))
    view = await lab.learners[0].view(training)
    assert view.removed == {gone.account: "its site withdrew"}
    assert gone.account not in view.rosters[1]


async def test_two_check_ins_are_a_proof(lab: Any) -> None:
    training = await lab.training()
    cheat, witness = lab.learners[0], lab.learners[1]
    one = CheckIn(training_key(training), 1, "00" * 32, cheat.account, 1, 1, "aa" * 32, False)
    two = replace(one, root="bb" * 32)

    def signed(check_in: CheckIn, by: Any = cheat) -> SignedCheckIn:
        return SignedCheckIn(check_in, by.signer.sign_check_in(check_in))

    await refused(witness.report(signed(one), signed(one)), "NoContradiction")
    await refused(witness.report(signed(one), signed(replace(two, incarnation=2))), "NoContradiction")
    await refused(witness.report(signed(one), signed(replace(two, prev="01" * 32))), "NoContradiction")
    await refused(witness.report(signed(one), signed(two, by=witness)), "NotSignedBy")
    await witness.report(signed(one), signed(two))
    assert (await witness.view(training)).removed == {cheat.account: "two check-ins for one round"}


async def test_terms_are_fixed_by_the_first(lab: Any) -> None:
    training = await lab.training(announce=False)
    first, second = lab.learners[:2]
    assert (await first.info(training)).terms is None
    await refused(first.register(training, Terms("torch", 5, 16, "mean")), "BadTerms")
    await refused(first.announce(training, "x"), "NotRegistered")
    terms = Terms("torch", 2, 16, "mean")
    await first.register(training, terms)
    info = await lab.operator.info(training)
    assert (info.state, info.terms, info.fixed_by) == ("running", terms, first.account)
    with pytest.raises(TermsDiffer, match=r"min_peers is 3 on sl-\d and 2 on sl-\d"):
        await second.register(training, replace(terms, min_peers=3))
    with pytest.raises(TermsDiffer, match=r"merge_method is krum on sl-\d and mean on sl-\d"):
        await second.register(training, replace(terms, merge_method="krum"))
    with pytest.raises(TermsDiffer, match="model is bb on"):
        await second.register(training, replace(terms, model="bb"))
    with pytest.raises(TermsDiffer, match=r"use_adaptive_sync is true on sl-\d and false on"):
        await second.register(training, replace(terms, adaptive=True))
    with pytest.raises(TermsDiffer, match=r"early_stopping is 5 on sl-\d and 0 on"):
        await second.register(training, replace(terms, early_stopping=5))
    with pytest.raises(PlatformMixed, match=r"sl-\d comes with keras, but sl-\d registered first, with torch"):
        await second.register(training, replace(terms, platform="keras"))
    await second.register(training, terms)
    assert (await lab.operator.platform()) == "torch"


async def test_queue_in_order_and_closing(lab: Any) -> None:
    before = [t.id for t in await lab.learners[0].queue(lab.learners[0].account)]
    one, two = await lab.training(announce=False), await lab.training(announce=False)
    three = "t-alone"
    await lab.operator.create_training(three, "11" * 32, "22" * 32, Terms(), (lab.learners[1].account,))
    node = lab.learners[0]
    assert [t.id for t in await node.queue(node.account)] == [*before, one, two]
    await refused(node.register(three, Terms("torch", 1, 1, "mean")), "NotAssigned")
    await lab.operator.assign(three, node.account)
    assert [t.id for t in await node.queue(node.account)] == [*before, one, two, three]
    await refused(node.close_training(one, "stopped", ""), "NotAllowed")
    await lab.operator.close_training(one, "stopped", "not needed")
    assert [t.id for t in await node.queue(node.account)] == [*before, two, three]
    await refused(node.register(one, Terms("torch", 2, 16, "mean")), "TrainingOver")
    await refused(lab.operator.create_training(one, "11" * 32, "22" * 32, Terms(), ()), "AlreadyCreated")
    await refused(node.create_training("t-mine", "11" * 32, "22" * 32, Terms(), ()), "NotAllowed")
    assert (await lab.operator.training_ids())[-3:] == [one, two, three]


async def test_performance_of_each_node(lab: Any) -> None:
    training = await lab.training()
    node = lab.learners[0]
    await node.perf(training, Perf(3, loss=0.1, metric=0.97, steps=640, epoch=2, epochs=4))
    found = await lab.operator.perfs(training)
    assert found[node.account] == Perf(3, 0.1, 0.97, 640, 2, 4)
    assert found[lab.learners[1].account].loss != found[lab.learners[1].account].loss
    await refused(lab.operator.perf(training, Perf(1)), "NotRegistered")


async def test_reset_gives_a_fresh_training_that_old_certificates_do_not_fit(lab: Any) -> None:
    training = await lab.training()
    await refused(lab.operator.reset(training), "StillRunning")
    before = lab.certificate(lab.result(training, done=True, end=True))
    await lab.learners[0].commit(before)
    assert len((await lab.learners[1].view(training)).results) == 1
    await lab.operator.reset(training)
    assert (await lab.learners[1].view(training)).results == ()
    assert (await lab.operator.info(training)).state == "created"
    for ledger in lab.learners:
        await ledger.register(training, Terms("torch", 2, 16, "mean"))
        await ledger.announce(training, "first")
    await refused(lab.learners[0].commit(before), "UnknownIncarnation")
    new = replace(before.result, participants=tuple(replace(p, incarnation=2) for p in before.result.participants))
    await lab.learners[0].commit(lab.certificate(new))


async def test_what_failed_goes_on_after_its_head(lab: Any) -> None:
    training = await lab.training()
    ids = await lab.commit_rounds(training, 2)
    for ledger in lab.learners:
        await ledger.leave(training, "SWL-601")
    assert (await lab.operator.info(training)).state == "failed"
    later = await lab.training()
    await refused(lab.learners[0].resume(training), "NotAllowed")
    await lab.operator.resume(training)
    info = await lab.operator.info(training)
    assert (info.state, info.reason, info.terms.min_peers) == ("running", "", 2)
    queue = [t.id for t in await lab.learners[0].queue(lab.learners[0].account)]
    assert queue[-2:] == [later, training] and queue.count(training) == 1
    view = await lab.learners[0].view(training)
    assert view.left == {} and len(view.results) == 2
    again = lab.learners[:3]
    for ledger in again:
        await ledger.announce(training, "second")
    third = lab.result(training, 3, ids[-1], size=3)
    members = tuple(replace(p, incarnation=2) for p in third.participants)
    await again[0].commit(lab.certificate(replace(third, participants=members)))
    view = await lab.operator.view(training)
    assert len(view.results) == 3 and view.rosters[3] == frozenset(a.account for a in lab.learners)


async def test_what_has_ended_or_never_was_is_not_resumed(lab: Any) -> None:
    training = await lab.training()
    await refused(lab.operator.resume("t-nothing"), "UnknownTraining")
    await lab.operator.resume(training)  # it runs: nothing changes
    assert (await lab.operator.info(training)).state == "running"
    await lab.learners[0].commit(lab.certificate(lab.result(training, done=True, end=True)))
    caught = await refused(lab.operator.resume(training), "NothingToResume")
    assert "round 1 was the last" in caught.message
    assert (await lab.operator.info(training)).state == "finished"


async def test_who_failed_before_it_began_begins_after_all(lab: Any) -> None:
    training = await lab.training(announce=False)
    for ledger in lab.learners:
        await ledger.leave(training, "SWL-601")
    assert (await lab.operator.info(training)).state == "failed"
    await lab.operator.resume(training)
    assert (await lab.operator.info(training)).state == "created"
    for ledger in lab.learners:
        await ledger.register(training, Terms("torch", 2, 16, "mean"))
        await ledger.announce(training, "first")
    await lab.learners[0].leave(training, "SWL-601")
    assert (await lab.operator.info(training)).state == "running"
    await lab.operator.remove(training, lab.learners[1].account, "its site withdrew")
    await lab.operator.resume(training)
    view = await lab.operator.view(training)
    assert view.left == {} and view.removed.keys() == {lab.learners[1].account}
    await refused(lab.learners[1].announce(training, "again"), "NodeRemoved")


async def test_enrolment_needs_proof_and_role(lab: Any) -> None:
    domain = Domain(lab.contracts.chain_id, lab.contracts.enrolment)
    name = "spiffe://test.swarm/sl/sl-9"
    proof = sign_enrolment(STRANGER, domain, name, "sl")
    await refused(lab.operator.enrol(name, STRANGER.address, "sl", proof), "AccessControlUnauthorizedAccount")
    await refused(lab.sentinel.enrol(name, lab.operator.account, "sl", proof), "ProofNotByAccount")
    await refused(lab.sentinel.enrol(name, STRANGER.address, "swci", proof), "ProofNotByAccount")
    await refused(lab.sentinel.enrol(name, STRANGER.address, "boss", proof), "ProofNotByAccount")
    assert await lab.sentinel.enrol(name, STRANGER.address, "sl", proof) is not None
    assert await lab.sentinel.enrol(name, STRANGER.address, "sl", proof) is None
    other = "spiffe://test.swarm/sl/sl-10"
    await refused(
        lab.sentinel.enrol(other, STRANGER.address, "sl", sign_enrolment(STRANGER, domain, other, "sl")),
        "AccountOfAnother",
    )
    new = LedgerKey(b"\x78" * 32)
    await lab.sentinel.enrol(name, new.address, "sl", sign_enrolment(new, domain, name, "sl"))
    assert await lab.sentinel.kind_of(STRANGER.address) is None
    assert await lab.sentinel.account_of(name) == new.address


async def test_an_enrolled_sn_enrols_but_makes_no_sn(lab: Any) -> None:
    from swarm_lab.ledger.client import Ledger
    from swarm_lab.ledger.transport import HttpTransport

    domain = Domain(lab.contracts.chain_id, lab.contracts.enrolment)
    key, third = LedgerKey(b"\x79" * 32), LedgerKey(b"\x7a" * 32)
    name = "spiffe://test.swarm/sn/sn-2"
    await lab.sentinel.enrol(name, key.address, "sn", sign_enrolment(key, domain, name, "sn"))
    second = Ledger(HttpTransport(lab.chain.url), lab.contracts, key)
    learner, sn = "spiffe://test.swarm/sl/sl-11", "spiffe://test.swarm/sn/sn-3"
    await second.enrol(learner, third.address, "sl", sign_enrolment(third, domain, learner, "sl"))
    proof = sign_enrolment(STRANGER, domain, sn, "sn")
    with pytest.raises(LedgerRefused):
        await second.enrol(sn, STRANGER.address, "sn", proof)
    await second.close()
