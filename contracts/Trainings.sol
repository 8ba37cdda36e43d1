// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {Enrolment, Kind} from "./Enrolment.sol";

/// @notice `Created`: nobody has registered. `Running`: its terms are fixed. The others are its ends.
enum State {
    None,
    Created,
    Running,
    Finished,
    Stopped,
    Failed
}

enum EndRule {
    All,
    MinPeers
}

/// @notice What all nodes of a training must agree on. `model` is a digest of its tensors' names, dtypes and shapes.
/// `earlyStopping`: rounds without a better validation loss after which the training ends, 0 = never.
struct Terms {
    string platform;
    uint32 minPeers;
    uint32 syncFrequency;
    string mergeMethod;
    EndRule endRule;
    uint8 witness;
    string model;
    bool adaptive;
    uint32 earlyStopping;
}

/// @notice Latest performance of one node. `loss` and `metric` are the bits of an IEEE-754 float64, NaN = absent.
struct Perf {
    uint64 round;
    uint64 loss;
    uint64 metric;
    uint64 steps;
    uint32 epoch;
    uint32 epochs;
}

/// @notice A training as its creator asked for it and as it stands. `program` and `spec` are digests.
struct Info {
    string name;
    State state;
    bytes32 program;
    bytes32 spec;
    Terms asked;
    Terms terms;
    address fixedBy;
    address creator;
    address[] nodes;
    address[] registered;
    string reason;
}

