"""What a person is told of a failed operation, from what either engine prints."""

from __future__ import annotations

import pytest

from dmz.automation import Changes, reason

PROGRAM = """
 code: 1
 stdout: Previewing update (inner):
@ previewing update....
    pulumi:pulumi:Stack dmz-inner running error: Pulumi.inner.yaml: dmz:outerStack: there is no stack x
Diagnostics:
  pulumi:pulumi:Stack (dmz-inner):
    warning: using pulumi-resource-gcp from $PATH at /bin/pulumi-resource-gcp
    error: Pulumi.inner.yaml: dmz:outerStack: there is no stack x
    error: an unhandled error occurred: program exited with non-zero exit code: 1

Resources:
    1 errored

 stderr: """

TRACEBACK = """
 code: 1
 stdout: Updating (inner):
    pulumi:pulumi:Stack dmz-inner running error: Program failed with an unhandled exception:
Diagnostics:
  pulumi:pulumi:Stack (dmz-inner):
    error: Program failed with an unhandled exception:
    Traceback (most recent call last):
      File "__main__.py", line 4, in <module>
        deep()
        ^^^^^^
    ValueError: boom

Resources:
    1 errored

 stderr: """

PROVIDER = """
Diagnostics:
  pulumi:pulumi:Stack (dmz-inner):
    error: update failed

  gcp:storage:Bucket (release):
    error:   sdk-v2/provider2.go:571: sdk.helper_schema: Error trying to delete bucket b: provider=google-beta@10.2.0
    \t* Error trying to delete bucket b

  gcp:storage:Bucket (reports):
    error:   sdk-v2/provider2.go:571: sdk.helper_schema: another: provider=google-beta@10.2.0

Duration: 8s
"""  # noqa: E501 (as it is printed)

PROTECTED = """
Diagnostics:
  gcp:artifactregistry:Repository (apt):
    error: resource urn:pulumi:inner::dmz::x::apt cannot be deleted
    because it is protected. To unprotect it, use the command:
    `pulumi state unprotect 'urn:pulumi:inner::dmz::x::apt'`

  pulumi:pulumi:Stack (dmz-inner):
    error: destroy failed

Resources:
"""

NO_OPERATION = """
 code: 1
 stdout:\x20
 stderr: error: incorrect passphrase: set PULUMI_CONFIG_PASSPHRASE to this stack's passphrase
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (PROGRAM, "Pulumi.inner.yaml: dmz:outerStack: there is no stack x"),
        (TRACEBACK, "Program failed with an unhandled exception: ValueError: boom"),
        (PROVIDER, "Error trying to delete bucket b"),
        (
            PROTECTED,
            "resource urn:pulumi:inner::dmz::x::apt cannot be deleted because it is protected. "
            "To unprotect it, use the command: `pulumi state unprotect 'urn:pulumi:inner::dmz::x::apt'`",
        ),
        (
            NO_OPERATION,
            "incorrect passphrase: set PULUMI_CONFIG_PASSPHRASE to this stack's passphrase",
        ),
        ("Diagnostics:\n  x:\n    error: update failed\n", "update failed"),
        ("something\nelse\n", "else"),
        ("", "the engine gave no reason"),
    ],
    ids=["program", "traceback", "provider", "protected", "no operation", "no reason", "no error", "nothing"],
)
def test_the_reason_is_one_line(output: str, expected: str) -> None:
    assert reason(output) == expected


@pytest.mark.parametrize(
    ("counts", "any_", "text"),
    [
        ({"same": 60}, False, "nothing changed"),
        ({}, False, "nothing changed"),
        ({"same": 59, "update": 1}, True, "1 update"),
        ({"create": 2, "delete": 1}, True, "2 create, 1 delete"),
    ],
)
def test_changes_say_whether_anything_changed(counts: dict[str, int], any_: bool, text: str) -> None:
    changes = Changes(counts, "")
    assert changes.any is any_
    assert str(changes) == text
