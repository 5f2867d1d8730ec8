"""Through a server come the very scores and answers of the model behind it; what is wrong is told in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qcompare.errors import JobError
from qcompare.evaluate.benchmarks import Unanswerable
from qcompare.evaluate.cached import CachedLM
from qcompare.evaluate.endpoint.speed import measure_speed
from qcompare.evaluate.generate import generate
from qcompare.evaluate.scoring.endpoint import EndpointLM
from qcompare.models.sources import fetch, load
from qcompare.settings import Settings
from qcompare.study.next_tokens import AnswerTokens
from qcompare.study.result import SERVER_BATCHES
from tests.evaluate.endpoint.completions_server import NAME, Server

Connect = Callable[..., EndpointLM]
OPTIONS = (" in a box", " no")
PAIRS = [
    *((f"Question {n}: how do you keep bread fresh? Answer:", option) for n in range(3) for option in OPTIONS),
    ("", "The capital"),
    ("The sky is blue ", "because"),
    (" naïve café: 東京", " 🙂"),
]  # fmt: skip
KEY = "sk-SENTINEL-0123456789abcdef"


def requests(pairs: list[tuple[Any, ...]]) -> list[Any]:
    return [SimpleNamespace(args=pair, task_name=None) for pair in pairs]


@pytest.fixture(scope="module")
def loaded(tiny_llama: Path) -> tuple[Any, Any]:
    settings = Settings()
    model, tokenizer = load(fetch(str(tiny_llama), settings), "cpu", "float32", settings, hub_kernels=False)
    return model, tokenizer


@pytest.fixture(scope="module")
def with_bos(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with a tokenizer that begins every text with a BOS token, as Llama's does."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("bos") / "model"
    shutil.copytree(tiny_llama, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bos = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("begins_with_bos", [False, True])
@pytest.mark.parametrize(("takes_tokens", "puts_bos"), [(True, False), (False, False), (False, True)])
def test_scores_are_those_of_the_model_behind_it(
    connect: Connect,
    server: Server,
    loaded: tuple[Any, Any],
    tiny_llama: Path,
    with_bos: Path,
    takes_tokens: bool,
    puts_bos: bool,
    begins_with_bos: bool,
) -> None:
    server.behaviour.takes_tokens, server.behaviour.puts_bos = takes_tokens, puts_bos
    ours = connect(folder=with_bos if begins_with_bos else tiny_llama)
    assert (ours.tokenized_requests, ours.puts_bos) == (takes_tokens, puts_bos)
    assert (ours.tok_encode("a")[0] == ours.prefix_token_id) is begins_with_bos
    if puts_bos and not begins_with_bos:
        with pytest.raises(Unanswerable, match="set add_bos_token: true"):
            ours.loglikelihood(requests(PAIRS))
        return
    theirs = CachedLM(loaded[0], ours.tokenizer)
    direct, found = theirs.loglikelihood(requests(PAIRS)), ours.loglikelihood(requests(PAIRS))
    assert [value for value, _ in found] == pytest.approx([value for value, _ in direct], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in direct]
    assert len({value for value, _ in direct}) == len(PAIRS)
    whole = requests([("The capital of France is Paris, and it is famous for the Eiffel Tower. " * 4,)])
    assert ours.loglikelihood_rolling(whole) == pytest.approx(theirs.loglikelihood_rolling(whole), rel=1e-5)


def test_scores_that_belong_to_other_places_are_refused(connect: Connect, server: Server) -> None:
    server.behaviour.misaligned = True
    with pytest.raises(Unanswerable, match="differ from those it generates with"):
        connect().loglikelihood(requests(PAIRS))


def test_a_list_without_the_bos_token_is_read_at_the_right_places(
    connect: Connect, server: Server, loaded: tuple[Any, Any], with_bos: Path
) -> None:
    server.behaviour.takes_tokens, server.behaviour.puts_bos, server.behaviour.drops_bos = False, True, True
    ours, pairs = connect(folder=with_bos), [pair for pair in PAIRS if pair[0]]
    direct = CachedLM(loaded[0], ours.tokenizer).loglikelihood(requests(pairs))
    found = ours.loglikelihood(requests(pairs))
    assert ours.drops_first == 1
    assert [value for value, _ in found] == pytest.approx([value for value, _ in direct], abs=1e-4)
    with pytest.raises(Unanswerable, match="token that follows a BOS token"):
        ours.loglikelihood(requests([("", "The capital")]))


@pytest.mark.parametrize("takes_tokens", [True, False])
def test_answers_are_those_of_the_model_behind_it(
    connect: Connect, server: Server, loaded: tuple[Any, Any], takes_tokens: bool
) -> None:
    server.behaviour.takes_tokens = takes_tokens
    ours, prompts = connect(), ["Name a city.", ("What is bread?", "And why?")]
    direct, seen = generate(*loaded, prompts, 12), []
    found = ours.answer(prompts, 12, lambda done, total: seen.append((done, total)))
    assert [(a.prompt, a.text) for a in found] == [(a.prompt, a.text) for a in direct]
    assert [a.tokens for a in found] == pytest.approx([a.tokens for a in direct], abs=1)  # the stop token
    assert seen[-1] == (3, 3)
    asked = [("Question: why?\nAnswer:", {"until": ["e"], "max_gen_toks": 12, "do_sample": False})] * 2
    theirs = CachedLM(*loaded).generate_until(requests(asked))
    assert ours.generate_until(requests(asked)) == theirs


def test_requests_are_made_at_once_and_kept_for_the_same_job(connect: Connect, server: Server) -> None:
    server.behaviour.seconds = 0.05
    lm, seen = connect(), []
    lm.progress = lambda done, total: seen.append((done, total))
    first = lm.loglikelihood(requests(PAIRS))
    assert 1 < server.behaviour.most_at_once <= 4
    assert seen[-1] == (len(PAIRS), len(PAIRS))
    again = connect()
    before = server.behaviour.requests
    assert again.loglikelihood(requests(PAIRS)) == first
    assert (server.behaviour.requests, again.reused) == (before, len(PAIRS))


def test_what_was_answered_before_a_failure_is_kept(connect: Connect, server: Server) -> None:
    lm = connect(num_concurrent=1)
    probing = server.behaviour.requests
    server.behaviour.statuses = [0, 0, 0, 400]
    with pytest.raises(JobError, match="HTTP 400"):
        lm.loglikelihood(requests(PAIRS))
    before = server.behaviour.requests
    connect(num_concurrent=1).loglikelihood(requests(PAIRS))
    assert server.behaviour.requests - before <= probing + len(PAIRS) - 3


def test_a_server_without_logprobs_of_prompts_only_writes(connect: Connect, server: Server) -> None:
    server.behaviour.logprobs = False
    lm = connect()
    with pytest.raises(Unanswerable, match="no log-probabilities of prompts"):
        lm.loglikelihood(requests(PAIRS))
    assert lm.tokenized_requests
    assert lm.answer(["Name a city."], 4)[0].text


def test_speed_is_measured_at_each_batch_size(connect: Connect, server: Server) -> None:
    lm = connect()
    found = measure_speed(lm)
    assert [speed.batch for speed in found] == list(SERVER_BATCHES)
    assert server.behaviour.most_at_once == 8
    for speed in found:
        assert speed.prompt_tokens == lm.max_length // 2
        assert 0 < speed.first_token_seconds < 20
        assert speed.prompt_tokens_per_second > 0
        assert speed.decode_tokens_per_second is None or speed.decode_tokens_per_second > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shift": -2}, r"gives \d+ log-probabilities of a prompt of \d+ tokens"),
        ({"shift": 3}, r"gives \d+ log-probabilities of a prompt of \d+ tokens"),
        ({"spoilt": [float("nan")]}, r"no finite log-probability of token 5 of \d+"),
        ({"spoilt": [None]}, r"no finite log-probability of token 5 of \d+"),
        ({"statuses": [500] * 9}, r"HTTP 500: .*overloaded"),
        ({"page": True}, r"does not answer as an OpenAI-compatible completions server \(<html>"),
        ({"seconds": 1.0}, r"no answer within 0.2 seconds: raise timeout"),
        ({"key": "the-right-one"}, r"wants a key \(HTTP 401\)"),
    ],
)
def test_what_a_server_does_wrong_is_one_clear_line(
    connect: Connect, server: Server, changes: dict[str, Any], said: str
) -> None:
    for name, value in changes.items():
        setattr(server.behaviour, name, value)
    with pytest.raises(JobError, match=said) as caught:
        connect(timeout=0.2 if "seconds" in changes else 20.0)
    assert "\n" not in str(caught.value)


def test_a_wrong_model_or_address_is_one_clear_line(connect: Connect, server: Server) -> None:
    with pytest.raises(JobError, match=r"HTTP 404: .*no-such-model does not exist"):
        connect(model="no-such-model")
    server.url, right = "http://127.0.0.1:9/v1", server.url
    try:
        with pytest.raises(JobError, match=r"nothing answers there .*start the server, or correct the url"):
            connect()
    finally:
        server.url = right


def test_a_server_that_fails_for_a_moment_is_asked_again(connect: Connect, server: Server) -> None:
    lm = connect()
    server.behaviour.statuses = [503, 0, 429, 500]
    assert len(lm.loglikelihood(requests(PAIRS))) == len(PAIRS)


def test_a_key_that_the_server_repeats_is_cut_out(connect: Connect, server: Server) -> None:
    server.behaviour.key, server.behaviour.parrot = KEY, True
    lm = connect(key=KEY)
    text = lm.answer(["Name a city."], 4)[0].text
    assert "Bearer ***" in text
    assert KEY not in text + repr(lm.client)
    server.behaviour.statuses = [500] * 3
    with pytest.raises(JobError, match="HTTP 500") as caught:
        lm.answer(["Name a city."], 4)
    server.behaviour.key = "another"
    with pytest.raises(JobError, match=r"does not accept the key in A_KEY \(HTTP 401\)") as refused:
        lm.answer(["Name a city."], 4)
    assert KEY not in str(caught.value) + str(refused.value)


def test_the_model_is_named(connect: Connect) -> None:
    assert connect().model == NAME


def test_a_chat_template_is_the_study_s_and_thoughts_are_cut_off(connect: Connect, loaded: tuple[Any, Any]) -> None:
    talk = [{"role": "user", "content": "Name a city."}]
    lm = connect(options={"enable_thinking": True, "think_end_token": "</think>"})
    assert lm.apply_chat_template(talk) == CachedLM(*loaded).apply_chat_template(talk)
    with pytest.raises(Unanswerable, match="thinking part cannot be rated"):
        lm.loglikelihood(requests(PAIRS))
    asked = requests([("What?", {"until": ["zzz"], "max_gen_toks": 8})])
    (whole,) = connect().generate_until(asked)
    cut = connect(options={"think_end_token": whole[2]}, kept=Path(lm._kept.path).with_name("other.sqlite"))
    assert cut.generate_until(asked) == [whole.split(whole[2])[-1].lstrip()]


def test_answers_bring_their_candidates_where_the_server_gives_them(
    connect: Connect, server: Server, loaded: tuple[Any, Any]
) -> None:
    prompts = [f"{word} {n}." for n in range(4) for word in ("Name", "City", "The")]
    direct: list[AnswerTokens] = []
    served: list[AnswerTokens] = []
    generate(*loaded, prompts, 2, note=direct.append)
    connect().answer(prompts, 2, note=served.append)
    ours = {answer.prompt: answer.tokens for answer in direct}
    assert served  # but not those with half a letter
    for answer in served:
        for theirs, token in zip(answer.tokens, ours[answer.prompt], strict=False):
            assert (theirs.at, theirs.candidates[0].text) == (token.at, token.candidates[0].text)
            assert theirs.candidates[0].logprob == pytest.approx(token.candidates[0].logprob, abs=1e-4)
            assert len(theirs.candidates) > 1
    server.behaviour.logprobs = False
    assert connect().answer(prompts[:1], 2, note=lambda tokens: pytest.fail(repr(tokens)))
