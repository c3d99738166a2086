"""The policy file: what parses, and what is refused because it would be unsafe."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.errors import InputError
from dmz.promotion.finding import Severity
from dmz.promotion.policy import Policy
from dmz.promotion.rules.kinds import KINDS
from dmz.promotion.rules.rule import Effect
from dmz.promotion.rules.severity import SeverityRule
from tests.promotion.rules.cases import HEAD, MALWARE, SEVERITY, policy, rule, said

SHIPPED = Path(__file__).parents[2] / "policy.toml"
GOOD = HEAD + SEVERITY + MALWARE


def refused(text: str | bytes) -> str:
    """The one line of a policy that does not parse."""
    body = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InputError, match=r"^policy\.toml: ") as error:
        Policy.parse(body, Path("policy.toml"))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_policy_is_named_by_the_digest_of_its_bytes() -> None:
    made = policy()
    assert made.digest == hashlib.sha256(GOOD.encode()).hexdigest()
    assert [each.name for each in made.rules] == ["severity", "malware"]
    assert made.limits.advisories_max_age == timedelta(days=2)
    assert made.sources.advisories == "advisories"
    assert made.sources.artifact_analysis is False


def test_the_shipped_policy_parses_and_has_every_kind_of_rule() -> None:
    made = Policy.read(SHIPPED)
    assert {each.kind for each in made.rules} == set(KINDS)
    effects = {each.name: each.effect for each in made.rules}
    assert [name for name, effect in effects.items() if effect is not Effect.REFUSE] == [
        "unsupported",
        "attestations",
        "abandoned",
    ]


def test_two_rules_may_be_of_one_kind() -> None:
    strict = (
        '[rules.strict]\nkind = "severity"\nsentence = "On trial."\neffect = "dry-run"\nthreshold = "low"'
    )
    made = policy(strict)
    assert [each.name for each in made.rules] == ["severity", "malware", "strict"]
    assert isinstance(made.rules[2], SeverityRule)
    assert set(made.rules[2].threshold.values()) == {Severity.LOW}


@pytest.mark.parametrize(
    ("given", "instead", "words"),
    [
        (SEVERITY, "", "no rule of the kind severity"),
        (SEVERITY, SEVERITY.replace("refuse", "warn"), "no rule of the kind severity"),
        (SEVERITY, SEVERITY.replace("refuse", "dry-run"), "no rule of the kind severity"),
        (MALWARE, "", "no rule of the kind malware"),
        (MALWARE, MALWARE.replace("refuse", "warn"), 'rules.malware: .*no other effect than "refuse"'),
        ('effect = "refuse"\nthreshold', "threshold", "rules.severity: 'effect' is missing; add it"),
        (
            'effect = "refuse"\nthreshold',
            'effect = "deny"\nthreshold',
            "'deny' is none of refuse, warn, dry-run",
        ),
        ('effect = "refuse"\nthreshold', 'efect = "refuse"\nthreshold', "did you mean 'effect'?"),
        ('threshold = "high"', "", "'threshold' is missing"),
        ('threshold = "high"', 'threshold = "hihg"', "'hihg' is no severity"),
        ('threshold = "high"', "threshold = 3", "'3' is no severity"),
        ('threshold = "high"', 'threshold = { PyPI = "low" }', "Debian, Ubuntu is missing"),
        ('threshold = "high"', 'threshold = { npm = "low" }', "there is no ecosystem 'npm'"),
        ('sentence = "No attacks."', "", "'sentence' is missing"),
        ('sentence = "No attacks."', 'sentence = " "', "what the rule is for"),
        ("[rules.malware]", "[rules.malwares]", "did you mean 'malware'?"),
        ("[rules.malware]", '[rules.malware]\nkind = "moods"', "there is no kind of rule 'moods'"),
        ("[rules.malware]", '[rules.malware]\nname = "x"', "remove the key 'name'"),
        ("[sources]", "[source]", "did you mean 'sources'?"),
        ("[limits]", "[limits]\nadvisories-age = 1", "did you mean 'advisories-max-age'?"),
        ('advisories-max-age = "2 days"', 'advisories-max-age = "-2 days"', "no duration"),
        ('advisories-max-age = "2 days"', 'advisories-max-age = "0 days"', "no duration"),
        ('advisories-max-age = "2 days"', 'advisories-max-age = "101 years"', "at most '100 years'"),
        ('advisories-max-age = "2 days"', "", "'advisories-max-age' is missing"),
        ('attestation-max-age = "30 days"', "", "'attestation-max-age' is missing"),
        ('advisories = "advisories"', "", "'advisories' is missing"),
        ('advisories = "advisories"', 'advisories = ""', "it is no path"),
        ('advisories = "advisories"', 'advisories = "a"\ndeny-list = "d"', "no rule of the kind denied"),
        (
            'advisories = "advisories"',
            'advisories = "a"\nend-of-life = ["e"]',
            "no rule of the kind unsupported",
        ),
        ('advisories = "advisories"', 'advisories = "a"\nartifact-analysis = "yes"', "artifact-analysis"),
        ("[sources]", "rules = 1\n[sources]", "no TOML|no table|rules"),
    ],
)
def test_an_unsafe_policy_does_not_parse(given: str, instead: str, words: str) -> None:
    assert given in GOOD
    assert re.search(words, refused(GOOD.replace(given, instead, 1)))


def test_a_deny_list_needs_a_rule_that_refuses() -> None:
    head = HEAD.replace('advisories = "advisories"', 'advisories = "a"\ndeny-list = "d"')
    policy(rule("denied"), head=head)
    with pytest.raises(InputError, match="no rule of the kind denied refuses"):
        policy(rule("denied", effect="warn"), head=head)


def test_a_policy_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such policy"):
        Policy.read(tmp_path / "policy.toml")
    with pytest.raises(InputError, match="unreadable"):
        Policy.read(tmp_path)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[", b"rules = []", b"rules = 1\nlimits = 2\nsources = 3", b"a" * (1 << 21)]
)
def test_bytes_that_are_no_policy_are_refused_in_one_line(body: bytes) -> None:
    refused(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(body: bytes) -> None:
    refused(body)


word = st.sampled_from(
    [
        "1",
        "-1",
        "true",
        "[]",
        "{}",
        '""',
        '"all"',
        '"7 days"',
        '"high"',
        '"refuse"',
        '["MIT"]',
        '["a", "a"]',
        "[1]",
    ]
    + [
        '{ PyPI = "low" }',
        '{ PyPI = "pass", Debian = "warn", Ubuntu = "refuse" }',
        "1979-05-27",
        '["*"]',
        "[[]]",
    ]
)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_any_settings_of_a_rule_are_a_rule_or_refused_in_one_line(kind: str, data: st.DataObject) -> None:
    keys = [field.alias or name for name, field in KINDS[kind].model_fields.items()]
    settings = data.draw(st.dictionaries(st.sampled_from(keys), word))
    table = "".join(f"{key} = {value}\n" for key, value in settings.items())
    message = said(lambda: policy(f'[rules.tried]\nkind = "{kind}"\n{table}'))
    assert not message or message.startswith("policy.toml: rules.tried: ")
    assert "\n" not in message
