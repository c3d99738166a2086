"""`dmz policy`: what it shows without any stack, and its exit codes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dmz import targets
from dmz.cli import cli
from dmz.promotion import release as releases
from tests.promotion.builders import deb, release, wheel

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a release that has protobuf 6.31.0; a target that comes up fails the test."""

    def never(name: str, progress: object) -> None:
        raise AssertionError(f"{name} came up")

    monkeypatch.setattr(targets, "enter", never)
    monkeypatch.setenv("DMZ_CACHE", str(tmp_path / "cache"))
    for name in ("Pulumi.yaml", "Pulumi.outer.yaml", "Pulumi.inner.yaml", "policy.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("workloads", "advisories", "waivers"):
        shutil.copytree(ROOT / name, tmp_path / name)
    made = release(wheel("protobuf", "6.31.0"), wheel("numpy", "2.4.6"), deb("numactl", "2.0.16-1"))
    releases.write(made, tmp_path / "releases")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def line(result: Result, code: int) -> str:
    """The one line of a call that was refused."""
    assert result.exit_code == code, result.output
    [found] = [each for each in result.stderr.splitlines() if each.startswith("dmz: ")]
    assert "Traceback" not in result.output
    return found


def rewrite(checkout: Path, given: str, instead: str) -> None:
    path = checkout / "policy.toml"
    assert given in path.read_text()
    path.write_text(path.read_text().replace(given, instead, 1))


def explained(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = call("policy", "explain", *arguments, "--offline", "--json")
    return result.exit_code, json.loads(result.stdout)


def test_check_shows_rules_sources_with_their_age_and_waivers(checkout: Path) -> None:
    result = call("policy", "check")
    assert result.exit_code == 0, result.output
    for words in ("severity", "No attacks.", "osv", "as of 2026-", "waivers  0"):
        assert words in result.stdout
    document = json.loads(call("policy", "check", "--json").stdout)
    assert document["policy"]["digest"] == hashlib.sha256((checkout / "policy.toml").read_bytes()).hexdigest()
    assert [source["name"] for source in document["sources"]] == ["osv"]


def test_check_refuses_a_policy_that_does_not_parse(checkout: Path) -> None:
    rewrite(checkout, "[rules.malware]", "[rules.malwere]")
    assert "did you mean 'malware'?" in line(call("policy", "check"), 2)


def test_check_refuses_a_missing_policy(checkout: Path) -> None:
    (checkout / "policy.toml").unlink()
    assert "there is no such policy" in line(call("policy", "check"), 2)
    assert "there is no such policy" in line(call("screen"), 2)
    assert "there is no such policy" in line(call("policy", "explain", "numpy"), 2)


def test_check_refuses_sources_that_are_too_old(checkout: Path) -> None:
    rewrite(checkout, 'advisories-max-age = "10 years"', 'advisories-max-age = "1 hour"')
    text = line(call("policy", "check"), 3)
    assert "the policy allows 1 hour" in text
    assert "dmz advisories update" in text


def test_check_refuses_a_waiver_that_does_not_parse(checkout: Path) -> None:
    (checkout / "waivers/jax.json").write_text("{}")
    assert "waivers/jax.json" in line(call("policy", "check"), 2)


def test_explain_shows_every_rule_and_what_it_saw(checkout: Path) -> None:
    result = call("policy", "explain", "numpy", "--offline")
    rules = [each["name"] for each in json.loads(call("policy", "check", "--json").stdout)["rules"]]
    assert [text.split()[1] for text in result.stdout.splitlines()[3:-2]] == rules
    assert "pkg:pypi/numpy@2.4.6" in result.stdout


def test_explain_says_why_a_package_may_not_enter_and_what_a_waiver_would_name(checkout: Path) -> None:
    result = call("policy", "explain", "Protobuf", "--offline")
    assert result.exit_code == 3
    assert "CVE-2025-4565" in result.stdout
    assert "a waiver has to name CVE-2025-4565, CVE-2026-0994, policy:cool-down" in result.stdout


def test_explain_names_the_waiver_that_lets_a_package_in(checkout: Path) -> None:
    rewrite(
        checkout, 'unknown = { PyPI = "refuse", Debian = "pass"', 'unknown = { PyPI = "pass", Debian = "pass"'
    )
    statement = {
        "products": [
            {
                "identifiers": {"purl": "pkg:pypi/protobuf@6.31.0"},
                "hashes": {"sha-256": wheel("protobuf", "6.31.0").sha256},
            }
        ],
        "status": "affected",
        "action_statement": "Only trusted messages are read",
        "status_notes": "until 2099-01-01",
    }
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.org/waivers/protobuf",
        "author": "Ada",
        "timestamp": "2098-12-01T00:00:00Z",
        "version": 1,
        "statements": [
            statement | {"vulnerability": {"name": name}} for name in ("CVE-2025-4565", "CVE-2026-0994")
        ],
    }
    path = checkout / "waivers/protobuf.json"
    path.write_text(json.dumps(document))
    code, found = explained("protobuf")
    assert code == 3
    assert "begins on 2098-12-01" in found["packages"][0]["rules"][0]["saw"][0]["words"]
    path.write_text(json.dumps(document | {"timestamp": "2020-01-01T00:00:00Z"}))
    assert "longer than the policy allows" in line(call("policy", "explain", "protobuf", "--offline"), 2)
    rewrite(checkout, 'waiver-longest = "180 days"', 'waiver-longest = "99 years"')
    code, found = explained("protobuf")
    assert code == 0
    assert found["packages"][0]["rules"][0]["saw"][0]["waiver"] == "protobuf.json"


def test_explain_takes_debian_packages_by_name_and_by_key(checkout: Path) -> None:
    for name in ("numactl", "apt/numactl", "apt/numactl:amd64"):
        code, found = explained(name)
        assert code == 0
        assert [each["key"] for each in found["packages"]] == ["apt/numactl:amd64"]
    assert "no release with" in line(call("policy", "explain", "pypi/numactl", "--offline"), 2)


def test_explain_takes_another_spelling_of_the_version(checkout: Path) -> None:
    assert explained("numpy", "v2.4.6")[1]["packages"][0]["version"] == "2.4.6"
    assert "no release with numpy 2.4.7" in line(call("policy", "explain", "numpy", "2.4.7", "--offline"), 2)
    assert "write a name" in line(call("policy", "explain", "npm/numpy", "--offline"), 2)
