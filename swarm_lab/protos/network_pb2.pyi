from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterRequest(_message.Message):
    __slots__ = ("protocol", "package", "account", "proof", "address", "platform")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    account: str
    proof: bytes
    address: str
    platform: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., account: _Optional[str] = ..., proof: _Optional[bytes] = ..., address: _Optional[str] = ..., platform: _Optional[str] = ...) -> None: ...

class RegisterReply(_message.Message):
    __slots__ = ("protocol", "package", "by")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    by: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class RosterRequest(_message.Message):
    __slots__ = ("protocol",)
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    def __init__(self, protocol: _Optional[int] = ...) -> None: ...

class RosterReply(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[RosterNode]
    def __init__(self, nodes: _Optional[_Iterable[_Union[RosterNode, _Mapping]]] = ...) -> None: ...

class RosterNode(_message.Message):
    __slots__ = ("spiffe_id", "account", "address", "platform", "age_s")
    SPIFFE_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    spiffe_id: str
    account: str
    address: str
    platform: str
    age_s: float
    def __init__(self, spiffe_id: _Optional[str] = ..., account: _Optional[str] = ..., address: _Optional[str] = ..., platform: _Optional[str] = ..., age_s: _Optional[float] = ...) -> None: ...

class ContractsRequest(_message.Message):
    __slots__ = ("protocol", "package")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ...) -> None: ...

class ContractsReply(_message.Message):
    __slots__ = ("protocol", "package", "chain_id", "enrolment", "trainings", "rounds", "digest")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    ENROLMENT_FIELD_NUMBER: _ClassVar[int]
    TRAININGS_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    chain_id: int
    enrolment: str
    trainings: str
    rounds: str
    digest: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., chain_id: _Optional[int] = ..., enrolment: _Optional[str] = ..., trainings: _Optional[str] = ..., rounds: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class RpcRequest(_message.Message):
    __slots__ = ("calls", "after", "wait_s")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WAIT_S_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[RpcCall]
    after: int
    wait_s: float
    def __init__(self, calls: _Optional[_Iterable[_Union[RpcCall, _Mapping]]] = ..., after: _Optional[int] = ..., wait_s: _Optional[float] = ...) -> None: ...

class RpcCall(_message.Message):
    __slots__ = ("method", "params")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    method: str
    params: str
    def __init__(self, method: _Optional[str] = ..., params: _Optional[str] = ...) -> None: ...

class RpcReply(_message.Message):
    __slots__ = ("answers", "height")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[RpcAnswer]
    height: int
    def __init__(self, answers: _Optional[_Iterable[_Union[RpcAnswer, _Mapping]]] = ..., height: _Optional[int] = ...) -> None: ...

class RpcAnswer(_message.Message):
    __slots__ = ("result", "error")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    result: str
    error: RpcFailure
    def __init__(self, result: _Optional[str] = ..., error: _Optional[_Union[RpcFailure, _Mapping]] = ...) -> None: ...

class RpcFailure(_message.Message):
    __slots__ = ("code", "message", "data")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    data: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., data: _Optional[str] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthReply(_message.Message):
    __slots__ = ("protocol", "package", "state", "height")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    state: str
    height: int
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., state: _Optional[str] = ..., height: _Optional[int] = ...) -> None: ...
