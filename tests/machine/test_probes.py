"""A probe says `reached` only when something from outside answered."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dnslib
import pytest

from dmz.machine.agent import debian, probes


@contextmanager
def name_server(*records: str, rcode: int = 0) -> Iterator[int]:
    """A DNS server on loopback that gives these records to every question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            query, sender = server.recvfrom(512)
            reply = dnslib.DNSRecord.parse(query).reply()
            reply.header.rcode = rcode
            for record in records:
                reply.add_answer(*dnslib.RR.fromZone(f"{reply.q.qname} 60 {record}"))
            server.sendto(reply.pack(), sender)

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[bytes]]:
    """Ask for a type; what would go to port 53 goes to a server that gives these records."""

    def asked(kind: str, *records: str, rcode: int = 0) -> list[bytes]:
        with name_server(*records, rcode=rcode) as port:

            class Redirected(socket.socket):
                def sendto(self, data: bytes, _: tuple[str, int]) -> int:  # type: ignore[override]
                    return super().sendto(data, ("127.0.0.1", port))

            monkeypatch.setattr("dmz.machine.agent.probes.socket.socket", Redirected)
            return probes.resolve("probe.example.com", kind, "127.0.0.1")

    return asked


def test_reads_the_asked_type_behind_an_alias(ask: Callable[..., list[bytes]]) -> None:
    assert ask("A", "CNAME other.example.com.", "A 198.51.100.7") == [bytes([198, 51, 100, 7])]


def test_a_refusing_server_gives_nothing(ask: Callable[..., list[bytes]]) -> None:
    assert ask("A", "A 198.51.100.7", rcode=3) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "199.36.153.4"])
def test_an_answer_that_a_response_policy_gives_is_not_outside(address: str) -> None:
    assert probes._outside(socket.inet_aton(address), "A") is None


def test_any_other_answer_is_outside() -> None:
    assert probes._outside(socket.inet_aton("198.51.100.7"), "A") == "198.51.100.7"
    assert probes._outside(b"\x04leak", "TXT") == "leak"


def test_tcp_reaches_a_listener_and_not_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert probes.run([{"name": "tcp", "target": f"127.0.0.1:{port}"}])[0]["observed"] == "reached"
    assert probes.run([{"name": "tcp", "target": f"127.0.0.1:{port}"}])[0]["observed"] == "blocked"


def test_an_unknown_probe_is_an_error_and_not_a_pass() -> None:
    assert probes.run([{"name": "carrier-pigeon", "target": "coop"}])[0]["observed"] == "error"


def test_the_base_image_digest_is_the_documented_one() -> None:
    jq = debian.Package("jq", "amd64", "1.6", "jq", "1.6")
    adduser = debian.Package("adduser", "all", "3.134", "adduser", "3.134")
    expected = hashlib.sha256(b"adduser:all 3.134\njq:amd64 1.6\n").hexdigest()
    assert debian.digest([jq, adduser]) == expected
