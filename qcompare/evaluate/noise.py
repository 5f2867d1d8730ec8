"""The numerical noise floor of a row: a sample computed again with the same weights in another dtype.

Simulated weights are rounded once and stay; what changes is the dtype that the forward pass computes in, to which the
weights are cast. Scores of bfloat16's last bit differ little for a model in 16 bits. Where activations are rounded to
four bits, one last bit moves a number to the next step, and the following layers make another answer of it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qcompare.evaluate.divergence import Passages, divergence, reference_states
from qcompare.quantize.simulate import ORIGINAL_HEAD
from qcompare.study.noise import PASSAGES
from qcompare.study.result import Divergence
from qcompare.study.samples import Sample

if TYPE_CHECKING:
    import torch

FREE_SHARE = 0.8
"""Of the free memory that wider weights may take."""


def other_dtype(dtype: str) -> str:
    """In what the sample is computed: bfloat16 for float32, and float32 for all others."""
    return "bfloat16" if dtype == "float32" else "float32"


def can_convert(model: Any, dtype: str) -> bool:
    """Whether all weights are on devices that have room for them in another dtype."""
    from qcompare.evaluate.scoring.memory import free_bytes

    wider: dict[torch.device, int] = {}
    for weight in {id(weight): weight for _, _, weight in _weights(model)}.values():
        more = weight.numel() * (_torch_dtype(dtype).itemsize - weight.dtype.itemsize)
        wider[weight.device] = wider.get(weight.device, 0) + max(0, more)
    return all(
        device.type != "meta" and (not more or more < FREE_SHARE * free_bytes(device))
        for device, more in wider.items()
    )


def convert(model: Any, dtype: str) -> None:
    """Let a model compute in another dtype, in place: its weights in the model's own dtype are cast.

    Not `model.to(dtype)`, which casts buffers too: positions in bfloat16 are others. What transformers keeps in
    float32 when it loads a model stays so. Parameters are exchanged, since those that were made in inference mode
    cannot be given other data.
    """
    import torch

    cast: dict[int, torch.nn.Parameter] = {}
    with torch.inference_mode(False), torch.no_grad():
        weights = _weights(model)
        while weights:  # each is freed once all that hold it have the new one
            module, name, weight = weights.pop()
            if id(weight) not in cast:
                cast[id(weight)] = torch.nn.Parameter(weight.to(_torch_dtype(dtype)), requires_grad=False)
            if type(module._parameters) is not dict:  # compressed-tensors' cache copies into what it has
                module._parameters = dict(module._parameters)
            setattr(module, name, cast[id(weight)])


def _weights(model: Any) -> "list[tuple[torch.nn.Module, str, torch.nn.Parameter]]":
    """Module, attribute and weight, tied ones several times."""
    kept = tuple(getattr(model, "_keep_in_fp32_modules", None) or ())
    kept += tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    return [
        (module, attribute, weight)
        for name, module in model.named_modules()
        for attribute, weight in module.named_parameters(recurse=False)
        if weight.dtype is model.dtype and not {*name.split("."), attribute} & {*kept}
    ]


def _torch_dtype(name: str) -> "torch.dtype":
    import torch

    found: torch.dtype = getattr(torch, name)
    return found


class PassageNoise:
    """The held-out passages of the sample: what the row makes of them in its own dtype, then in another."""

    def __init__(self, model: Any, passages: Passages, original: "Sequence[torch.Tensor]", own: Divergence) -> None:
        """Before the model is converted.

        Args:
            passages: the study's; the first `PASSAGES` are taken.
            original: the original's hidden states of each.
            own: the row's KL divergence on all of them; of the original itself zero.
        """
        self.passages = Passages(passages.tokens[:PASSAGES], passages.source)
        # in float32, exactly: a head in any dtype takes them
        self.original = [states.float() for states in original[:PASSAGES]]
        parts = own.passages[:PASSAGES]
        self.kl = sum(part.kl * part.tokens for part in parts) / sum(part.tokens for part in parts)
        self.states = (
            [states.float() for states in reference_states(model, self.passages)] if own.kl else self.original
        )

    def compare(self, model: Any) -> dict[str, Any]:
        """Fields of `NoiseFloor`, after the model is converted."""
        states = reference_states(model, self.passages)
        to_original = divergence(model, self.original, self.passages, own=states)
        model.__dict__.pop(ORIGINAL_HEAD, None)  # from here on the row is compared with itself
        between = divergence(model, self.states, self.passages, own=states)
        shift = to_original.kl - self.kl
        return {"kl": between.kl, "kl_stderr": between.kl_stderr, "kl_shift": shift, "tokens": between.tokens}


def count_changes(own: Iterable[Sample], other: Iterable[Sample]) -> dict[str, int]:
    """Fields of `NoiseFloor`: how many answers differ between two computations of the same questions.

    Questions that only one of them has, or that were put differently, are left out.
    """
    known = {(sample.key, sample.prompt_hash): sample for sample in own}
    pairs = [(before, after) for after in other if (before := known.get((after.key, after.prompt_hash)))]
    return {
        "questions": len(pairs),
        "changed": sum(_choice(before) != _choice(after) or before.acc != after.acc for before, after in pairs),
        "lost": sum(before.acc > after.acc for before, after in pairs),
        "gained": sum(before.acc < after.acc for before, after in pairs),
    }


def _choice(sample: Sample) -> int:
    """The likeliest option; of a single continuation, whether greedy decoding would write it."""
    if len(sample.loglikelihoods) < 2:
        return int(any(sample.is_greedy))
    return max(range(len(sample.loglikelihoods)), key=sample.loglikelihoods.__getitem__)
