from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.provider import engine as engines
from tests.sandbox.provider import recorder as recorders


@pytest.fixture
def recorder() -> Iterator[recorders.Recorder]:
    with recorders.serve() as recorder:
        yield recorder


@pytest.fixture
def engine(recorder: recorders.Recorder, monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Engine]:
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "t0ken")
    with engines.serve(recorder.environment(), {"project": "inner"}) as engine:
        yield engine
