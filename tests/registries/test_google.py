"""Retries, tokens and operations against a real server."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest

from dmz.errors import InputError, TransferError
from dmz.registries import objects
from dmz.registries.bucket import Bucket
from dmz.registries.endpoints import Endpoints, upload_base
from dmz.registries.failures import failure
from dmz.registries.google import Google, connect
from dmz.registries.retry import Retry
from tests.registries.conftest import FAST, as_sync
from tests.registries.counterpart import CALLER, SYNC, Counterpart, Fault
from tests.registries.support import stream

BUCKET = "/storage/v1/b/box/o"


class TestRetries:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_passing_failure_is_tried_again(self, cloud: Counterpart, status: int) -> None:
        cloud.buckets["box"] = {"a": b"x"}
        cloud.faults.append(Fault("GET", BUCKET, status=status, times=2))
        answer = as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert answer["items"][0]["name"] == "a"
        assert [path for method, path, _ in cloud.requests if method == "GET"] == [BUCKET] * 3

    def test_a_broken_connection_is_tried_again(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {"a": b"x"}
        cloud.faults.append(Fault("GET", BUCKET, truncate=True))
        answer = as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert answer["items"][0]["name"] == "a"

    def test_it_gives_up_with_one_line(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        cloud.faults.append(Fault("GET", BUCKET, status=503, times=99))
        with pytest.raises(TransferError, match=r"503 it fails as told; try again") as caught:
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert "\n" not in str(caught.value)
        assert len([path for _, path, _ in cloud.requests if path == BUCKET]) == FAST.attempts

    def test_a_refusal_is_not_tried_again(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        cloud.faults.append(Fault("GET", BUCKET, status=403, times=99))
        with pytest.raises(TransferError, match="lacks a role"):
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert len([path for _, path, _ in cloud.requests if path == BUCKET]) == 1

    def test_a_post_is_not_repeated_unless_it_may_be(self, cloud: Counterpart) -> None:
        cloud.add("p/r", "PYTHON")
        cloud.faults.append(Fault("POST", "batchDelete", status=503, times=99))
        url = f"{cloud.url}/v1/projects/p/locations/l/repositories/r/packages/x/versions:batchDelete"
        with pytest.raises(TransferError, match="503"):
            as_sync(lambda google: google.call("POST", url, json={"names": []}))
        assert len([path for _, path, _ in cloud.requests if "batchDelete" in path]) == 1

    def test_what_a_quota_turned_away_is_repeated_whatever_it_is(self, cloud: Counterpart) -> None:
        cloud.add("p/r", "PYTHON")
        cloud.faults.append(Fault("POST", "batchDelete", status=429))
        url = f"{cloud.url}/v1/projects/p/locations/l/repositories/r/packages/x/versions:batchDelete"
        as_sync(lambda google: google.call("POST", url, json={"names": []}))
        assert len([path for _, path, _ in cloud.requests if "batchDelete" in path]) == 2

    @pytest.mark.parametrize("fault", [{"reset": True}, {"lost": True}], ids=["reset", "lost"])
    def test_a_connection_that_is_reset(self, cloud: Counterpart, fault: dict[str, bool]) -> None:
        cloud.buckets["box"] = {"a": b"x"}
        cloud.faults.append(Fault("GET", BUCKET, **fault))  # type: ignore[arg-type]
        answer = as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert answer["items"][0]["name"] == "a"

    def test_a_server_that_never_answers(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        cloud.faults.append(Fault("GET", BUCKET, silent=True, times=99))
        impatient = Retry(attempts=2, first=0.001, most=0.01, answer=0.05)

        async def wait() -> None:
            async with connect("us-central1", impersonate=SYNC, retry=impatient) as google:
                await google.call("GET", f"{google.endpoints.storage}b/box/o")

        with pytest.raises(TransferError, match="gave no answer"):
            asyncio.run(wait())
        assert len([path for _, path, _ in cloud.requests if path == BUCKET]) == 2

    @pytest.mark.parametrize("text", ["", "[]", "<html>", '"x"', "[" * 100_000])
    def test_nothing_is_concluded_from_an_answer_that_is_none(self, cloud: Counterpart, text: str) -> None:
        cloud.buckets["box"] = {"a": b"x"}
        cloud.faults.append(Fault("GET", BUCKET, text=text or " "))
        with pytest.raises(TransferError, match="no JSON object"):
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))

    def test_a_refusal_that_cannot_be_read_is_one_all_the_same(self) -> None:
        told = failure("box", httpx.Response(403, text='{"error": ' + "[" * 100_000))
        assert "lacks a role" in str(told)

    def test_retry_after_is_honoured_up_to_the_limit(self) -> None:
        retry = Retry(first=0.1, most=5)
        assert 0.05 <= retry.wait(1, None) <= 0.1
        assert retry.wait(1, "3") == 3
        assert retry.wait(1, "600") == 5
        assert retry.wait(1, "Wed, 21 Oct 2015 07:28:00 GMT") <= 0.1
        assert retry.wait(1, "soon") <= 0.1

    def test_nobody_there(self, cloud: Counterpart) -> None:
        with pytest.raises(TransferError, match=r"127\.0\.0\.1:9 gave no answer"):
            as_sync(lambda google: google.call("GET", "http://127.0.0.1:9/x"))


class TestTokens:
    def test_requests_carry_the_lent_identity(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert [identity for _, _, identity in cloud.requests] == ["caller", "sync"]

    def test_one_token_serves_many_requests(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}

        async def twice(google: Google) -> None:
            url = f"{google.endpoints.storage}b/box/o"
            await asyncio.gather(*(google.call("GET", url) for _ in range(5)))

        as_sync(twice)
        assert [identity for _, _, identity in cloud.requests].count("caller") == 1

    def test_a_token_is_renewed_before_it_ends(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        cloud.token_seconds = 200  # less than the margin

        async def twice(google: Google) -> None:
            for _ in range(2):
                await google.call("GET", f"{google.endpoints.storage}b/box/o")

        as_sync(twice)
        assert [identity for _, _, identity in cloud.requests] == ["caller", *["caller", "sync"] * 2]

    def test_a_token_that_ends_early_is_renewed_and_the_request_sent_again(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        cloud.token_serves = 3

        async def often(google: Google) -> None:
            for _ in range(8):
                await google.call("GET", f"{google.endpoints.storage}b/box/o")

        as_sync(often)
        assert [identity for _, _, identity in cloud.requests].count("sync") == 8
        assert [identity for _, _, identity in cloud.requests].count("nobody") == 2

    def test_a_streamed_upload_fails_and_the_next_has_a_new_token(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        cloud.token_serves = 1

        async def twice(google: Google) -> None:
            await google.call("GET", f"{google.endpoints.storage}b/box/o")
            with pytest.raises(TransferError, match="token is not accepted"):
                await put(google)
            await put(google)

        async def put(google: Google) -> None:
            await objects.create(Bucket(google, "box"), "a", stream(b"xyz"), 3, "box/a")

        as_sync(twice)
        assert cloud.buckets["box"] == {"a": b"xyz"}

    def test_a_token_that_is_never_accepted(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}
        cloud.token_serves = 0
        with pytest.raises(TransferError, match=r"401.*log in again"):
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert [identity for _, _, identity in cloud.requests].count("nobody") == 2

    def test_the_callers_own_that_ended(self, cloud: Counterpart, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "ended")
        with pytest.raises(InputError, match=r"may not act as .*log in again"):
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))

    @pytest.mark.parametrize("given", ["to\nken", "to ken", "t\u00f6ken"])
    def test_what_can_be_no_token_is_not_sent_and_not_shown(
        self, cloud: Counterpart, monkeypatch: pytest.MonkeyPatch, given: str
    ) -> None:
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", given)
        with pytest.raises(InputError, match="is no access token") as caught:
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert given not in str(caught.value)
        assert not cloud.requests

    def test_a_line_end_behind_a_token_is_none_of_it(
        self, cloud: Counterpart, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cloud.buckets["box"] = {}
        monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", f"{CALLER}\n")
        as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))

    def test_an_answer_that_is_no_token(self, cloud: Counterpart) -> None:
        cloud.faults.append(Fault("POST", "generateAccessToken", text="{}"))
        with pytest.raises(TransferError, match="no token for"):
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))

    def test_without_the_right_to_impersonate(self, cloud: Counterpart) -> None:
        cloud.may_impersonate = False
        with pytest.raises(InputError, match=r"may not act as dmz-sync@.*dmz:operators"):
            as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))

    def test_the_callers_own_identity(self, cloud: Counterpart) -> None:
        cloud.buckets["box"] = {}

        async def own() -> None:
            async with connect("us-central1", retry=FAST) as google:
                await google.call("GET", f"{google.endpoints.storage}b/box/o")

        asyncio.run(own())
        assert [identity for _, _, identity in cloud.requests] == ["caller"]

    def test_tokens_are_not_logged(self, cloud: Counterpart, caplog: pytest.LogCaptureFixture) -> None:
        cloud.buckets["box"] = {}
        caplog.set_level(logging.DEBUG)
        as_sync(lambda google: google.call("GET", f"{google.endpoints.storage}b/box/o"))
        assert "HTTP Request" in caplog.text, "nothing was logged, so this shows nothing"
        assert "token-of" not in caplog.text


class TestEndpoints:
    def test_defaults_are_googles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in Counterpart().environment():
            monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
        endpoints = Endpoints.from_environment("us-central1")
        assert endpoints.python == "https://us-central1-python.pkg.dev/"
        assert endpoints.apt == "https://us-central1-apt.pkg.dev/"
        assert endpoints.artifact_registry == "https://artifactregistry.googleapis.com/v1/"

    def test_uploads_go_beside(self) -> None:
        assert upload_base("http://127.0.0.1:1/storage/v1/") == "http://127.0.0.1:1/upload/storage/v1/"
