from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ("protocol", "training")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    training: str
    def __init__(self, protocol: _Optional[int] = ..., training: _Optional[str] = ...) -> None: ...

class DescribeReply(_message.Message):
    __slots__ = ("tensors",)
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, tensors: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("name", "dtype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("head", "chunk")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    head: Head
    chunk: bytes
    def __init__(self, head: _Optional[_Union[Head, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("protocol", "package", "training", "kind", "body", "payload_bytes", "payload_root", "instance", "streams", "to", "origin")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_ROOT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    training: str
    kind: str
    body: bytes
    payload_bytes: int
    payload_root: str
    instance: str
    streams: int
    to: str
    origin: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., training: _Optional[str] = ..., kind: _Optional[str] = ..., body: _Optional[bytes] = ..., payload_bytes: _Optional[int] = ..., payload_root: _Optional[str] = ..., instance: _Optional[str] = ..., streams: _Optional[int] = ..., to: _Optional[str] = ..., origin: _Optional[str] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("protocol", "package", "refusal")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    refusal: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., refusal: _Optional[str] = ...) -> None: ...

class StageFrame(_message.Message):
    __slots__ = ("request", "chunk")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    chunk: bytes
    def __init__(self, request: _Optional[bytes] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class StageReply(_message.Message):
    __slots__ = ("protocol", "package", "state")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    state: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("protocol", "training")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    training: str
    def __init__(self, protocol: _Optional[int] = ..., training: _Optional[str] = ...) -> None: ...

class StopReply(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: str
    def __init__(self, state: _Optional[str] = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("protocol", "training")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    training: str
    def __init__(self, protocol: _Optional[int] = ..., training: _Optional[str] = ...) -> None: ...

class ResumeReply(_message.Message):
    __slots__ = ("protocol", "package", "state")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    state: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...
