from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)


class SyncProvider(ResourceProvider):
    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        replaces = ["repo"] if _olds.get("repo") != _news.get("repo") else []
        return DiffResult(
            changes=bool(replaces) or _olds.get("packages") != _news.get("packages"), replaces=replaces
        )

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("sync-1", {**props, "copied": len(props["packages"])})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult({**_news, "copied": len(_news["packages"])})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        pass


class Sync(Resource, module="dmz", name="PackageSync"):
    copied: pulumi.Output[int]

    def __init__(
        self,
        name: str,
        packages: dict[str, Any],
        repo: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(SyncProvider(), name, {"packages": packages, "repo": repo, "copied": None}, opts)
