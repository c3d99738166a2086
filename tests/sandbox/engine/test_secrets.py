"""The passphrase secrets manager, against values that the CLI made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.engine.errors import ConfigurationError
from sandbox.engine.secrets import Crypter, passphrase
from tests.sandbox.engine.conftest import DATA, PASSPHRASE, SALT

_DEPLOYMENT = json.loads((DATA / "states.json").read_text())["2-up-create"]["deployment"]
TOKEN = _DEPLOYMENT["resources"][0]["outputs"]["token"]["ciphertext"]


def test_reads_what_the_cli_encrypted() -> None:
    assert Crypter(PASSPHRASE, SALT).decrypt(TOKEN) == '"s3cret"'


def test_wrong_passphrase_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="incorrect passphrase"):
        Crypter("not it", SALT)


@settings(deadline=None, max_examples=20)
@given(st.text())
def test_round_trip(text: str) -> None:
    crypter = Crypter(PASSPHRASE, SALT)
    sealed = crypter.encrypt(text)
    assert crypter.decrypt(sealed) == text
    assert sealed != crypter.encrypt(text)


def test_new_salt_opens_with_its_passphrase_only() -> None:
    created = Crypter.create("one")
    sealed = created.encrypt("x")
    assert Crypter("one", created.state).decrypt(sealed) == "x"
    with pytest.raises(ConfigurationError):
        Crypter("two", created.state)


def test_changed_ciphertext_is_refused() -> None:
    crypter = Crypter(PASSPHRASE, SALT)
    with pytest.raises(ConfigurationError, match="could not be decrypted"):
        crypter.decrypt(TOKEN[:-4] + "AAAA")


def test_where_the_passphrase_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "phrase"
    file.write_text("from file\n")
    assert passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}) == "from file"
    assert passphrase({"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}) == ""
    with pytest.raises(ConfigurationError, match="PULUMI_CONFIG_PASSPHRASE"):
        passphrase({})
    with pytest.raises(ConfigurationError, match="unable to read"):
        passphrase({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "none")})
