"""Whom a token stands for, as Google's endpoint for that says it."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from sandbox.cloud.context import OPERATOR
from sandbox.cloud.endpoints import variables
from sandbox.cloud.tokens import CLOUD_PLATFORM, EMAIL
from tests.sandbox.cloud.conftest import Box


def ask(box: Box, token: str, **options: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-www-form-urlencoded"}
    return box.client.post(f"{box.cloud.endpoints['oauth2']}/tokeninfo", headers=headers)


class TestTokenInfo:
    def test_a_person(self, box: Box) -> None:
        answer = ask(box, box.token)
        assert answer.status_code == 200
        said = answer.json()
        assert said["email"] == OPERATOR.partition(":")[2]
        assert said["email_verified"] == "true"
        assert abs(int(said["exp"]) - int(said["expires_in"]) - time.time()) < 60
        assert EMAIL in said["scope"].split()

    def test_a_form_instead_of_a_header(self, box: Box) -> None:
        url = f"{box.cloud.endpoints['oauth2']}/tokeninfo"
        assert box.client.post(url, data={"access_token": box.token}).json()["access_type"] == "online"

    def test_an_account_says_its_email_only_with_that_scope(self, box: Box) -> None:
        email = box.account("dmz-sync")
        account = f"v1/projects/inner/serviceAccounts/{email}"
        binding = {"role": "roles/iam.serviceAccountTokenCreator", "members": [OPERATOR]}
        box.call("POST", "iam", f"{account}:setIamPolicy", {"policy": {"bindings": [binding]}})
        number = box.call("GET", "iam", account)["uniqueId"]
        cases: list[tuple[list[str], str | None]] = [
            ([CLOUD_PLATFORM], None),
            ([CLOUD_PLATFORM, EMAIL], email),
        ]
        for scopes, said in cases:
            made = box.call(
                "POST",
                "iamcredentials",
                f"v1/projects/-/serviceAccounts/{email}:generateAccessToken",
                {"scope": scopes},
            )
            answer = ask(box, made["accessToken"]).json()
            assert answer.get("email") == said
            assert answer["scope"] == " ".join(scopes)
            assert answer["azp"] == number

    @pytest.mark.parametrize("token", ["none", "ya29.other", "expired"])
    def test_what_is_no_token_any_more(self, box: Box, token: str) -> None:
        if token == "expired":
            token = box.cloud.tokens.issue(OPERATOR, lifetime=-1)
        answer = ask(box, token)
        assert answer.status_code == 400
        assert answer.json() == {"error": "invalid_token", "error_description": "Invalid Value"}

    def test_no_token_from_the_address_and_none_in_the_log(self, box: Box) -> None:
        url = f"{box.cloud.endpoints['oauth2']}/tokeninfo"
        assert box.client.post(url, params={"access_token": box.token}).status_code == 400
        assert box.token not in (box.cloud.root / "requests.jsonl").read_text()

    def test_clients_are_led_here(self, box: Box) -> None:
        (box.cloud.root / "operator.token").write_text("t")
        ports = json.loads((box.cloud.root / "ports.json").read_text())
        endpoint = variables(box.cloud.root, ports, {})["DMZ_OAUTH2_ENDPOINT"]
        assert endpoint == f"{box.cloud.endpoints['oauth2']}/"
