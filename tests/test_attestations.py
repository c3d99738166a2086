"""The two verifiers, the sync's and the sealed machine's: what they refuse, and that they agree."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmz.errors import InputError, RefusedError
from dmz.machine.agent import attestation as machine
from dmz.machine.agent.command import StepError
from dmz.promotion.attestation import Expected, verify
from dmz.promotion.dsse import Envelope, pae
from dmz.promotion.statement import PAYLOAD_TYPE
from tests.attestations import (
    DAY,
    FORGERIES,
    LOCKS,
    NOW,
    Forgery,
    attestation,
    envelope,
    expected,
    good,
    pem,
    said,
    signature,
    trust,
)

Verifier = Callable[[bytes, Expected], str]
"""Returns the condition that is broken, or an empty text."""


def _condition(error: Exception) -> str:
    text = str(error)
    assert "\n" not in text
    prefix, condition, rest = text.split(": ", 2)
    assert prefix == "attestation"
    assert rest.startswith("found ")
    assert ", expected " in rest
    assert "; " in rest
    return condition


def by_the_sync(data: bytes, wanted: Expected) -> str:
    try:
        verify(data, wanted)
    except RefusedError as error:
        return _condition(error)
    return ""


def by_the_machine(data: bytes, wanted: Expected) -> str:
    told = {
        "key": wanted.trust.key,
        "verifier": wanted.trust.verifier,
        "resource_uri": wanted.resource_uri,
        "policy_digest": wanted.trust.policy_digest,
        "max_age_seconds": int(wanted.trust.max_age.total_seconds()),
    }
    try:
        machine.verify(data, told, wanted.release_digest, wanted.locks, wanted.now)
    except StepError as error:
        return _condition(error)
    return ""


GOOD = good()
"""One and the same: a signature has a length that differs from one to the next."""

BOTH = pytest.mark.parametrize("verifier", [by_the_sync, by_the_machine])


@BOTH
class TestWhatPasses:
    def test_a_good_one(self, verifier: Verifier) -> None:
        assert verifier(good(), expected()) == ""

    def test_until_the_last_moment(self, verifier: Verifier) -> None:
        assert verifier(good(time_verified=NOW - 7 * DAY), expected()) == ""
        assert verifier(good(time_verified=NOW + timedelta(minutes=5)), expected()) == ""

        assert verifier(good(), expected(now=NOW + DAY)) == "", "a waiver covers the whole of its last second"

    def test_one_of_several_signatures_is_enough(self, verifier: Verifier) -> None:
        payload = attestation().statement()
        others = [signature(payload, which="somebody's"), {"sig": "AAAA"}]
        assert verifier(envelope(payload, signatures=[*others, signature(payload)]), expected()) == ""

    def test_a_key_id_decides_nothing(self, verifier: Verifier) -> None:
        payload = attestation().statement()
        named = {**signature(payload), "keyid": "another"}
        assert verifier(envelope(payload, signatures=[named]), expected()) == ""

    def test_url_safe_base64(self, verifier: Verifier) -> None:
        document = json.loads(good())
        document["payload"] = document["payload"].replace("+", "-").replace("/", "_")
        [one] = document["signatures"]
        one["sig"] = one["sig"].replace("+", "-").replace("/", "_")
        assert verifier(json.dumps(document).encode(), expected()) == ""

    def test_what_is_unknown_is_passed_over(self, verifier: Verifier) -> None:
        def change(document: dict[str, Any]) -> None:
            document["predicate"]["https://example.com/note"] = "hello"
            document["predicate"]["slsaVersion"] = "1.1"
            document["predicate"]["inputAttestations"] += [{"uri": "x"}, {"annotations": {"role": "new"}}]
            document["subject"].insert(0, {"name": "other", "digest": {"sha256": "0" * 64}})
            document["predicate"]["verifiedLevels"].append("SLSA_BUILD_LEVEL_1")

        assert verifier(said(change), expected()) == ""


@BOTH
class TestWhatDoesNot:
    @pytest.mark.parametrize("forgery", FORGERIES, ids=str)
    def test_a_forgery_is_refused_by_its_condition(self, verifier: Verifier, forgery: Forgery) -> None:
        assert verifier(forgery.make(), expected()) == forgery.condition

    @pytest.mark.parametrize(
        ("changes", "condition"),
        [
            ({"trust": trust(key=pem("somebody's"))}, "signature"),
            ({"release_digest": "0" * 64}, "subject"),
            ({"trust": trust(verifier="https://example.com/other")}, "verifier"),
            ({"resource_uri": "https://example.com/"}, "resourceUri"),
            ({"trust": trust(policy_digest="0" * 64)}, "policy"),
            ({"now": NOW + 8 * DAY}, "timeVerified"),
            ({"now": NOW - DAY}, "timeVerified"),
            ({"now": NOW + DAY + timedelta(seconds=1)}, "waiver"),
            ({"locks": {**LOCKS, "apt.small.lock": "0" * 64}}, "locks"),
        ],
    )
    def test_a_good_one_where_something_else_is_expected(
        self, verifier: Verifier, changes: dict[str, Any], condition: str
    ) -> None:
        assert verifier(good(), expected(**changes)) == condition


class TestAgreement:
    """Whatever the bytes are, the two say the same, and nothing but their own refusal."""

    def agree(self, data: bytes) -> None:
        assert by_the_sync(data, expected()) == by_the_machine(data, expected())

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.binary(max_size=60))
    def test_on_any_bytes(self, data: bytes) -> None:
        self.agree(data)

    @settings(max_examples=120, deadline=None, database=None)
    @given(st.data())
    def test_on_envelopes_with_a_few_bytes_changed(self, data: st.DataObject) -> None:
        body = bytearray(GOOD)
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(body) - 1))
            match data.draw(st.sampled_from(["set", "cut", "put"])):
                case "set":
                    body[at] = data.draw(st.integers(0, 255))
                case "cut":
                    del body[at : at + data.draw(st.integers(1, 4))]
                case _:
                    body[at:at] = data.draw(st.binary(max_size=4))
        self.agree(bytes(body))

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_on_statements_with_anything_anywhere_well_signed(self, data: st.DataObject) -> None:
        document = json.loads(attestation().statement())
        at, key = _somewhere(document, data)
        if data.draw(st.booleans()):
            at[key] = data.draw(self.json_values | st.sampled_from(["PASSED", "lock", "waiver", LOCKS]))
        elif isinstance(at, dict):
            del at[key]
        else:
            at.append(at[key])
        self.agree(envelope(json.dumps(document).encode()))

    @settings(max_examples=60, deadline=None, database=None)
    @given(json_values)
    def test_on_any_payload_well_signed(self, value: Any) -> None:
        self.agree(envelope(json.dumps(value).encode()))

    @settings(max_examples=60, deadline=None, database=None)
    @given(st.data())
    def test_on_envelopes_with_anything_anywhere(self, data: st.DataObject) -> None:
        document = json.loads(GOOD)
        at, key = _somewhere(document, data)
        at[key] = data.draw(self.json_values)
        self.agree(json.dumps(document).encode())


def _somewhere(document: Any, data: st.DataObject) -> tuple[Any, Any]:
    """A place in a JSON document."""
    while True:
        key = data.draw(
            st.sampled_from(sorted(document) if isinstance(document, dict) else range(len(document)))
        )
        deeper = document[key]
        if not isinstance(deeper, dict | list) or not deeper or data.draw(st.booleans()):
            return document, key
        document = deeper


class TestWords:
    """A refusal says what was found, what was expected, and what to do."""

    def test_too_old(self) -> None:
        with pytest.raises(RefusedError) as caught:
            verify(good(time_verified=NOW - 8 * DAY), expected())
        assert str(caught.value) == (
            "attestation: timeVerified: found 2026-11-14T12:00:00Z, which is too long ago, expected "
            "at most 7 days, as the policy says; attest it anew: dmz attest"
        )

    def test_the_locks_that_differ_are_named(self) -> None:
        with pytest.raises(RefusedError, match=r"found pylock\.small\.toml b{64}, expected 0{64}; "):
            verify(good(), expected(locks={**LOCKS, "pylock.small.toml": "0" * 64}))

    def test_what_verify_returns_is_what_was_attested(self) -> None:
        found = verify(good(), expected())
        made = attestation()
        assert sorted(found.inputs) == sorted(made.inputs)
        assert {**vars(found), "inputs": ()} == {**vars(made), "inputs": ()}
        assert found.statement() == made.statement()


class TestKeys:
    @pytest.mark.parametrize(
        "key", ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
    )
    def test_a_key_that_is_none(self, key: str) -> None:
        with pytest.raises(InputError, match="attestationPublicKey"):
            verify(good(), expected(trust=trust(key=key)))
        assert by_the_machine(good(), expected(trust=trust(key=key))) == "signature"

    @pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()], ids=lambda curve: curve.name)
    def test_a_key_on_another_curve(self, curve: ec.EllipticCurve) -> None:
        key, payload = ec.generate_private_key(curve), attestation().statement()
        text = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        made = key.sign(pae(PAYLOAD_TYPE, payload), ec.ECDSA(SHA256()))
        signed = envelope(payload, signatures=[{"sig": base64.b64encode(made).decode()}])
        with pytest.raises(InputError, match="P-256"):
            verify(signed, expected(trust=trust(key=text)))
        assert by_the_machine(signed, expected(trust=trust(key=text))) == "signature"

    def test_the_point_may_be_compressed(self) -> None:
        command = ["openssl", "ec", "-pubin", "-conv_form", "compressed"]
        text = subprocess.run(command, input=pem(), capture_output=True, text=True, check=True).stdout
        assert len(text) < len(pem())
        wanted = expected(trust=trust(key=text))
        assert by_the_sync(good(), wanted) == by_the_machine(good(), wanted) == ""

    def test_an_image_without_openssl(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        assert shutil.which("openssl")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(StepError, match="no openssl"):
            machine.verify(good(), {"key": pem(), "verifier": ""}, "", {}, NOW)


class TestDsse:
    def test_the_specifications_own_example(self) -> None:
        """https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, "Test Vectors"."""
        kind, body = "http://example.com/HelloWorld", b"hello world"
        assert pae(kind, body) == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        numbers = ec.EllipticCurvePublicNumbers(
            46950820868899156662930047687818585632848591499744589407958293238635476079160,
            5640078356564379163099075877009565129882514886557779369047442380624545832820,
            ec.SECP256R1(),
        )
        raw = base64.b64decode(
            "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
        )
        # The example writes the two numbers one after the other; KMS writes them as ASN.1.
        der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        made = envelope(body, kind=kind, signatures=[{"sig": base64.b64encode(der).decode()}])
        key = numbers.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        assert Envelope.parse(made).signed_by(key)
        assert not Envelope.parse(made).signed_by(pem())

    def test_an_envelope_reads_back(self) -> None:
        made = Envelope.parse(good())
        assert Envelope.parse(made.render()) == made
