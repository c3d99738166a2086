"""A small server that stands for Google's APIs: it records calls and keeps what it is given.

It knows only as much of each API as a provider needs to go through a resource's life. The first part of a
path names the service, as the endpoints that :meth:`Recorder.environment` gives have it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Body = dict[str, Any]
NAMES = ("name", "responsePolicyName", "ruleName")
BASES = {
    "ARTIFACT_REGISTRY": "artifactregistry/v1",
    "COMPUTE": "compute/compute/beta",
    "DNS": "dns/dns/v1beta2",
    "IAM_BETA": "iam/v1",
    "KMS": "cloudkms/v1",
    "RESOURCE_MANAGER": "cloudresourcemanager/v1",
    "SERVICE_USAGE": "serviceusage/v1",
    "STORAGE": "storage/storage/v1",
    "TPU_V2": "tpu/v2",
}


@dataclass(frozen=True)
class Call:
    """One request; the path is without the service."""

    service: str
    http: str
    path: str
    query: dict[str, str]
    body: Any

    def row(self) -> Body:
        """The form of the recording: what is not there is left out."""
        row: Body = {"http": self.http, "path": self.path}
        return (
            row
            | ({"query": self.query} if self.query else {})
            | ({} if self.body is None else {"body": self.body})
        )


@dataclass
class Recorder:
    """The server's memory."""

    address: str = ""
    calls: list[Call] = field(default_factory=list)
    resources: dict[str, Body] = field(default_factory=dict)
    policies: dict[str, Body] = field(default_factory=dict)
    operations: dict[str, Body] = field(default_factory=dict)
    failing: dict[tuple[str, str], list[tuple[int, Body]]] = field(default_factory=dict)
    """Answers to give instead, by method and path, each once."""
    tokens: set[str] = field(default_factory=set)

    def environment(self) -> dict[str, str]:
        """The variables that point a provider here."""
        return {f"GOOGLE_{name}_CUSTOM_ENDPOINT": f"{self.address}/{base}/" for name, base in BASES.items()}

    def writes(self) -> list[Call]:
        """The calls that are no reads."""
        return [call for call in self.calls if call.http != "GET"]

    def answer(self, call: Call) -> tuple[int, Body]:
        """What the service says."""
        self.calls.append(call)
        if instead := self.failing.get((call.http, call.path)):
            return instead.pop(0)
        if "/operations/" in call.path:
            operation = self.operations[call.path]
            return 200, operation | {"done": True, "status": "DONE"}
        if call.path.endswith((":getIamPolicy", ":setIamPolicy", "/iam")):
            return self.policy(call)
        if call.service == "serviceusage":
            return self.usage(call)
        if call.path.endswith(("/changes", "/rrsets")):
            return self.records(call)
        return getattr(self, call.http.lower())(call)  # type: ignore[no-any-return]

    def get(self, call: Call) -> tuple[int, Body]:
        if call.path in self.resources:
            return 200, self.resources[call.path]
        if call.path == "compute/beta/projects/123456789":
            return 200, {"name": "inner"}
        if call.path.endswith("/global/routes"):
            network = call.query["filter"].split('"')[1]
            routes = [item for path, item in self.resources.items() if path.startswith(call.path + "/")]
            return 200, {"items": [item for item in routes if network.endswith(item["network"])]}
        if call.path.endswith("/cryptoKeyVersions"):
            return 200, {}
        if call.path.endswith("/o"):
            objects = [item for path, item in self.resources.items() if path.startswith(call.path + "/")]
            return 200, {"items": objects}
        return missing(call)

    def post(self, call: Call) -> tuple[int, Body]:
        body = dict(call.body or {})
        parent, _, verb = call.path.rpartition("/")
        if call.service == "compute" and parent in self.resources:  # a custom method
            self.resources[parent] |= body
            return self.later(call, self.resources[parent])
        if verb.partition(":")[2] in ("enable", "disable"):
            self.resources[call.path.rpartition(":")[0]]["disabled"] = verb.endswith("disable")
            return 200, {}
        if call.service == "iam":
            account = body["serviceAccount"]
            email = f"{body['accountId']}@inner.iam.gserviceaccount.com"
            new = {
                **account,
                "name": "projects/inner/serviceAccounts/33",
                "email": email,
                "projectId": "inner",
            }
            self.resources["v1/projects/inner/serviceAccounts/33"] = new | {"uniqueId": "33", "etag": "e"}
            return 200, new
        ids = ("repository_id", "nodeId", "keyRingId", "cryptoKeyId")
        key = next((call.query[name] for name in ids if name in call.query), None)
        key = key or next(str(body[name]) for name in NAMES if name in body)
        path = f"{call.path}/{key}"
        if path in self.resources:
            return 409, error(409, "ALREADY_EXISTS", f"{key} already exists")
        self.resources[path] = self.completed(call, path, body)
        return self.later(call, self.resources[path])

    def completed(self, call: Call, path: str, body: Body) -> Body:
        match call.service:
            case "compute":
                address = f"{self.address}/compute/{path}"
                return body | {"id": "77", "selfLink": address, "fingerprint": "f", "creationTimestamp": "t"}
            case "artifactregistry" | "tpu" | "cloudkms":
                made = body | {"name": path.partition("/")[2], "createTime": "t", "updateTime": "t"}
                if call.service == "tpu":
                    made["networkEndpoints"] = [{"ipAddress": "10.0.1.2", "port": 8470, "accessConfig": {}}]
                return made
            case "storage":
                return body | {"projectNumber": "123456789", "location": body["location"].upper()}
            case _:
                return body | {"id": "5", "creationTime": "t", "nameServers": ["ns."]}

    def patch(self, call: Call) -> tuple[int, Body]:
        if call.path not in self.resources and not call.path.endswith("vpcscConfig"):
            return missing(call)
        body = dict(call.body)
        if call.service == "iam":
            body = body["serviceAccount"]
        known = self.resources.setdefault(call.path, {"name": call.path})
        if mask := call.query.get("updateMask"):
            for name in mask.split(","):
                known.pop(name, None)
            body = {name: body[name] for name in mask.split(",") if name in body}
        known |= body
        if call.service == "storage":
            labels = known.get("labels") or {}
            known["labels"] = {key: value for key, value in labels.items() if value is not None}
        return self.later(call, known)

    def put(self, call: Call) -> tuple[int, Body]:
        if call.path not in self.resources:
            return missing(call)
        self.resources[call.path] = dict(call.body)
        return 200, {"kind": "dns#operation", "status": "done"}

    def delete(self, call: Call) -> tuple[int, Body]:
        if self.resources.pop(call.path, None) is None:
            return missing(call)
        return self.later(call, {})

    def later(self, call: Call, result: Body) -> tuple[int, Body]:
        """An operation that is done at the next look, where the service answers with one."""
        number = str(len(self.operations) + 1)
        if call.service == "compute":
            project = call.path.split("/")[3]
            regional = "/regions/" in call.path
            region = call.path.split("/")[5] if regional else ""
            place = f"regions/{region}" if regional else "global"
            path = f"compute/beta/projects/{project}/{place}/operations/{number}"
            operation = {"kind": "compute#operation", "name": number, "status": "RUNNING"}
            operation["selfLink"] = f"{self.address}/compute/{path}"
            if regional:
                operation["region"] = f"https://x/{region}"
            self.operations[path] = operation
            return 200, operation
        if call.service in ("tpu", "artifactregistry") and call.http != "PATCH":
            version, _, rest = call.path.partition("/")
            name = "/".join(rest.split("/")[:4]) + f"/operations/{number}"
            self.operations[f"{version}/{name}"] = {"name": name, "response": result}
            return 200, {"name": name, "done": False}
        return 200, result

    def policy(self, call: Call) -> tuple[int, Body]:
        place = call.path.rsplit(":", 1)[0].removesuffix("/iam")
        policy = self.policies.setdefault(place, {"etag": "BwF="})
        if call.http == "PUT" or call.path.endswith(":setIamPolicy"):
            new = call.body if call.http == "PUT" else call.body["policy"]
            self.policies[place] = policy = {**new, "etag": "BwF="}
        return 200, policy

    def usage(self, call: Call) -> tuple[int, Body]:
        if call.http == "GET":
            return 200, {"services": [{"name": name} for name in self.resources if "/services/" in name]}
        name, _, verb = call.path.removeprefix("v1/").rpartition(":")
        if verb == "enable":
            self.resources[name] = {}
        else:
            self.resources.pop(name, None)
        self.operations["v1/operations/1"] = {"name": "operations/1"}
        return 200, {"name": "operations/1", "done": False}

    def records(self, call: Call) -> tuple[int, Body]:
        zone = call.path.rpartition("/")[0]
        known = self.resources.setdefault(f"{zone}/rrsets", {"rrsets": []})
        if call.http == "GET":
            found = [item for item in known["rrsets"] if call.query.items() <= item.items()]
            return 200, {"rrsets": found}
        for record in call.body.get("deletions", []):
            known["rrsets"].remove(record)
        known["rrsets"] += call.body.get("additions", [])
        self.resources[f"{zone}/changes/1"] = {"id": "1", "status": "done"}
        return 200, {"id": "1", "status": "pending"}


def error(status: int, reason: str, message: str) -> Body:
    """An error in Google's form."""
    return {"error": {"code": status, "status": reason, "message": message}}


def missing(call: Call) -> tuple[int, Body]:
    """404."""
    return 404, error(404, "NOT_FOUND", f"{call.path} was not found")


@contextmanager
def serve() -> Iterator[Recorder]:
    """A recorder on a port of 127.0.0.1."""
    recorder = Recorder()
    guard = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for head and body

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            service, _, path = parts.path.lstrip("/").partition("/")
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            recorder.tokens.add(self.headers.get("Authorization", ""))
            call = Call(
                service,
                self.command,
                path,
                dict(parse_qsl(parts.query)),
                json.loads(content) if content else None,
            )
            with guard:
                status, body = recorder.answer(call)
                text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
