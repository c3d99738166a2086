"""Whether what a screening relies on is fit for it: sources that are fresh, waivers that the policy takes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dmz.errors import InputError, RefusedError
from dmz.promotion.evidence import Source
from dmz.promotion.policy import Policy
from dmz.promotion.rules.rule import FindingRule
from dmz.promotion.waivers import RULE, Waiver

_REFRESH: Final = "run `dmz advisories update`, or bring newer ones"
_SKEW: Final = timedelta(days=1)
"""How far a source may be ahead of this machine's clock."""


def check_age(source: Source, policy: Policy, today: datetime) -> None:
    """Whether a source is as fresh as the policy wants it; one that does not age always is.

    Raises:
        RefusedError: it is too old, or of a time that is yet to come.
    """
    limit = policy.limits.advisories_max_age
    if source.as_of is None:
        return
    age = today - source.as_of
    if age < -_SKEW:
        raise RefusedError(
            f"the source '{source.name}' is of {source.as_of:%Y-%m-%d}, which is yet to come: correct this "
            "machine's clock, or bring records whose time is right"
        )
    if age > limit:
        raise RefusedError(
            f"the source '{source.name}' is {_days(age)} old (of {source.as_of:%Y-%m-%d}), the policy allows "
            f"{_days(limit)}; {_REFRESH}"
        )


def _days(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    count, unit = (span.days, "day") if span.days else (hours, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def check_waiver(waiver: Waiver, policy: Policy) -> None:
    """Whether a waiver is about something that this policy lets people waive, and not for too long.

    Raises:
        InputError: it is not.
    """
    rules = {rule.name: rule for rule in policy.rules}
    for name in sorted(waiver.names):
        if name.startswith(RULE):
            rule = rules.get(name.removeprefix(RULE))
            if rule is None or isinstance(rule, FindingRule):
                waivable = [RULE + each.name for each in rules.values() if not isinstance(each, FindingRule)]
                raise InputError(
                    f"{waiver.where}: '{name}' is nothing that can be waived; name the advisory, or one of "
                    f"{', '.join(waivable) or 'no rule'}"
                )
    if waiver.until - waiver.begins > policy.limits.waiver_longest:
        raise InputError(
            f"{waiver.where}: it lasts from {waiver.begins:%Y-%m-%d} to {waiver.until:%Y-%m-%d}, longer than "
            f"the policy allows ({_days(policy.limits.waiver_longest)}); end it sooner, and renew it then"
        )
