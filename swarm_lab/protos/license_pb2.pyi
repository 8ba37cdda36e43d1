from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class AcquireRequest(_message.Message):
    __slots__ = ("protocol", "package")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    package: str
    def __init__(self, protocol: _Optional[int] = ..., package: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("protocol", "lease_id")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    lease_id: str
    def __init__(self, protocol: _Optional[int] = ..., lease_id: _Optional[str] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("lease_id", "life_s", "license_id", "license_left_s", "features")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    LIFE_S_FIELD_NUMBER: _ClassVar[int]
    LICENSE_ID_FIELD_NUMBER: _ClassVar[int]
    LICENSE_LEFT_S_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    life_s: float
    license_id: str
    license_left_s: float
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lease_id: _Optional[str] = ..., life_s: _Optional[float] = ..., license_id: _Optional[str] = ..., license_left_s: _Optional[float] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("lease_id",)
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    def __init__(self, lease_id: _Optional[str] = ...) -> None: ...

class ReleaseReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...
