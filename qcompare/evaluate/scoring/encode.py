"""Requests as tokens, exactly as lm-eval's ``TemplateLM.loglikelihood`` encodes them, each distinct text once.

lm-eval encodes context and context + continuation for every request; options of one question repeat the context.
Here distinct texts go to the tokenizer together, which a fast tokenizer spreads over the cores.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Pair = tuple[str, str]
Encoded = tuple[list[int], list[int]]


def encode_pairs(lm: Any, pairs: Sequence[Pair]) -> list[Encoded]:
    """(context tokens, continuation tokens) of each (context, continuation); ``lm`` is an lm-eval HFLM."""
    encoded: dict[Pair, Encoded] = {}
    new = list(dict.fromkeys(pairs))
    split = [_without_trailing_spaces(context, continuation) for context, continuation in new]
    texts = dict.fromkeys(
        text for context, continuation in split if context for text in (context, context + continuation)
    )
    tokens = dict(zip(texts, _encode_texts(lm, texts), strict=True))
    for pair, (context, continuation) in zip(new, split, strict=True):
        if pair[0] == "":
            encoded[pair] = _encode_bare(lm, continuation)
        else:
            beginning = tokens[context] if context else lm.tok_encode(context)
            whole = tokens[context + continuation] if context else lm.tok_encode(continuation)
            encoded[pair] = (beginning, whole[len(beginning) :])
    return [encoded[pair] for pair in pairs]


def _without_trailing_spaces(context: str, continuation: str) -> Pair:
    """Spaces at the context's end belong to the continuation (``_encode_pair``)."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _encode_bare(lm: Any, continuation: str) -> Encoded:
    """An empty context: the prefix token (BOS or EOS) stands for it, or the continuation's own first token."""
    tokens = lm.tok_encode(continuation, add_special_tokens=False)
    if tokens[0] == lm.prefix_token_id:
        return tokens[:1], tokens[1:]
    return [lm.prefix_token_id], tokens


def _encode_texts(lm: Any, texts: Iterable[str]) -> list[list[int]]:
    """``lm.tok_encode`` of every text, in one call per setting of add_special_tokens."""
    texts = list(texts)
    if not getattr(lm.tokenizer, "is_fast", False):
        return [lm.tok_encode(text) for text in texts]
    bos = lm.tokenizer.decode(lm.prefix_token_id)
    default = {} if lm.add_bos_token is None else {"add_special_tokens": lm.add_bos_token}
    found: list[list[int]] = [[]] * len(texts)
    for prefixed in (False, True):
        chosen = [index for index, text in enumerate(texts) if text.startswith(bos) == prefixed]
        if chosen:
            settings = {"add_special_tokens": False} if prefixed else default
            encoded = lm.tokenizer([texts[index] for index in chosen], **settings)["input_ids"]
            for index, tokens in zip(chosen, encoded, strict=True):
                found[index] = tokens
    return found
