"""The metadata server: for machines by their address, for this host's own clients as the operator."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest

from sandbox.cloud.context import OPERATOR
from tests.sandbox.cloud.conftest import Box, Json

VPC = "projects/inner/global/networks/vpc"
EMAIL = "dmz-machine@inner.iam.gserviceaccount.com"


class Server:
    """A VPC's metadata server; calls come from 127.0.0.2, where the first machine is."""

    def __init__(self, box: Box, network: str = VPC) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}/computeMetadata/v1"
        box.do(box.front.serve_metadata(sock, network))

    def get(
        self, path: str, source: str = "127.0.0.2", flavor: str = "Google", **headers: str
    ) -> httpx.Response:
        transport = httpx.HTTPTransport(local_address=source)
        with httpx.Client(transport=transport, trust_env=False, timeout=30) as client:
            return client.get(f"{self.url}{path}", headers={"Metadata-Flavor": flavor, **headers})


@pytest.fixture
def server(box: Box) -> Server:
    box.network()
    box.account("dmz-machine")
    box.do(create(box))
    return Server(box)


async def create(box: Box) -> None:
    _, body = box.node()
    name = "projects/inner/locations/us-central1-a/nodes/machine"
    node = {
        **body,
        "name": name,
        "id": "7",
        "tags": ["a"],
        "metadata": {"dmz-settings": "{}", "startup-script": "#!"},
    }
    box.cloud.store.put(f"tpu/{name}", node)
    await box.machines.create(node)


def test_token_of_the_machines_account(box: Box, server: Server) -> None:
    answer = server.get("/instance/service-accounts/default/token").json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert box.cloud.tokens.identity(answer["access_token"]) == f"serviceAccount:{EMAIL}"
    assert server.get(f"/instance/service-accounts/{EMAIL}/token").status_code == 200
    assert server.get("/instance/service-accounts/default/email").text == EMAIL


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/instance/attributes/startup-script", "#!"),
        ("/instance/attributes/", "dmz-settings\nstartup-script\n"),
        ("/instance/name", "machine"),
        ("/instance/hostname", "machine.us-central1-a.c.inner.internal"),
        ("/instance/network-interfaces/0/ip", "127.0.0.2"),
        ("/instance/tags", '["a"]'),
        ("/project/project-id", "inner"),
        ("/universe/universe-domain", "googleapis.com"),
        ("/", "instance/\nproject/\nuniverse/\n"),
    ],
)
def test_values(server: Server, path: str, text: str) -> None:
    answer = server.get(path)
    if path == "/instance/tags":
        assert json.loads(json.dumps(answer.text.split())) == ["a"]
        return
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["Metadata-Flavor"] == "Google"


def test_recursive_and_json(server: Server) -> None:
    attributes = {"dmz-settings": "{}", "startup-script": "#!"}
    assert server.get("/instance/attributes/?recursive=true").json() == attributes
    assert server.get("/instance/name?alt=json").json() == "machine"
    everything = server.get("/?recursive=true&alt=json")
    assert everything.json()["project"]["projectId"] == "inner"
    assert everything.json()["instance"]["attributes"] == attributes
    assert "ya29." not in everything.text


def test_what_is_not_there(server: Server) -> None:
    assert server.get("/instance/attributes/none").status_code == 404
    assert server.get("/instance/nonsense").status_code == 404
    assert server.get("/instance/name?flavour=x").status_code == 400
    assert server.get("/instance/attributes").status_code == 301


def test_a_request_that_a_web_page_could_be_tricked_into(server: Server) -> None:
    assert server.get("/instance/name", flavor="").status_code == 403
    assert server.get("/instance/name", **{"X-Forwarded-For": "10.0.0.1"}).status_code == 403


def test_only_the_machines_of_the_network_are_known(box: Box, server: Server) -> None:
    assert server.get("/instance/name", source="127.0.0.3").status_code == 404
    other = Server(box, "projects/outer/global/networks/vpc")
    assert other.get("/instance/service-accounts/default/token").status_code == 404


def test_waiting_for_a_change(box: Box, server: Server) -> None:
    path = "/instance/attributes/dmz-settings?wait_for_change=true&timeout_sec=20"
    etag = server.get("/instance/attributes/dmz-settings").headers["ETag"]
    seen: list[Any] = []
    waiting = threading.Thread(target=lambda: seen.append(server.get(f"{path}&last_etag={etag}").text))
    waiting.start()
    name = "tpu/projects/inner/locations/us-central1-a/nodes/machine"

    async def change() -> None:
        node: Json = box.cloud.store.get(name) or {}
        box.cloud.store.put(name, {**node, "metadata": {"dmz-settings": "new"}})

    box.do(change())
    waiting.join()
    assert seen == ["new"]


def test_googles_own_library_finds_the_operator_on_this_host(box: Box) -> None:
    program = (
        "import google.auth, google.auth.transport.requests as r\n"
        "c, project = google.auth.default()\n"
        "c.refresh(r.Request())\n"
        "print(project, c.token)\n"
    )
    host = f"127.0.0.1:{box.ports['metadata']}"
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("GOOGLE_", "CLOUDSDK_", "GCE_", "DMZ_"))
    }
    environment |= {
        "GCE_METADATA_HOST": host,
        "GCE_METADATA_IP": host,
        "NO_PROXY": "127.0.0.1",
        "CLOUDSDK_CONFIG": str(box.cloud.root / "none"),
        "HOME": str(box.cloud.root),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    project, token = done.stdout.split()
    assert project == "sandbox"
    assert box.cloud.tokens.identity(token) == OPERATOR
