"""Every call that the real provider plugin made, for what is used here, is answered as it expects."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from tests.sandbox.cloud.conftest import Box

CALLS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "provider-calls.jsonl").read_text().splitlines()
]
_SERVICES = {"iambeta": "iam"}
_RECORDED_ETAG = "BwF="
_RECORDED_ACCOUNT = "serviceAccounts/33"  # what the recording's server called the account `tpu-inner`
_ACCOUNT = "serviceAccounts/tpu-inner@inner.iam.gserviceaccount.com"


def present_etag(box: Box, service: str, path: str) -> str:
    if service == "storage":
        return str(box.call("GET", "storage", path)["etag"])
    verb = "POST" if service == "cloudresourcemanager" else "GET"
    return str(box.call(verb, service, path.replace("setIamPolicy", "getIamPolicy"))["etag"])


def replay(box: Box, call: dict[str, Any]) -> Any:
    service = _SERVICES.get(call["service"], call["service"])
    endpoint = box.cloud.endpoints["compute"]
    path = call["path"].replace(_RECORDED_ACCOUNT, _ACCOUNT)
    query = {
        key: value.replace("{endpoint}/compute", endpoint) for key, value in call.get("query", {}).items()
    }
    body = call.get("body")
    if body is not None:
        text = json.dumps(body)
        if _RECORDED_ETAG in text:
            text = text.replace(_RECORDED_ETAG, present_etag(box, service, path))
        body = json.loads(text.replace("{endpoint}/compute", endpoint))
        if service == "storage" and path.endswith("/iam"):
            # The plugin keeps what it read; the recording's server had no roles that a bucket begins with.
            present = box.call("GET", "storage", path)["bindings"]
            begins = [binding for binding in present if "legacy" in binding["role"]]
            body["bindings"] = [*body.get("bindings", []), *begins]
    answer = box.send(call["http"], service, path, body, **query)
    assert answer.status_code == call.get("status", answer.status_code), answer.text
    assert answer.is_success or "status" in call, f"{call['method']}: {answer.text}"
    content = answer.json() if answer.content and answer.is_success else {}
    if service == "tpu" and "done" in content:
        content = box.operation("tpu", "v2", content)
        assert "error" not in content
    return content


# Google gives the first three its own form, and takes the others without giving them back.
NOT_ECHOED = {
    "region",
    "name",
    "location",
    "deleteBgpAlwaysCompareMed",
    "disableUpstreamValidation",
    "initialNatIps",
}


def contained(wanted: Any, got: Any) -> bool:
    """Whether the answer repeats what was sent: addresses by their end, lists in order."""
    if isinstance(wanted, dict):
        return all(
            item is None or key in NOT_ECHOED or contained(item, got.get(key)) for key, item in wanted.items()
        )
    if isinstance(wanted, list):
        return len(wanted) == len(got or []) and all(map(contained, wanted, got or []))
    if isinstance(wanted, str) and isinstance(got, str) and "projects/" in wanted:
        return got.rpartition("projects/")[2] == wanted.rpartition("projects/")[2]
    return bool(wanted == got)


def test_every_recorded_call_is_answered(box: Box) -> None:
    box.cloud.store.put(
        "iam/projects/inner/serviceAccounts/vm@inner.iam.gserviceaccount.com",
        {"email": "vm@inner.iam.gserviceaccount.com"},
    )
    for call in CALLS:
        replay(box, call)


def test_what_was_sent_is_read_back(box: Box) -> None:
    """A `get` after a create has every field that was sent, or the next preview would show a difference."""
    box.cloud.store.put(
        "iam/projects/inner/serviceAccounts/vm@inner.iam.gserviceaccount.com",
        {"email": "vm@inner.iam.gserviceaccount.com"},
    )
    seen = set()
    for call, following in itertools.pairwise(CALLS):
        answer = replay(box, call)
        collection, _, verb = (call["method"] or "").rpartition(".")
        if verb in {"create", "insert"} and (following["method"] or "") == f"{collection}.get":
            answer = replay(box, following)
            sent = call["body"]["serviceAccount"] if call["service"] == "iambeta" else call["body"]
            assert contained(sent, answer), f"{call['method']}: {sent} is not in {answer}"
            seen.add(collection)
    assert len(seen) >= 10


def test_everything_is_gone_after_the_last_call(box: Box) -> None:
    box.cloud.store.put(
        "iam/projects/inner/serviceAccounts/vm@inner.iam.gserviceaccount.com",
        {"email": "vm@inner.iam.gserviceaccount.com"},
    )
    for call in CALLS:
        replay(box, call)
    left = {
        name
        for name in box.cloud.store.list("")
        if "/operations/" not in name
        and not name.startswith(("policies/", "projects/"))
        and "vm@" not in name
    }
    assert left == {"artifactregistry/projects/inner/locations/us-central1/vpcscConfig"}
