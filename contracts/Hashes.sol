// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice What a node signs at its sync point. Losses and metrics are bits of an IEEE-754 float64, NaN = absent, all on
/// the node's own validation data: `loss` and `metric` of the merged model that its interval started from, `localLoss`
/// and `localMetric` of what it contributes, its own model before the merge.
struct CheckIn {
    bytes32 training;
    uint64 round;
    bytes32 prev;
    address node;
    uint64 incarnation;
    uint32 weight;
    bytes32 root;
    bool done;
    uint64 loss;
    uint64 metric;
    uint64 localLoss;
    uint64 localMetric;
    uint64 steps;
}

/// @notice A check-in without what all of a round have in common.
struct Participant {
    address node;
    uint64 incarnation;
    uint32 weight;
    bytes32 root;
    bool done;
    uint64 loss;
    uint64 metric;
    uint64 localLoss;
    uint64 localMetric;
    uint64 steps;
}

/// @notice A round's result. No coordinator and no attempt: the same set gives the same id whoever led.
struct Result {
    bytes32 training;
    uint64 round;
    bytes32 prev;
    Participant[] participants;
    bool end;
    uint32 next;
    bytes32 model;
}

/// @title EIP-712 struct hashes of what nodes sign.
library Hashes {
    bytes32 internal constant CHECK_IN_TYPE = keccak256(
        "CheckIn(bytes32 training,uint64 round,bytes32 prev,address node,uint64 incarnation,uint32 weight,bytes32 root,bool done,uint64 loss,uint64 metric,uint64 localLoss,uint64 localMetric,uint64 steps)"
    );
    bytes32 internal constant PARTICIPANT_TYPE = keccak256(
        "Participant(address node,uint64 incarnation,uint32 weight,bytes32 root,bool done,uint64 loss,uint64 metric,uint64 localLoss,uint64 localMetric,uint64 steps)"
    );
    bytes32 internal constant RESULT_TYPE = keccak256(
        "Result(bytes32 training,uint64 round,bytes32 prev,Participant[] participants,bool end,uint32 next,bytes32 model)Participant(address node,uint64 incarnation,uint32 weight,bytes32 root,bool done,uint64 loss,uint64 metric,uint64 localLoss,uint64 localMetric,uint64 steps)"
    );

    /// @dev The fields are all of 32 bytes, so `abi.encode` of the struct is their concatenation, as EIP-712 wants it.
    function ofCheckIn(CheckIn calldata c) internal pure returns (bytes32) {
        return keccak256(abi.encode(CHECK_IN_TYPE, c));
    }

    function ofParticipant(Participant calldata p) internal pure returns (bytes32) {
        return keccak256(abi.encode(PARTICIPANT_TYPE, p));
    }

    /// @dev The result id.
    function ofResult(Result calldata r) internal pure returns (bytes32) {
        bytes32[] memory set = new bytes32[](r.participants.length);
        for (uint256 i = 0; i < set.length; i++) set[i] = ofParticipant(r.participants[i]);
        return keccak256(
            abi.encode(
                RESULT_TYPE, r.training, r.round, r.prev, keccak256(abi.encodePacked(set)), r.end, r.next, r.model
            )
        );
    }
}
