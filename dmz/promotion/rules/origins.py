"""Where a package may come from: the answer to dependency confusion.

Whoever offers a public package under the name of a private one is installed in its stead, if an installer may
take either (https://slsa.dev/spec/v1.0/threats-overview#dependency-threats). So each name has one side.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from dmz.promotion.rules.rule import AnAnswer, Answer, Case, Effect, Observation, Rule
from dmz.promotion.rules.settings import Each, Ecosystem, Pattern, matching, unique

Patterns = Annotated[tuple[Pattern, ...], Field(strict=False), unique("pattern")]

_ALL: Final = dict.fromkeys(Ecosystem, Answer.REFUSE)


class OriginsRule(Rule):
    """A private name never comes from a public upstream, nor a public name from a private one."""

    kind = "origins"

    public: Patterns
    """Ids of outer repositories with what everybody can get: `python-remote`, `apt-*`."""
    private: Patterns = ()
    """Ids of outer repositories with packages of one's own."""
    private_names: Patterns = ()
    """Names of one's own: `acme-*`."""
    unknown_upstreams: Annotated[Each[AnAnswer], Field(alias="unknown")] = _ALL
    """For a name of which nobody asked who else offers it; of no account without private repositories."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for one in self.private:
            if both := matching(one, self.public) or next(
                (p for p in self.public if matching(p, (one,))), None
            ):
                raise ValueError(f"'{one}' is private and, by '{both}', public; keep them apart")
        if not self.public:
            raise ValueError("it names no public repository; everything would be refused")
        return self

    def look(self, case: Case) -> Iterable[Observation]:
        """The origin of an artifact, and who else offers its name."""
        artifact, upstreams = case.artifact, case.evidence.upstreams
        public = matching(artifact.origin, self.public)
        private = matching(artifact.origin, self.private)
        ours = matching(artifact.name, self.private_names)
        if not public and not private:
            yield self.against(f"it comes from '{artifact.origin}', which is neither public nor private here")
        elif ours and public:
            yield self.against(
                f"the name is private ('{ours}') and it comes from the public '{artifact.origin}'"
            )
        elif private and not ours:
            yield self.against(f"the name is public and it comes from the private '{artifact.origin}'")
        else:
            yield Observation(f"from {artifact.origin}")
        if upstreams is None:
            if self.private and case.ecosystem:
                answer = self.unknown_upstreams[case.ecosystem]
                yield self.unknown(answer, "nobody asked which repositories offer this name")
            return
        others = [each for each in upstreams if each != artifact.origin]
        for other in others:
            if ours and matching(other, self.public):
                yield Observation(f"the public '{other}' offers this private name too", Effect.WARN)
            elif not ours and public and matching(other, self.private):
                yield self.against(
                    f"the private '{other}' offers this name too; list it under private-names if it is yours"
                )
