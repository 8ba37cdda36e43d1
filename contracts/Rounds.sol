// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Enrolment, Kind} from "./Enrolment.sol";
import {EndRule, State, Trainings} from "./Trainings.sol";
import {CheckIn, Hashes, Participant, Result} from "./Hashes.sol";

/// @title The rounds of all trainings: who takes part, and one result a round, certified by its participants' votes.
/// @notice It checks votes against the enrolled keys and trusts no coordinator; the first valid commit of a round
/// wins. It depends on no block time, so that replayed transactions give the same state. Participants, votes, loss
/// and metric stand in the log of `Committed`, bound by the result id in storage.
contract Rounds is EIP712 {
    struct Member {
        uint64 incarnation;
        uint64 resetAt;
        bytes32 nonce;
        bool left;
        bool failed;
        bool removed;
        bool listed;
    }

    struct Committed_ {
        bytes32 id;
        bytes32 model;
        uint32 next;
        bool end;
    }

    struct Training {
        uint64 head;
        bytes32 headId;
        bool ended;
        address[] members;
    }

    Enrolment public immutable enrolment;
    Trainings public immutable trainings;

    mapping(bytes32 training => Training) private _trainings;
    mapping(bytes32 training => mapping(uint64 round => Committed_)) private _results;
    mapping(bytes32 training => mapping(address node => Member)) private _members;

    event Announced(bytes32 indexed training, address indexed node, uint64 incarnation, string nonce);
    event Left(bytes32 indexed training, address indexed node, string reason);
    event Removed(bytes32 indexed training, address indexed node, string reason, address by);
    event Committed(
        bytes32 indexed training, uint64 indexed round, bytes32 id, Result result, address[] voters, bytes[] votes
    );
    event Restarted(bytes32 indexed training, uint64 rounds);
    event Resumed(bytes32 indexed training, uint64 rounds, address by);

    error NotAllowed(address account, Kind kind);
    error NotRegistered(address node);
    error NotEnrolled(address node);
    error NotAMember(address node);
    error NodeRemoved(address node);
    error TrainingNotRunning(State state);
    error TrainingEnded(uint64 round);
    error NothingToResume(uint64 round);
    error RoundTaken(uint64 round, bytes32 id);
    error NotTheNextRound(uint64 head, uint64 round);
    error OtherHistory(bytes32 head, bytes32 prev);
    error TooFewParticipants(uint256 participants, uint256 minPeers);
    error NotAscending(address node);
    error UnknownIncarnation(address node, uint64 incarnation, uint64 present);
    error NoWeight();
    error EndNotDue(uint256 done, uint256 participants);
    error EndIsDue(uint256 done, uint256 minPeers);
    error TooFewVotes(uint256 votes, uint256 quorum);
    error VoteNotCounted(address voter);
    error ForgedVote(address voter, address signer);
    error NoContradiction();
    error NotSignedBy(address node, address signer);

    constructor(Enrolment enrolment_, Trainings trainings_) EIP712("swarm-lab", "1") {
        enrolment = enrolment_;
        trainings = trainings_;
    }

    modifier onlyAdmin() {
        Kind kind = enrolment.kindOf(msg.sender);
        if (kind != Kind.Swci && kind != Kind.Sn) revert NotAllowed(msg.sender, kind);
        _;
    }

    /// @notice The sender has started: it gets its next incarnation. The same nonce twice is one start.
    function announce(bytes32 training, string calldata nonce) external {
        if (!trainings.isRegistered(training, msg.sender)) revert NotRegistered(msg.sender);
        if (enrolment.kindOf(msg.sender) != Kind.Sl) revert NotEnrolled(msg.sender);
        Member storage m = _members[training][msg.sender];
        if (m.removed) revert NodeRemoved(msg.sender);
        bytes32 hashed = keccak256(bytes(nonce));
        bool present = m.incarnation > m.resetAt;
        if (present && !m.left && m.nonce == hashed) return;
        _list(training, m);
        m.incarnation += 1;
        m.nonce = hashed;
        m.left = false;
        m.failed = false;
        emit Announced(training, msg.sender, m.incarnation, nonce);
    }

    /// @notice The sender takes part no longer, or never will; a reason that is not empty means that it failed.
    function depart(bytes32 training, string calldata reason) external {
        Member storage m = _members[training][msg.sender];
        if (m.left) return;
        if (m.incarnation <= m.resetAt) {
            if (!trainings.isAssigned(training, msg.sender)) revert NotAMember(msg.sender);
            _list(training, m);
        }
        m.left = true;
        m.failed = bytes(reason).length > 0;
        emit Left(training, msg.sender, reason);
        _closeIfAllAreGone(training);
    }

    /// @notice An operator or an SN takes a node out, at once and for good.
    function remove(bytes32 training, address node, string calldata reason) external onlyAdmin {
        _member(training, node);
        _remove(training, node, reason);
    }

    /// @notice Commit a round's result with the votes of its participants; voters ascend. The same again is no error.
    function commit(Result calldata r, address[] calldata voters, bytes[] calldata votes) external {
        bytes32 id = Hashes.ofResult(r);
        Training storage t = _trainings[r.training];
        if (r.round != 0 && r.round <= t.head) {
            bytes32 taken = _results[r.training][r.round].id;
            if (taken == id) return;
            revert RoundTaken(r.round, taken);
        }
        if (t.ended) revert TrainingEnded(t.head);
        if (r.round != t.head + 1) revert NotTheNextRound(t.head, r.round);
        if (r.prev != t.headId) revert OtherHistory(t.headId, r.prev);
        uint256 minPeers = _checkSet(r);
        _checkVotes(r.participants, _hashTypedDataV4(id), voters, votes, minPeers);

        t.head = r.round;
        t.headId = id;
        _results[r.training][r.round] = Committed_(id, r.model, r.next, r.end);
        emit Committed(r.training, r.round, id, r, voters, votes);
        if (r.end) {
            t.ended = true;
            trainings.close(r.training, State.Finished, "");
        }
    }

    /// @notice Two check-ins of one node for one round that differ are a proof against it: it is removed.
    function report(CheckIn calldata a, bytes calldata signatureA, CheckIn calldata b, bytes calldata signatureB)
        external
    {
        if (enrolment.kindOf(msg.sender) == Kind.None) revert NotEnrolled(msg.sender);
        bytes32 hashA = Hashes.ofCheckIn(a);
        bytes32 hashB = Hashes.ofCheckIn(b);
        bool sameKey = a.training == b.training && a.round == b.round && a.prev == b.prev && a.node == b.node
            && a.incarnation == b.incarnation;
        if (!sameKey || hashA == hashB) revert NoContradiction();
        address signer = ECDSA.recover(_hashTypedDataV4(hashA), signatureA);
        if (signer != a.node) revert NotSignedBy(a.node, signer);
        signer = ECDSA.recover(_hashTypedDataV4(hashB), signatureB);
        if (signer != a.node) revert NotSignedBy(a.node, signer);
        _member(a.training, a.node);
        _remove(a.training, a.node, "two check-ins for one round");
    }

    /// @notice Back to the state after `create`; only when it is over or nobody has registered. Incarnations go on
    /// counting and older ones are refused, so that no certificate of before fits again.
    function reset(bytes32 training) external onlyAdmin {
        Training storage t = _trainings[training];
        emit Restarted(training, t.head);
        for (uint256 i = 0; i < t.members.length; i++) {
            Member storage m = _members[training][t.members[i]];
            m.resetAt = m.incarnation;
            m.left = false;
            m.failed = false;
            m.removed = false;
            m.listed = false;
        }
        delete _trainings[training];
        trainings.reopen(training, msg.sender);
    }

    /// @notice After its nodes failed, left, or an operator closed it: the same training goes on after its head. Who was
    /// in is missed again instead of gone, and may announce itself; who was removed stays out. For one that still runs
    /// this only forgives those that left. A last round stays the last.
    function resume(bytes32 training) external onlyAdmin {
        Training storage t = _trainings[training];
        if (t.ended) revert NothingToResume(t.head);
        trainings.resume(training, msg.sender);
        for (uint256 i = 0; i < t.members.length; i++) {
            Member storage m = _members[training][t.members[i]];
            m.left = false;
            m.failed = false;
        }
        emit Resumed(training, t.head, msg.sender);
    }

    /// @return round The last committed round, 0 if none. @return id Its result id. @return ended No more may come.
    function head(bytes32 training) external view returns (uint64 round, bytes32 id, bool ended) {
        Training storage t = _trainings[training];
        return (t.head, t.headId, t.ended);
    }

    function resultOf(bytes32 training, uint64 round) external view returns (Committed_ memory found) {
        if (round <= _trainings[training].head) found = _results[training][round];
    }

    /// @return present Who has announced and neither left nor been removed: the roster of the next round.
    function roster(bytes32 training) external view returns (address[] memory present) {
        address[] storage all = _trainings[training].members;
        present = new address[](all.length);
        uint256 length = 0;
        for (uint256 i = 0; i < all.length; i++) {
            Member storage m = _members[training][all[i]];
            if (!m.left && !m.removed) present[length++] = all[i];
        }
        assembly ("memory-safe") {
            mstore(present, length)
        }
    }

    function memberOf(bytes32 training, address node) external view returns (Member memory) {
        return _members[training][node];
    }

    function _checkSet(Result calldata r) private view returns (uint256) {
        (uint32 minPeers, EndRule endRule, State state) = trainings.rules(r.training);
        if (state != State.Running) revert TrainingNotRunning(state);
        uint256 size = r.participants.length;
        if (size < minPeers) revert TooFewParticipants(size, minPeers);
        uint256 weight = 0;
        uint256 done = 0;
        address last = address(0);
        for (uint256 i = 0; i < size; i++) {
            Participant calldata p = r.participants[i];
            if (p.node <= last) revert NotAscending(p.node);
            last = p.node;
            _checkParticipant(r.training, p);
            weight += p.weight;
            if (p.done) done++;
        }
        if (weight == 0 && !r.end) revert NoWeight();
        if (r.end && done < (endRule == EndRule.All ? size : minPeers)) revert EndNotDue(done, size);
        if (!r.end && endRule == EndRule.MinPeers && done >= minPeers) revert EndIsDue(done, minPeers);
        return minPeers;
    }

    function _checkParticipant(bytes32 training, Participant calldata p) private view {
        Member storage m = _members[training][p.node];
        if (m.removed) revert NodeRemoved(p.node);
        if (p.incarnation <= m.resetAt || p.incarnation > m.incarnation) {
            revert UnknownIncarnation(p.node, p.incarnation, m.incarnation);
        }
        if (enrolment.kindOf(p.node) != Kind.Sl) revert NotEnrolled(p.node);
    }

    function _checkVotes(
        Participant[] calldata set,
        bytes32 digest,
        address[] calldata voters,
        bytes[] calldata votes,
        uint256 minPeers
    ) private pure {
        uint256 quorum = set.length / 2 + 1;
        if (quorum < minPeers) quorum = minPeers;
        if (voters.length < quorum || votes.length != voters.length) revert TooFewVotes(votes.length, quorum);
        uint256 place = 0;
        for (uint256 i = 0; i < voters.length; i++) {
            // Both ascend, so one walk finds strangers and doubles.
            while (place < set.length && set[place].node != voters[i]) place++;
            if (place == set.length) revert VoteNotCounted(voters[i]);
            place++;
            address signer = ECDSA.recover(digest, votes[i]);
            if (signer != voters[i]) revert ForgedVote(voters[i], signer);
        }
    }

    /// @dev A node that left before it ever announced itself is in the list already.
    function _list(bytes32 training, Member storage m) private {
        if (m.listed) return;
        m.listed = true;
        _trainings[training].members.push(msg.sender);
    }

    function _member(bytes32 training, address node) private view returns (Member storage found) {
        found = _members[training][node];
        if (found.incarnation <= found.resetAt) revert NotAMember(node);
    }

    function _remove(bytes32 training, address node, string memory reason) private {
        Member storage found = _members[training][node];
        if (found.removed) return;
        found.removed = true;
        emit Removed(training, node, reason, msg.sender);
        _closeIfAllAreGone(training);
    }

    /// @dev So that the queue moves on. A node that was assigned and never came holds it: the operator closes then.
    function _closeIfAllAreGone(bytes32 training) private {
        address[] memory assigned = trainings.nodesOf(training);
        bool failed = false;
        for (uint256 i = 0; i < assigned.length; i++) {
            Member storage m = _members[training][assigned[i]];
            if (!(m.left || m.removed)) return;
            failed = failed || m.failed || m.removed;
        }
        trainings.close(training, failed ? State.Failed : State.Stopped, "all nodes have left");
    }
}
