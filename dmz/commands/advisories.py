"""`dmz advisories`: fetch them, and see how old they are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dmz.cache import cache_folder
from dmz.commands.common import Setting, json_option, print_json, told
from dmz.console import Steps
from dmz.promotion.advisories.age import age
from dmz.promotion.advisories.database import Database
from dmz.registries.feed import BUCKET
from dmz.workflow.advisories import Refreshed, refresh_all
from dmz.workflow.estate import Estate


@click.group()
def advisories() -> None:
    """Keep the advisories that screening goes by."""


@advisories.command()
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to keep them in.  [default: where the policy looks for them]",
)
@click.option(
    "--ecosystem",
    "ecosystems",
    multiple=True,
    help="PyPI, Debian, Ubuntu; may be repeated.  [default: PyPI and the base image's]",
)
@click.option("--bucket", default=BUCKET, show_default=True, help="The feed's bucket, or that of a mirror.")
@json_option
@click.pass_obj
def update(
    setting: Setting, into: Path | None, ecosystems: tuple[str, ...], bucket: str, as_json: bool
) -> None:
    """Fetch the published advisories, or what changed since the last time.

    They come from the public feed of osv.dev in Cloud Storage, whatever the target; a login is used if there
    is one. What is there stays until everything new was checked. The exit code is 3 if the feed went back.
    """
    steps = Steps()
    with told(as_json):
        wanted = ecosystems or _needed(setting.checkout())
        folder = into or _place(setting.checkout())
        with steps.step("advisories", "Advisories") as step:
            found = asyncio.run(refresh_all(folder, wanted, bucket, step.say))
        with steps.step("index", "Index") as step:
            database = Database.open(folder, cache_folder(), step.say)
    if as_json:
        print_json(_document(database) | {"updated": [_updated(each) for each in found]})
        return
    for each in found:
        click.echo(_line(each))
    _tell(database)


@advisories.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@json_option
@click.pass_obj
def show(setting: Setting, path: Path | None, as_json: bool) -> None:
    """Show which advisories there are, and how old they are.

    PATH is a folder or an archive; by default where the policy looks for them.
    """
    steps = Steps()
    with told(as_json):
        place = path or _place(setting.checkout())
        with steps.step("index", "Index") as step:
            database = Database.open(place, cache_folder(), step.say)
    if as_json:
        print_json(_document(database))
        return
    _tell(database)


def _place(estate: Estate) -> Path:
    return estate.policy.folder / estate.policy.sources.advisories


def _needed(estate: Estate) -> tuple[str, ...]:
    return "PyPI", estate.base_image.ecosystem.partition(":")[0]


def _line(found: Refreshed) -> str:
    moment = age(found.as_of, datetime.now(UTC))
    if found.whole:
        return f"{found.ecosystem}: {found.records:,} records, the whole archive; {moment}"
    if not (found.changed or found.removed):
        return f"{found.ecosystem}: {found.records:,} records, nothing new; {moment}"
    return (
        f"{found.ecosystem}: {found.records:,} records, {found.changed:,} of them new or changed, "
        f"{found.removed:,} withdrawn from the feed; {moment}"
    )


def _tell(database: Database) -> None:
    for name, records in sorted(database.ecosystems.items()):
        click.echo(f"  {name:<16} {records:>9,} records")
    as_of = database.as_of
    click.echo(
        f"{database.path}: {database.count:,} advisories, "
        + (age(as_of, datetime.now(UTC)) if as_of else "of unknown age")
        + ("" if database.fetched else " (the newest record's; the feed was not asked)")
    )
    click.echo(f"sha256:{database.digest}")


def _updated(found: Refreshed) -> dict[str, Any]:
    return {
        "ecosystem": found.ecosystem,
        "records": found.records,
        "changed": found.changed,
        "removed": found.removed,
        "whole": found.whole,
    }


def _document(database: Database) -> dict[str, Any]:
    return {
        "path": str(database.path),
        "as_of": f"{database.as_of:%Y-%m-%dT%H:%M:%SZ}" if database.as_of else None,
        "fetched": database.fetched,
        "records": database.count,
        "ecosystems": database.ecosystems,
        "digest": database.digest,
    }
