"""A cloud for these tests: the real server on free ports of this host, with machines that only take notes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from sandbox.cloud.context import OPERATOR, Cloud
from sandbox.cloud.endpoints import address, listen
from sandbox.cloud.errors import ApiError, unimplemented
from sandbox.cloud.server import GoogleFront

T = TypeVar("T")
Json = dict[str, Any]


class Notes:
    """Machines that boot nothing: they note what is asked of them, and refuse what a test tells them to."""

    def __init__(self) -> None:
        self.reconciled = 0
        self.nodes: dict[str, Json] = {}
        self.refuse: ApiError | None = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def reconcile(self) -> None:
        self.reconciled += 1
        if self.refuse:
            raise self.refuse

    async def create(self, node: Json) -> None:
        if node["runtimeVersion"] == "unheard-of":
            raise unimplemented("runtimeVersion 'unheard-of' can't be made by the sandbox")
        self.nodes[node["name"]] = node

    async def delete(self, node_name: str) -> None:
        self.nodes.pop(node_name, None)

    def running(self, node_name: str) -> bool:
        return node_name in self.nodes

    def endpoints(self, node_name: str) -> list[Json]:
        if node_name not in self.nodes:
            return []
        number = sorted(self.nodes).index(node_name) + 2
        return [{"ipAddress": f"127.0.0.{number}", "port": 8470}]

    def node_at(self, network: str, address: str) -> str | None:
        for name, node in self.nodes.items():
            if (
                self.endpoints(name)[0]["ipAddress"] == address
                and node["networkConfig"]["network"] == network
            ):
                return name
        return None


class Box:
    """A running cloud, called from a test as a client calls it."""

    def __init__(self, root: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloud", daemon=True)
        self._thread.start()
        self.machines = Notes()
        self.client = httpx.Client(trust_env=False, timeout=30)
        self.do(self._start(root))
        self.token = self.cloud.tokens.issue(OPERATOR)

    async def _start(self, root: Path) -> None:
        sockets = listen(root)
        self.ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
        self.cloud = Cloud.open(root)
        self.cloud.endpoints = {name: address(self.ports, name) for name in self.ports}
        self.cloud.machines = self.machines
        self.front = GoogleFront(self.cloud)
        await self.front.start()
        await self.front.serve_here(sockets)

    async def _stop(self) -> None:
        await self.cloud.finish_tasks()
        await self.front.stop()
        await self.cloud.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self.client.close()
        self.do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(
        self,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        **query: str,
    ) -> httpx.Response:
        """One call with the operator's token, or another one, or with None."""
        given = self.token if token == "" else token
        headers = {} if given is None else {"Authorization": f"Bearer {given}"}
        url = f"{self.cloud.endpoints[service]}/{path}"
        return self.client.request(method, url, params=query or None, json=body, headers=headers)

    def call(self, method: str, service: str, path: str, body: Any = None, **query: str) -> Json:
        """The answer to a call that has to succeed."""
        answer = self.send(method, service, path, body, **query)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}

    def refused(
        self, method: str, service: str, path: str, body: Any = None, **query: str
    ) -> tuple[int, str]:
        """Status and message of a call that has to be refused, in Google's form."""
        answer = self.send(method, service, path, body, **query)
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        assert error["errors"][0]["message"] == error["message"]
        return answer.status_code, error["message"]

    def operation(self, service: str, version: str, operation: Json) -> Json:
        """A long-running operation once it is done."""
        while not operation.get("done"):
            operation = self.call("GET", service, f"{version}/{operation['name']}")
        return operation

    def write(self, bucket: str, name: str, body: bytes) -> None:
        """Put an object into a bucket, as the operator and whatever is there."""
        answer = self.client.post(
            f"{self.cloud.endpoints['storage']}/upload/storage/v1/b/{bucket}/o",
            params={"uploadType": "media", "name": name},
            content=body,
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert answer.is_success, answer.text

    def requests(self) -> list[Json]:
        """What the request log has."""
        return [json.loads(line) for line in (self.cloud.root / "requests.jsonl").read_text().splitlines()]

    def network(self, project: str = "inner", name: str = "vpc") -> str:
        """A network with one subnetwork `subnet`; its path."""
        base = f"compute/beta/projects/{project}"
        path = f"projects/{project}/global/networks/{name}"
        self.call(
            "POST", "compute", f"{base}/global/networks", {"name": name, "autoCreateSubnetworks": False}
        )
        self.call(
            "POST",
            "compute",
            f"{base}/regions/us-central1/subnetworks",
            {"name": "subnet", "network": path, "ipCidrRange": "10.0.1.0/24"},
        )
        return path

    def account(self, name: str, project: str = "inner") -> str:
        """A service account; its email."""
        created = self.call("POST", "iam", f"v1/projects/{project}/serviceAccounts", {"accountId": name})
        return str(created["email"])

    def node(self, name: str = "machine", **fields: Any) -> tuple[str, Json]:
        """The path and body by which a TPU node of the project `inner` is created."""
        body = {
            "acceleratorType": "v3-8",
            "runtimeVersion": "sandbox-debian-12",
            "networkConfig": {
                "network": "projects/inner/global/networks/vpc",
                "subnetwork": "projects/inner/regions/us-central1/subnetworks/subnet",
            },
            "serviceAccount": {"email": "dmz-machine@inner.iam.gserviceaccount.com"},
            "metadata": {"dmz-settings": "{}"},
        }
        return f"v2/projects/inner/locations/us-central1-a/nodes?nodeId={name}", body | fields


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "sandbox")
    yield made
    made.close()
