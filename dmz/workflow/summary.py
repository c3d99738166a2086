"""The end of a run in words that a manager understands."""

from __future__ import annotations

from pathlib import Path

from dmz.console import Steps
from dmz.promotion.probes import Verdict
from dmz.workflow.run import Ran


def announce(ran: Ran, report: Path, steps: Steps) -> None:
    """Print what happened, what it means, and what is still open."""
    summary, verified = ran.summary, ran.verified
    found, inside = summary.discovered, summary.installed
    say = steps.print
    say("")
    say(f"Workload {summary.workload}", style="bold")
    say(
        f"  It needs {found['apt']} Debian packages, {found['pypi']} Python distributions and "
        f"{found['files']} files beyond its base image."
    )
    refused = {refusal.purl for refusal in summary.refused}
    say(f"  Screening refused {len(refused)} of the versions that an installer would have taken.")
    for words in ran.screened.explanations:
        say(f"    {words}", style="yellow")
    for words in ran.screened.closure.proved:
        say(f"  {words}")
    for words in ran.screened.closure.open:
        say(f"  {words}", style="yellow")
    stay = ", ".join(f"{count} {sort}" for sort, count in sorted(summary.remarks.items()))
    say(f"  What a reviewer should know of the rest is in the review: {stay or 'nothing'}.")
    say(f"  Attested on {ran.attested.attestation.time_verified:%Y-%m-%d}, by a key that no machine may use.")
    sync = summary.sync
    say(
        f"  The sealed project's repositories hold exactly the release: {sync.copied} copied "
        f"({sync.bytes / 1e6:.0f} MB), {sync.kept} were there, {sync.withdrawn} withdrawn."
    )
    check = verified.report.check
    said = check.output.strip().splitlines()[-1:] if check else []
    if check and not check.exit:
        outcome = f"ran the workload: {said[0] if said else 'its check passed'}"
    else:
        outcome = f"its check FAILED: {said[0] if said else 'it said nothing'}"
    say(
        f"  The sealed machine installed {inside['apt']} + {inside['pypi']} + {inside['files']} of them and "
        + outcome
    )
    closed = sum(each.verdict is Verdict.SEALED for each in ran.judgements)
    say(f"  {closed} of {len(ran.judgements)} ways out of its network were tried and are closed.")
    for each in ran.judgements:
        if each.verdict is not Verdict.SEALED:
            say(f"    {each.name} to {each.target}: {each.verdict}", style="red")
    if verified.holds:
        say("  Verified: released = in outer = in inner = installed, by SHA-256.", style="green")
    else:
        say("  NOT as released:", style="red")
        for difference in verified.differences:
            say(f"    {difference}", style="red")
    for words in summary.open_ways:
        say(f"  {words}", style="yellow")
    if not ran.changed:
        say("  Nothing had to change.", style="bold")
    say("")
    say(f"Release {summary.release_digest}")
    say(f"Report  {report}")
