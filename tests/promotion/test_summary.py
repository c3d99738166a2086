from __future__ import annotations

import json

from dmz.artifact import Kind
from dmz.promotion.probes import Observed, Probe
from dmz.promotion.refusal import Remedy
from dmz.promotion.summary import Refusal, Summary, counts
from dmz.promotion.transfer import Counters
from tests.promotion.builders import image, wheel
from tests.promotion.rules.cases import TODAY, Known, evidence
from tests.promotion.test_screening import screening


def test_the_document_has_what_scripts_look_for() -> None:
    verdict = screening().judge(evidence(wheel("protobuf", "6.31.0")))
    made = Summary(
        workload="small",
        release_digest="a" * 64,
        engine="embedded",
        discovered={"apt": 6, "pypi": 29},
        installed={"apt": 6, "pypi": 29},
        refused=Refusal.of(verdict, Remedy("5.29.6", True), image()),
        network_sealed=True,
        perimeter_sealed=False,
        sync=Counters(copied=35, bytes=1000, seconds=1.23456),
        outer_probes=[Probe(name="tcp", target="203.0.113.1:443", observed=Observed.REACHED)],
        inner_probes=[Probe(name="tcp", target="203.0.113.1:443", observed=Observed.BLOCKED)],
        verified=True,
        seconds={"outer": 12.34567},
        policy="b" * 64,
        sources=[Known(as_of=TODAY), Known(as_of=None, name="deny-list")],
        remarks={"waived": 1},
    )
    assert json.loads(json.dumps(made.document())) == {
        "workload": "small",
        "release_digest": "a" * 64,
        "engine": "embedded",
        "discovered": {"apt": 6, "pypi": 29},
        "installed": {"apt": 6, "pypi": 29},
        "policy": "b" * 64,
        "sources": {
            "osv": {"as_of": "2026-11-22T12:00:00Z", "sha256": "0" * 64},
            "deny-list": {"as_of": None, "sha256": "0" * 64},
        },
        "remarks": {"waived": 1},
        "refused": [
            {
                "purl": "pkg:pypi/protobuf@6.31.0",
                "rule": "severity",
                "advisory": "CVE-2025-4565",
                "words": verdict.refusals[0].words,
                "fixed": ["4.25.8", "5.29.5", "6.31.1"],
                "remedy": "5.29.6",
            },
            {
                "purl": "pkg:pypi/protobuf@6.31.0",
                "rule": "severity",
                "advisory": "CVE-2026-0994",
                "words": verdict.refusals[1].words,
                "fixed": ["5.29.6", "6.33.5"],
                "remedy": "5.29.6",
            },
        ],
        "sealed": {"network": True, "perimeter": False},
        "open": ["NOT SEALED: no service perimeter"],
        "sync": {"copied": 35, "kept": 0, "withdrawn": 0, "bytes": 1000, "seconds": 1.235},
        "probes": [
            {"name": "tcp", "from": "outer", "expected": "reached", "observed": "reached"},
            {"name": "tcp", "from": "inner", "expected": "blocked", "observed": "blocked"},
        ],
        "verified": True,
        "seconds": {"outer": 12.346},
    }


def test_counts_name_every_kind() -> None:
    assert counts([Kind.APT, Kind.PYPI, Kind.PYPI]) == {"apt": 1, "pypi": 2, "files": 0}
