// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @notice What an account may do. `None` is an account that is not enrolled.
enum Kind {
    None,
    Sn,
    Sl,
    Swci
}

/// @title Binds SPIFFE IDs to accounts, one to one.
/// @notice The SN that enrols a node has checked the SPIFFE ID by mutual TLS; the proof, signed by the account, shows
/// that the node holds the account's key. Who deploys (the sentinel) enrols SNs; every enrolled SN enrols the rest.
contract Enrolment is AccessControl, EIP712 {
    bytes32 public constant ENROLLER_ROLE = keccak256("ENROLLER_ROLE");
    bytes32 private constant ENROL_TYPE = keccak256("Enrol(string spiffeId,address account,string kind)");

    struct Entry {
        Kind kind;
        string spiffeId;
    }

    mapping(address account => Entry) private _entries;
    mapping(bytes32 spiffeHash => address account) private _accounts;

    event Enrolled(address indexed account, Kind indexed kind, string spiffeId, address by);
    event Revoked(address indexed account, string spiffeId, address by);

    error NotAKind(string kind);
    error ProofNotByAccount(address account, address signer);
    error AccountOfAnother(address account, string spiffeId);

    constructor() EIP712("swarm-lab", "1") {
        _grantRole(DEFAULT_ADMIN_ROLE, msg.sender);
        _grantRole(ENROLLER_ROLE, msg.sender);
    }

    /// @notice Enrol `account` as the node `spiffeId`. The same again changes nothing. A node that comes with a new
    /// account has lost its key: the old account is revoked.
    function enrol(string calldata spiffeId, address account, string calldata kind, bytes calldata proof)
        external
        onlyRole(ENROLLER_ROLE)
    {
        _checkProof(spiffeId, account, kind, proof);
        Kind parsed = _parse(kind);
        bytes32 spiffeHash = keccak256(bytes(spiffeId));
        Entry storage entry = _entries[account];
        if (entry.kind != Kind.None) {
            if (keccak256(bytes(entry.spiffeId)) != spiffeHash || entry.kind != parsed) {
                revert AccountOfAnother(account, entry.spiffeId);
            }
            return;
        }
        if (parsed == Kind.Sn) {
            _checkRole(DEFAULT_ADMIN_ROLE);
            _grantRole(ENROLLER_ROLE, account);
        }
        address before = _accounts[spiffeHash];
        if (before != address(0)) _revoke(before);
        _entries[account] = Entry(parsed, spiffeId);
        _accounts[spiffeHash] = account;
        emit Enrolled(account, parsed, spiffeId, msg.sender);
    }

    function kindOf(address account) external view returns (Kind) {
        return _entries[account].kind;
    }

    function spiffeIdOf(address account) external view returns (string memory) {
        return _entries[account].spiffeId;
    }

    /// @return The account enrolled for a SPIFFE ID, zero if there is none.
    function accountOf(string calldata spiffeId) external view returns (address) {
        return _accounts[keccak256(bytes(spiffeId))];
    }

    function _checkProof(string calldata spiffeId, address account, string calldata kind, bytes calldata proof)
        private
        view
    {
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(ENROL_TYPE, keccak256(bytes(spiffeId)), account, keccak256(bytes(kind))))
        );
        address signer = ECDSA.recover(digest, proof);
        if (signer != account) revert ProofNotByAccount(account, signer);
    }

    function _revoke(address account) private {
        Entry storage entry = _entries[account];
        if (entry.kind == Kind.Sn) _revokeRole(ENROLLER_ROLE, account);
        emit Revoked(account, entry.spiffeId, msg.sender);
        delete _entries[account];
    }

    function _parse(string calldata kind) private pure returns (Kind) {
        bytes32 hashed = keccak256(bytes(kind));
        if (hashed == keccak256("sl")) return Kind.Sl;
        if (hashed == keccak256("sn")) return Kind.Sn;
        if (hashed == keccak256("swci")) return Kind.Swci;
        revert NotAKind(kind);
    }
}
