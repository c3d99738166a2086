"""The tests' own tools: what they are there to see, they do see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from multidict import CIMultiDict

from tests.faults.afterwards import everything_is_right, repeated
from tests.faults.faults import FAULTS, Fault
from tests.faults.proxy import Answer, Exchange
from tests.faults.reader import Reader, watching
from tests.faults.steps import UNKNOWN, named, step_of
from tests.faults.strangers import put_deb, put_file, put_wheel
from tests.faults.syncing import run
from tests.faults.world import Inner


@pytest.mark.parametrize("put", [put_wheel, put_deb, lambda inner, _: put_file(inner)])
def test_the_reader_sees_what_nobody_approved(
    inner: Inner, tmp_path: Path, put: Callable[[Inner, Path], str]
) -> None:
    with watching(inner) as reader:
        digest = put(inner, tmp_path)
    assert any(digest in complaint for complaint in reader.complaints)
    run(inner.later, inner.before)
    everything_is_right(inner)


def test_the_reader_sees_a_release_that_is_not_there(inner: Inner) -> None:
    (digest,) = inner.later.releases.values()
    body = json.dumps({"workload": "small", "digest": digest}).encode()
    inner.world.write(inner.bucket, "current/small.json", body)
    reader = Reader(inner)
    reader.look()
    reader.close()
    assert any("can't be read" in complaint for complaint in reader.complaints)


def test_an_inner_side_that_holds_the_earlier_release_is_not_right(inner: Inner) -> None:
    with pytest.raises(AssertionError):
        everything_is_right(inner)


def test_an_upload_that_the_cloud_took_twice_is_seen() -> None:
    step = named("upload wheel")
    head = b'Content-Disposition: form-data; name="content"; filename="a-1.whl"\r\n'
    once = Exchange(0, step, "POST", "/", head, statuses=[503, 200])
    assert repeated([once, Exchange(1, step, "POST", "/", head, statuses=[400])]) == []
    assert repeated([once, Exchange(1, step, "POST", "/", head, statuses=[200])]) != []


def test_a_request_of_no_kind_is_unknown() -> None:
    assert step_of("storage", "PATCH", "/storage/v1/b/inner-1-release/o/current%2Fsmall.json") is UNKNOWN


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.fits(named("list Python"))], ids=str)
def test_each_fault_makes_a_difference(model: Inner, fault: Fault) -> None:
    """What comes through the proxy is not what the cloud answers, or comes at another time."""
    proxy, box = model.world.proxy, model.world.box
    proxy.forget()
    path = f"/v1/projects/{model.project}/locations/us-central1/repositories/python/files?pageSize=1000"
    headers = {"Authorization": f"Bearer {box.token}"}
    right = box.client.get(box.cloud.endpoints["artifactregistry"] + path, headers=headers)
    if fault.name == "lags":
        proxy.stale[path] = Answer(200, CIMultiDict(), b"stale")
    proxy.inject(named("list Python"), fault.name, fault.action)
    try:
        got = box.client.get(
            proxy.addresses["artifactregistry"] + path, headers=headers, timeout=0.3 if fault.hangs else 30
        )
        changed = (got.status_code, got.content) != (right.status_code, right.content)
    except httpx.TransportError:
        changed = True
    assert changed or len(proxy.exchanges[-1].statuses) == 2
