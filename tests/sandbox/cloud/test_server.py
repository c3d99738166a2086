"""Who may call, what is kept of a call, and how the same services answer by name with TLS."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import stat
from typing import Any

import httpx
import pytest

from sandbox.cloud.context import OPERATOR
from sandbox.cloud.requests import MASK, masked
from tests.sandbox.cloud.conftest import Box

NETWORKS = "compute/beta/projects/inner/global/networks"


class TestTokens:
    @pytest.mark.parametrize("service", ["compute", "storage", "python", "apt", "cloudresourcemanager"])
    def test_no_token_no_answer(self, box: Box, service: str) -> None:
        answer = box.send("GET", service, "v1/projects/inner", token=None)
        assert answer.status_code == 401
        if service in {"python", "apt"}:  # pip and apt print what comes
            assert answer.text.startswith("Request is missing required authentication credential.")
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        else:
            assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")

    def test_tokens_of_others_and_old_ones(self, box: Box) -> None:
        body, _, signature = box.token.rpartition(".")
        forged = base64.urlsafe_b64encode(json.dumps({"identity": OPERATOR, "end": 2**40}).encode()).decode()
        for token in (
            "ya29.something",
            f"{body}.{'0' * len(signature)}",
            f"ya29.sandbox.{forged}.{signature}",
            box.cloud.tokens.issue(OPERATOR, lifetime=-1),
            "é",
        ):
            answer = box.client.get(
                f"{box.cloud.endpoints['compute']}/{NETWORKS}",
                headers={b"Authorization": f"Bearer {token}".encode()},
            )
            assert answer.status_code == 401, token

    def test_basic_authentication_is_for_data_planes(self, box: Box) -> None:
        basic = base64.b64encode(f"oauth2accesstoken:{box.token}".encode()).decode()
        other = base64.b64encode(f"somebody:{box.token}".encode()).decode()

        def status(service: str, path: str, credentials: str) -> int:
            url = f"{box.cloud.endpoints[service]}/{path}"
            return box.client.get(url, headers={"Authorization": f"Basic {credentials}"}).status_code

        assert status("python", "inner/none/simple/", basic) == 404
        assert status("python", "inner/none/simple/", other) == 401
        assert status("compute", NETWORKS, basic) == 401

    def test_the_keys_are_for_the_owner_only(self, box: Box) -> None:
        for name in ("token.key", "authority.key", "requests.jsonl", "resources.jsonl"):
            assert stat.S_IMODE((box.cloud.root / name).stat().st_mode) == 0o600, name


class TestLog:
    def test_what_is_kept_of_a_call(self, box: Box) -> None:
        box.send("POST", "compute", NETWORKS, {"name": "vpc", "autoCreateSubnetworks": False})
        entry = box.requests()[-1]
        assert entry.pop("time").endswith("Z")
        assert entry == {
            "identity": OPERATOR,
            "host": "compute.googleapis.com",
            "method": "POST",
            "path": f"/{NETWORKS}",
            "query": {},
            "body": {"name": "vpc", "autoCreateSubnetworks": False},
            "data": None,
            "status": 200,
        }

    def test_refusals_are_kept_too(self, box: Box) -> None:
        box.send("GET", "compute", NETWORKS, token=None)
        box.send("GET", "compute", "nowhere")
        assert [(entry["identity"], entry["status"]) for entry in box.requests()] == [
            (None, 401),
            (OPERATOR, 404),
        ]

    def test_no_secret_and_no_token_gets_in(self, box: Box) -> None:
        box.send("GET", "compute", NETWORKS, access_token=box.token, key="an-api-key")
        box.send("POST", "compute", NETWORKS, {"name": box.token, "password": "opensesame"})
        box.send("GET", "compute", f"{NETWORKS}/{box.token}")
        email = box.account("dmz-sync")
        box.send(
            "POST",
            "iamcredentials",
            f"v1/projects/-/serviceAccounts/{email}:generateAccessToken",
            {"scope": ["x"]},
        )
        box.client.get(
            f"http://127.0.0.1:{box.ports['metadata']}/computeMetadata/v1/instance/service-accounts/default/token",
            headers={"Metadata-Flavor": "Google"},
        ).raise_for_status()
        text = (box.cloud.root / "requests.jsonl").read_text()
        assert len(text.splitlines()) == 6
        assert "ya29." not in text
        assert "an-api-key" not in text
        assert "opensesame" not in text

    def test_data_is_kept_as_size_and_digest(self, box: Box) -> None:
        box.call("POST", "storage", "storage/v1/b", {"name": "bucket"}, project="inner")
        answer = box.client.post(
            f"{box.cloud.endpoints['storage']}/upload/storage/v1/b/bucket/o",
            params={"uploadType": "media", "name": "file"},
            content=b"data",
            headers={"Authorization": f"Bearer {box.token}"},
        )
        assert answer.status_code == 200
        entry = box.requests()[-1]
        assert entry["data"] == {"size": 4, "sha256": hashlib.sha256(b"data").hexdigest()}
        assert entry["body"] is None

    def test_an_answer_that_is_data_is_kept_so_too(self, box: Box) -> None:
        box.client.get(
            f"http://127.0.0.1:{box.ports['metadata']}/computeMetadata/v1/universe/universe-domain",
            headers={"Metadata-Flavor": "Google"},
        )
        digest = hashlib.sha256(b"googleapis.com").hexdigest()
        assert box.requests()[-1]["data"] == {"size": 14, "sha256": digest}

    @pytest.mark.parametrize(
        ("value", "kept"),
        [
            ({"accessToken": "x", "name": "y"}, {"accessToken": MASK, "name": "y"}),
            ({"a": [{"privateKeyData": "x"}]}, {"a": [{"privateKeyData": MASK}]}),
            (
                {"pageToken": "next", "keys": ["x"], "pubkey": "z"},
                {"pageToken": "next", "keys": ["x"], "pubkey": "z"},
            ),
            ("see ya29.sandbox.abc.def, then", f"see {MASK}, then"),
        ],
    )
    def test_masks(self, value: Any, kept: Any) -> None:
        assert masked(value) == kept


class TestByName:
    """What a machine sees: one address, every service by its host name, TLS by the sandbox's authority."""

    @pytest.fixture
    def port(self, box: Box) -> int:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        box.do(box.front.serve(sock, tls=True))
        return int(sock.getsockname()[1])

    def get(self, box: Box, port: int, host: str, path: str, token: str | None = None) -> httpx.Response:
        trust = ssl.create_default_context(cafile=str(box.cloud.authority))
        with httpx.Client(verify=trust, trust_env=False) as client:
            return client.get(
                f"https://127.0.0.1:{port}{path}",
                headers={"Host": host, "Authorization": f"Bearer {token or box.token}"},
                extensions={"sni_hostname": host},
            )

    def test_services_answer_by_host(self, box: Box, port: int) -> None:
        box.network()
        answer = self.get(box, port, "compute.googleapis.com", f"/{NETWORKS}/vpc")
        assert answer.json()["name"] == "vpc"
        assert box.requests()[-1]["host"] == "compute.googleapis.com"
        assert self.get(box, port, "dns.googleapis.com", f"/{NETWORKS}/vpc").status_code == 404
        answer = self.get(box, port, "us-central1-python.pkg.dev", "/inner/none/simple/")
        assert answer.status_code == 404
        assert box.requests()[-1]["host"] == "us-central1-python.pkg.dev"

    @pytest.mark.parametrize(
        "host", ["sqladmin.googleapis.com", "eu-docker.pkg.dev", "gcr.io", "example.com"]
    )
    def test_names_that_the_sandbox_has_not(self, box: Box, port: int, host: str) -> None:
        if host == "gcr.io" or host == "example.com":
            assert self.get(box, port, host, "/").status_code == 404
            return
        answer = self.get(box, port, host, "/")
        assert (answer.status_code, host in answer.json()["error"]["message"]) == (404, True)

    def test_nobody_else_is_answered_for(self, box: Box, port: int) -> None:
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            self.get(box, port, "pypi.example.org", "/")

    def test_a_site_can_be_stopped(self, box: Box) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        site = box.do(box.front.serve(sock, tls=False))
        host = {"Host": "compute.googleapis.com"}
        assert httpx.get(f"http://127.0.0.1:{port}/", headers=host, trust_env=False).status_code == 401
        box.do(site.stop())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/", headers=host, trust_env=False)


def test_ports_stay(box: Box) -> None:
    from sandbox.cloud.endpoints import listen

    kept = json.loads((box.cloud.root / "ports.json").read_text())
    assert kept == box.ports
    with pytest.raises(OSError, match=r"ports\.json: port \d+ of artifactregistry is taken"):
        listen(box.cloud.root)
    box.do(box.front.stop())
    sockets = listen(box.cloud.root)
    assert {name: sock.getsockname()[1] for name, sock in sockets.items()} == kept
    for sock in sockets.values():
        sock.close()
