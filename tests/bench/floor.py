"""The floor to compare with: a leader merges over bare mutual TLS sockets, with nothing around it.

`python -m tests.bench.floor RANK NODES COUNT ROUNDS INSTANTS CERTIFICATES` is one peer; rank 0 is the leader, which
writes its port to a file. Peers send their model, the leader averages block by block and sends the average back.
Models are received into in place and nothing is copied: what is left is encryption and the kernel.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.bench import instants

HOST = "127.0.0.1"
WRITE = 1 << 20  # bytes of one call; larger ones are no faster and hold more of OpenSSL's memory
MERGE = 1 << 16  # elements that fit the processor's cache
LIMIT_S = 600.0


def certificates(folder: Path) -> Path:
    """Write one key (P-256) and one certificate, which is its own root: every peer shows it and checks it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "peer.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return folder


def context(folder: Path, *, server: bool) -> ssl.SSLContext:
    """TLS 1.3, both sides with a certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_cert_chain(folder / "peer.pem")
    made.load_verify_locations(folder / "peer.pem")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def receive(wire: ssl.SSLSocket, into: memoryview) -> None:
    """Fill a buffer."""
    at = 0
    while at < len(into):
        got = wire.recv_into(into[at : at + WRITE])
        if not got:
            raise ConnectionError("a peer of the floor has gone")
        at += got


def send(wire: ssl.SSLSocket, data: memoryview) -> None:
    """Send a buffer."""
    for at in range(0, len(data), WRITE):
        wire.sendall(data[at : at + WRITE])


def together(work: Callable[..., None], arguments: list[tuple[ssl.SSLSocket, memoryview]]) -> None:
    """Do it for all peers at once."""
    threads = [threading.Thread(target=work, args=one) for one in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def lead(model: np.ndarray, nodes: int, rounds: int, told: str, folder: Path) -> None:
    """Rank 0."""
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(LIMIT_S)
        port = folder / "port.new"
        port.write_text(str(server.getsockname()[1]))
        port.rename(folder / "port")
        tls = context(folder, server=True)
        wires = []
        for _ in range(nodes - 1):
            wire, _address = server.accept()
            wires.append(tls.wrap_socket(ready(wire), server_side=True))
    buffers = [np.empty_like(model) for _ in wires]
    for number in range(rounds):
        model += 1
        together(receive, [(wire, memoryview(buffer).cast("B")) for wire, buffer in zip(wires, buffers, strict=True)])
        for at in range(0, model.size, MERGE):
            block = model[at : at + MERGE]
            for buffer in buffers:
                block += buffer[at : at + MERGE]
            block *= np.float32(1 / nodes)
        together(send, [(wire, memoryview(model).cast("B")) for wire in wires])
        instants.held(told, 0, number, float(model[-1]))


def follow(model: np.ndarray, rank: int, rounds: int, told: str, folder: Path) -> None:
    """Any other rank."""
    until = time.monotonic() + LIMIT_S
    while not (folder / "port").exists():
        if time.monotonic() > until:
            raise TimeoutError("the leader of the floor did not come")
        time.sleep(0.01)
    wire = ready(socket.create_connection((HOST, int((folder / "port").read_text())), LIMIT_S))
    tls = context(folder, server=False).wrap_socket(wire, server_hostname=HOST)
    data = memoryview(model).cast("B")
    for number in range(rounds):
        model += rank + 1
        send(tls, data)
        receive(tls, data)
        instants.held(told, rank, number, float(model[-1]))


def ready(wire: socket.socket) -> socket.socket:
    """No wait for more to send, no endless wait for a peer."""
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.settimeout(LIMIT_S)
    return wire


def main(rank: int, nodes: int, count: int, rounds: int, told: str, folder: Path) -> None:
    """One peer; the leader checks the whole model at the end."""
    model = np.concatenate(instants.content(count))
    if rank:
        follow(model, rank, rounds, told, folder)
        return
    lead(model, nodes, rounds, told, folder)
    cuts = np.cumsum([tensor.size for tensor in instants.content(count)])[:-1]
    instants.checked(told, np.split(model, cuts), rounds, (nodes + 1) / 2)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]), sys.argv[5], Path(sys.argv[6]))
