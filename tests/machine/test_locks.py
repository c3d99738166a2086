"""The machine reads a release only when every byte of it is what the digest names."""

import hashlib

import pytest

from dmz.machine.agent import locks
from dmz.machine.agent.command import StepError

PYLOCK = b"""lock-version = "1.0"
created-by = "dmz"
[[packages]]
name = "six"
version = "1.17.0"
wheels = [{path = "pypi/six/six-1.17.0-py2.py3-none-any.whl", size = 11, hashes = {sha256 = "%b"}}]
[tool.dmz]
runtime = "sandbox-debian-12"
dpkg-digest = "%b"
""" % (b"a" * 64, b"d" * 64)
APT = b"""Package: jq
Version: 1.6-2.1
Architecture: amd64
Source: jq
Filename: jq_1.6-2.1_amd64.deb
Size: 12
SHA256: %b
Suite: bookworm
Why: requested
""" % (b"b" * 64)
FILES = b"File: data.txt\nSize: 3\nSHA256: %b\nWhy: requested\n" % (b"c" * 64)


def release() -> tuple[str, dict[str, bytes]]:
    pylock, apt, files, checksums = locks.names("small")
    texts = {pylock: PYLOCK, apt: APT, files: FILES}
    lines = [f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in texts.items()]
    texts[checksums] = "".join(lines).encode()
    return hashlib.sha256(texts[checksums]).hexdigest(), texts


def test_reads_all_three_kinds() -> None:
    digest, texts = release()
    found = locks.parse("small", digest, texts)
    assert found.dpkg_digest == "d" * 64
    assert found.debs == (locks.Deb("jq", "amd64", "1.6-2.1", "jq_1.6-2.1_amd64.deb", "b" * 64),)
    assert found.wheels == (locks.Wheel("six", "1.17.0", "six-1.17.0-py2.py3-none-any.whl", "a" * 64),)
    assert found.files == (locks.File("data.txt", "c" * 64),)


@pytest.mark.parametrize("name", locks.names("small"))
def test_one_changed_byte_in_any_file_is_refused(name: str) -> None:
    digest, texts = release()
    texts[name] = texts[name].replace(b"a", b"e", 1)
    with pytest.raises(StepError, match="not installing"):
        locks.parse("small", digest, texts)


@pytest.mark.parametrize("name", ["../data.txt", "/etc/passwd", "..", ""])
def test_a_file_name_that_would_leave_its_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(globals(), "FILES", FILES.replace(b"data.txt", name.encode()))
    digest, texts = release()
    with pytest.raises(StepError, match="leave its folder"):
        locks.parse("small", digest, texts)


def test_another_digest_is_refused() -> None:
    _, texts = release()
    with pytest.raises(StepError, match="not installing"):
        locks.parse("small", "0" * 64, texts)