/// @title Training contracts: each node's queue is what names it and is not over, in the order of creation; a training
/// that is resumed or reset goes to the end, or a node that is in the middle of another would be called away from it.
/// @notice A training's key is keccak256 of its name. The first node that registers fixes the terms; the first that
/// registers any training fixes the ML platform of the network.
contract Trainings is AccessControl {
    bytes32 public constant ROUNDS_ROLE = keccak256("ROUNDS_ROLE");

    Enrolment public immutable enrolment;
    string public platform;
    address public platformBy;

    bytes32[] private _order;
    bytes32[] private _queue;
    /// @dev Number of a training's valid entry in `_queue`, counted from 1.
    mapping(bytes32 training => uint256) private _place;
    mapping(bytes32 training => Info) private _infos;
    mapping(bytes32 training => mapping(address node => bool)) private _assigned;
    mapping(bytes32 training => mapping(address node => bool)) private _registered;
    mapping(bytes32 training => mapping(address node => Perf)) private _perf;

    event Created(bytes32 indexed training, string name, address by);
    event Assigned(bytes32 indexed training, address indexed node);
    event Registered(bytes32 indexed training, address indexed node);
    event Performance(bytes32 indexed training, address indexed node, Perf perf);
    event Over(bytes32 indexed training, State state, string reason);
    event Reset(bytes32 indexed training, address by);
    event Resumed(bytes32 indexed training, address by);

    error NotAllowed(address account, Kind kind);
    error NotALearner(address account);
    error AlreadyCreated(string name);
    error UnknownTraining(bytes32 training);
    error NotAssigned(address node);
    error NotRegistered(address node);
    error PlatformMixed(string fixedPlatform, address fixedBy, string offered, address node);
    error TermsDiffer(string term, string fixedValue, address fixedBy, string offered, address node);
    error BadTerms(string why);
    error TrainingOver(State state);
    error StillRunning();

    constructor(Enrolment enrolment_) {
        enrolment = enrolment_;
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
    }

    /// @dev Operators and SNs.
    modifier onlyAdmin() {
        Kind kind = enrolment.kindOf(msg.sender);
        if (kind != Kind.Swci && kind != Kind.Sn) revert NotAllowed(msg.sender, kind);
        _;
    }

    /// @notice Create a training. `asked` is what nodes take where their program says nothing.
    function create(
        string calldata name,
        bytes32 program,
        bytes32 spec,
        Terms calldata asked,
        address[] calldata nodes
    ) external onlyAdmin {
        bytes32 training = keccak256(bytes(name));
        Info storage t = _infos[training];
        if (t.state != State.None) revert AlreadyCreated(name);
        t.name = name;
        t.state = State.Created;
        t.program = program;
        t.spec = spec;
        t.asked = asked;
        t.creator = msg.sender;
        _order.push(training);
        _enqueue(training);
        emit Created(training, name, msg.sender);
        for (uint256 i = 0; i < nodes.length; i++) _assign(training, t, nodes[i]);
    }

    /// @notice Let one more node take part.
    function assign(bytes32 training, address node) external onlyAdmin {
        Info storage t = _open(training);
        if (!_assigned[training][node]) _assign(training, t, node);
    }

    /// @notice The sender takes part under these terms. The first one fixes them, another's must be the same.
    function register(bytes32 training, Terms calldata terms) external {
        Info storage t = _open(training);
        if (!_assigned[training][msg.sender]) revert NotAssigned(msg.sender);
        if (enrolment.kindOf(msg.sender) != Kind.Sl) revert NotALearner(msg.sender);
        _checkPlatform(terms.platform);
        if (t.state == State.Created) {
            if (terms.minPeers == 0) revert BadTerms("min_peers is 0");
            if (terms.minPeers > t.nodes.length) revert BadTerms("min_peers is above the number of nodes");
            if (terms.syncFrequency == 0) revert BadTerms("sync_frequency is 0");
            t.terms = terms;
            t.fixedBy = msg.sender;
            t.state = State.Running;
        } else {
            _compare(t, terms);
        }
        if (_registered[training][msg.sender]) return;
        _registered[training][msg.sender] = true;
        t.registered.push(msg.sender);
        emit Registered(training, msg.sender);
    }

    /// @notice Report the sender's latest performance; also after the end, when the last model has been measured.
    function report(bytes32 training, Perf calldata perf) external {
        if (!_registered[training][msg.sender]) revert NotRegistered(msg.sender);
        _perf[training][msg.sender] = perf;
        emit Performance(training, msg.sender, perf);
    }

    /// @notice Cancel a training or say that it failed; nothing changes when it is over.
    function close(bytes32 training, State state, string calldata reason) external {
        if (!hasRole(ROUNDS_ROLE, msg.sender)) {
            Kind kind = enrolment.kindOf(msg.sender);
            if (kind != Kind.Swci && kind != Kind.Sn) revert NotAllowed(msg.sender, kind);
            if (state == State.Finished) revert BadTerms("only a committed round finishes a training");
        }
        if (state < State.Finished) revert BadTerms("not an end");
        Info storage t = _known(training);
        if (t.state >= State.Finished) return;
        t.state = state;
        t.reason = reason;
        emit Over(training, state, reason);
    }

    /// @notice As if it had just been created. `Rounds.reset` calls it after its own part.
    function reopen(bytes32 training, address by) external onlyRole(ROUNDS_ROLE) {
        Kind kind = enrolment.kindOf(by);
        if (kind != Kind.Swci && kind != Kind.Sn) revert NotAllowed(by, kind);
        Info storage t = _known(training);
        if (t.state == State.Running) revert StillRunning();
        for (uint256 i = 0; i < t.registered.length; i++) {
            delete _registered[training][t.registered[i]];
            delete _perf[training][t.registered[i]];
        }
        delete t.registered;
        delete t.terms;
        delete t.fixedBy;
        delete t.reason;
        t.state = State.Created;
        _enqueue(training);
        emit Reset(training, by);
    }

    /// @notice A training that failed or was closed goes on as it was. `Rounds.resume` calls it after its own part.
    function resume(bytes32 training, address by) external onlyRole(ROUNDS_ROLE) {
        Info storage t = _known(training);
        if (t.state < State.Finished) return;
        t.state = t.fixedBy == address(0) ? State.Created : State.Running;
        delete t.reason;
        _enqueue(training);
        emit Resumed(training, by);
    }

    function count() external view returns (uint256) {
        return _order.length;
    }

    function nameAt(uint256 index) external view returns (string memory) {
        return _infos[_order[index]].name;
    }

    function stateOf(bytes32 training) external view returns (State) {
        return _infos[training].state;
    }

    function info(bytes32 training) external view returns (Info memory) {
        return _known(training);
    }

    /// @return found The trainings that are not over, first come first; `node` zero means of all nodes.
    function queue(address node) external view returns (Info[] memory found) {
        bool[] memory wanted = new bool[](_queue.length);
        uint256 length = 0;
        for (uint256 i = 0; i < _queue.length; i++) {
            wanted[i] = _place[_queue[i]] == i + 1 && _infos[_queue[i]].state < State.Finished
                && (node == address(0) || _assigned[_queue[i]][node]);
            if (wanted[i]) length++;
        }
        found = new Info[](length);
        uint256 next = 0;
        for (uint256 i = 0; i < _queue.length; i++) if (wanted[i]) found[next++] = _infos[_queue[i]];
    }

    function isAssigned(bytes32 training, address node) external view returns (bool) {
        return _assigned[training][node];
    }

    function isRegistered(bytes32 training, address node) external view returns (bool) {
        return _registered[training][node];
    }

    /// @return minPeers The smallest set of a round. @return endRule When a round may be the last.
    function rules(bytes32 training) external view returns (uint32 minPeers, EndRule endRule, State state) {
        Info storage found = _known(training);
        return (found.terms.minPeers, found.terms.endRule, found.state);
    }

    function nodesOf(bytes32 training) external view returns (address[] memory) {
        return _infos[training].nodes;
    }

    /// @return nodes Those that registered. @return perfs Their latest performance, zeros where none came.
    function perfOf(bytes32 training) external view returns (address[] memory nodes, Perf[] memory perfs) {
        nodes = _known(training).registered;
        perfs = new Perf[](nodes.length);
        for (uint256 i = 0; i < nodes.length; i++) perfs[i] = _perf[training][nodes[i]];
    }

    function _assign(bytes32 training, Info storage info_, address node) private {
        if (enrolment.kindOf(node) != Kind.Sl) revert NotALearner(node);
        if (_assigned[training][node]) return;
        _assigned[training][node] = true;
        info_.nodes.push(node);
        emit Assigned(training, node);
    }

    function _enqueue(bytes32 training) private {
        _queue.push(training);
        _place[training] = _queue.length;
    }

    function _known(bytes32 training) private view returns (Info storage found) {
        found = _infos[training];
        if (found.state == State.None) revert UnknownTraining(training);
    }

    function _open(bytes32 training) private view returns (Info storage found) {
        found = _known(training);
        if (found.state >= State.Finished) revert TrainingOver(found.state);
    }

    function _checkPlatform(string calldata offered) private {
        if (platformBy == address(0)) {
            if (bytes(offered).length == 0) revert BadTerms("no platform");
            platform = offered;
            platformBy = msg.sender;
        } else if (!_same(platform, offered)) {
            revert PlatformMixed(platform, platformBy, offered, msg.sender);
        }
    }

    function _compare(Info storage info_, Terms calldata offered) private view {
        Terms storage terms = info_.terms;
        _mustAgree("min_peers", terms.minPeers, info_.fixedBy, offered.minPeers);
        _mustAgree("sync_frequency", terms.syncFrequency, info_.fixedBy, offered.syncFrequency);
        _mustAgree("end_rule", uint256(terms.endRule), info_.fixedBy, uint256(offered.endRule));
        _mustAgree("witness", terms.witness, info_.fixedBy, offered.witness);
        _mustBeSame("merge_method", terms.mergeMethod, info_.fixedBy, offered.mergeMethod);
        _mustBeSame("model", terms.model, info_.fixedBy, offered.model);
        if (terms.adaptive != offered.adaptive) {
            (string memory ours, string memory theirs) = offered.adaptive ? ("false", "true") : ("true", "false");
            revert TermsDiffer("use_adaptive_sync", ours, info_.fixedBy, theirs, msg.sender);
        }
        _mustAgree("early_stopping", terms.earlyStopping, info_.fixedBy, offered.earlyStopping);
    }

    function _mustAgree(string memory term, uint256 ours, address by, uint256 offered) private view {
        if (ours != offered) {
            revert TermsDiffer(term, Strings.toString(ours), by, Strings.toString(offered), msg.sender);
        }
    }

    function _mustBeSame(string memory term, string storage ours, address by, string calldata offered) private view {
        if (!_same(ours, offered)) revert TermsDiffer(term, ours, by, offered, msg.sender);
    }

    function _same(string storage a, string calldata b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }
}
