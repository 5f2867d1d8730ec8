"""The planner computes every token of every sequence, shared ones once, and finds every asked prediction."""

from hypothesis import given
from hypothesis import strategies as st

from qcompare.evaluate.scoring.plan import Plan, make_plan
from qcompare.evaluate.scoring.sequences import naive_tokens, sequence_tokens, unique_sequences

tokens = st.lists(st.integers(0, 2), min_size=1, max_size=12)
pairs = st.lists(st.tuples(tokens, tokens), min_size=1, max_size=12)


def path(plan: Plan, block: int, local: int) -> list[int]:
    """The tokens up to and including one, through its block and the kept prefixes."""
    here, found = plan.blocks[block], []
    while local >= 0:
        found.append(here.tokens[local])
        local = here.parent[local]
    before = [] if here.prefix is None else path(plan, here.prefix, len(plan.blocks[here.prefix]) - 1)
    return before + found[::-1]


@given(pairs, st.integers(1, 30), st.integers(1, 10), st.integers(12, 20))
def test_every_asked_token_is_predicted_after_its_own_tokens(
    requests: list[tuple[list[int], list[int]]], block: int, saved: int, max_length: int
) -> None:
    plan = make_plan(unique_sequences(requests, max_length), block, saved)
    assert len(plan.scored) == sum(len(continuation) for _, continuation in requests)
    for one in plan.scored:
        read = path(plan, one.block, one.local)
        context, continuation = requests[one.request]
        whole = list(sequence_tokens(context, continuation, max_length))
        assert whole[: len(read)] == read
        assert continuation[len(read) - len(whole) - 1] == one.target
        assert plan.blocks[one.block].positions[one.local] == len(read) - 1


@given(pairs, st.integers(1, 30))
def test_sharing_never_computes_more_than_one_row_per_request(
    requests: list[tuple[list[int], list[int]]], block: int
) -> None:
    plan = make_plan(unique_sequences(requests, 30), block, 1)
    assert plan.tokens <= naive_tokens(requests, 30)
    for index, one in enumerate(plan.blocks):
        assert one.prefix is None or (one.prefix < index and plan.blocks[one.prefix].last_user >= index)
