from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmz.artifact import Artifact
from dmz.errors import InputError
from dmz.promotion.place import slot
from dmz.promotion.plan import Plan, plan
from dmz.promotion.shards import MOST, WHOLE, Shard
from tests.promotion import builders
from tests.promotion.builders import deb, file, sha, stored, wheel

many = st.lists(builders.artifacts, max_size=12, unique_by=slot)
counts = st.integers(1, 7)
digests = st.binary(min_size=1, max_size=8).map(sha)


def test_a_shard_is_written_as_test_runners_write_it() -> None:
    assert Shard.parse("1/4") == Shard(1, 4)
    assert str(Shard.parse("4/4")) == "4/4"
    assert Shard.parse("1/1") == WHOLE


@pytest.mark.parametrize(
    "text",
    ["", "0/4", "5/4", "1/0", "-1/4", "1", "1/", "/4", "1/4 ", " 1/4", "1/4\n", "1,4", "one/4", "1/901"]
    + ["1.0/4", "٣/٤", "\ud800/4", "\x1b[31m/4", "9" * 5000 + "/4", "1/4/4"],
)
def test_another_form_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^shard .*write I/N") as refused:
        Shard.parse(text)
    said = str(refused.value)
    assert said.isprintable()
    assert len(said) < 200


@given(st.text(max_size=12))
def test_any_text_is_a_shard_or_refused(text: str) -> None:
    try:
        shard = Shard.parse(text)
    except InputError:
        return
    assert 1 <= shard.index <= shard.count <= MOST


@given(digest=digests, count=st.integers(1, MOST))
def test_an_artifact_is_in_exactly_one_shard(digest: str, count: int) -> None:
    artifact = replace(wheel(), sha256=digest)
    assert sum(Shard(index, count).has(artifact) for index in range(1, count + 1)) == 1
    assert Shard.parse(f"{count}/{count}").share * count == pytest.approx(1)


@given(digest=digests, count=counts)
def test_only_the_content_decides(digest: str, count: int) -> None:
    shard = Shard(1, count)
    same = [
        replace(each, sha256=digest)
        for each in (wheel("jax"), wheel("jax", origin="other"), deb("jq"), deb("jq", "9"))
    ]
    assert len({shard.has(each) for each in same}) == 1


def test_the_shards_are_known_values_on_every_machine() -> None:
    # Written down: tasks of two versions of this program may run at the same time.
    code = (
        "from tests.promotion.builders import wheel; from dmz.promotion.shards import Shard; "
        "print([i for n in range(20) for i in range(1, 9) if Shard(i, 8).has(wheel(content=bytes([n])))])"
    )
    for seed in ("0", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "[1, 6, 6, 6, 8, 6, 1, 5, 4, 6, 2, 3, 2, 6, 1, 6, 3, 4, 7, 4]"


def test_the_shards_are_about_the_same_size() -> None:
    artifacts = [replace(wheel(), sha256=sha(str(number).encode())) for number in range(10_000)]
    for count in (2, 3, 16):
        sizes = [sum(map(Shard(index, count).has, artifacts)) for index in range(1, count + 1)]
        # Five standard deviations of a binomial distribution.
        expected = 10_000 / count
        assert all(abs(size - expected) < 5 * expected**0.5 for size in sizes)


@given(desired=many, held=many, count=counts, approved=st.lists(digests, max_size=3))
def test_the_parts_are_the_whole(
    desired: list[Artifact], held: list[Artifact], count: int, approved: list[str]
) -> None:
    made = plan(desired, map(stored, held), approved)
    shards = [Shard(index, count) for index in range(1, count + 1)]
    copied = [each for shard in shards for each in (*shard.part(made).copy, *shard.contested(made))]
    assert sorted(copied) == list(made.copy)
    assert sorted(each for shard in shards for each in shard.part(made).keep) == list(made.keep)
    for shard in shards:
        part = shard.part(made)
        assert part == Plan(copy=part.copy, keep=part.keep)


@given(desired=many, held=many, count=counts, order=st.randoms(use_true_random=False))
def test_the_order_of_shards_and_artifacts_never_matters(
    desired: list[Artifact], held: list[Artifact], count: int, order: random.Random
) -> None:
    contents = [stored(each) for each in held]
    before = [Shard(index, count).part(plan(desired, contents)) for index in range(1, count + 1)]
    order.shuffle(desired)
    order.shuffle(contents)
    assert before == [Shard(index, count).part(plan(desired, contents)) for index in range(1, count + 1)]


@given(desired=many, held=many, first=counts, second=counts)
def test_after_all_shards_of_any_count_only_what_was_contested_is_left(
    desired: list[Artifact], held: list[Artifact], first: int, second: int
) -> None:
    contents = {stored(each) for each in held}
    made = plan(desired, contents)
    waiting = {each for index in range(1, first + 1) for each in Shard(index, first).contested(made)}
    # Some of one count ran, then all of another.
    for shard in (Shard(1, first), *(Shard(index, second) for index in range(1, second + 1))):
        contents |= {stored(each) for each in shard.part(plan(desired, contents)).copy}
    left = plan(desired, contents)
    assert set(left.copy) == waiting
    assert left.clear == made.clear or waiting
    assert left.withdraw == made.withdraw


def test_what_must_be_cleared_first_is_contested() -> None:
    one, two, other = wheel("jax"), wheel("jax", tag="py2-none-any", content=b"two"), wheel("flax")
    wrong = replace(stored(one), sha256="0" * 64)
    made = plan([one, two, other, file()], [wrong])
    assert WHOLE.contested(made) == (two, one)
    assert WHOLE.part(made).copy == (file(), other)
