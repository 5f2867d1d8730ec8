"""From the names and shapes of stored weights to the linear layers that recipes may quantize.

The rules are auto-round's (`auto_round/compressors/layer_config_resolver.py`, `utils/model.py:get_block_names`):
linear layers inside the decoder blocks, without those whose inputs do not fill groups of 32. A test compares the
outcome with auto-round's own list on loaded models.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod

from qcompare.study.layers import LinearLayer

GROUP_SIZE = 32
"""Weights that share a scale in the MX formats; a layer whose inputs are not a multiple stays unquantized."""
NOT_LINEAR = re.compile(
    r"norm|embed|router|relative_attention|rotary|position|conv|(^|\.)(gate|shared_expert_gate|wpe|wte|ln_\w+)$"
)
"""Two-dimensional weights inside blocks that are embeddings, norms or expert routers."""
TRANSPOSED = frozenset({"gpt2", "openai-gpt"})
"""Families that store weights as inputs × outputs (transformers' Conv1D)."""
BARE = {"h": "transformer.", "layers": "model."}
"""Checkpoints of the model without its head leave out the name of its body: the module list → the missing prefix."""
ORDER = ("q_proj", "k_proj", "v_proj", "qkv", "c_attn", "o_proj", "dense", "c_proj", "gate", "up", "c_fc", "down")
"""Within a block, in the direction the data flows; unknown names come after, by name."""

EMBEDDING = re.compile(r"(.*\.)?(embed_tokens|wte)\.weight")
"""Token embeddings."""

Shapes = Mapping[str, tuple[int, ...]]
"""Full name of a stored tensor → its shape."""
EXPERT_FAMILIES = frozenset({"gpt_oss", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe"})
"""Mixtures of experts that are taken apart into linear layers when loaded (`loading.py`)."""
EXPERTS_TRANSPOSED = frozenset({"gpt_oss"})
"""Those whose files hold experts as inputs × outputs."""
VISION_FAMILIES = {
    "gemma3": "language_model",
    "llava": "language_model",
    "mistral3": "language_model",
    "qwen2_5_vl": "language_model",
    "qwen3_vl": "language_model",
    "smolvlm": "text_model",
}
"""Vision-language models whose text part is quantized and measured → the module in `model` that holds it."""
STORED_AS = {"block_sparse_moe": "mlp", "w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
"""Parts of the names of experts in files → in the loaded model."""


def linear_layers(shapes: Shapes, family: str, num_blocks: int | None = None) -> tuple[LinearLayer, ...]:
    """The layers that recipes may quantize, in the order of the model.

    Args:
        shapes: every stored tensor.
        family: `model_type` of the config.
        num_blocks: decoder blocks as the config counts them; blocks past it (multi-token prediction) are left out.
    """
    shapes = as_loaded(shapes, family)
    found = [(name, *parts) for name in shapes if (parts := _parts(name)) and len(shapes[name]) == 2]
    body = _body((stem, prod(shapes[name])) for name, stem, _, _ in found)
    layers = []
    for name, stem, block, rest in found:
        shape = shapes[name] if family not in TRANSPOSED else shapes[name][::-1]
        outside = stem != body or NOT_LINEAR.search(rest) or (num_blocks is not None and block >= num_blocks)
        if not outside and shape[1] % GROUP_SIZE == 0:
            full = BARE.get(stem, "") + name.removesuffix(".weight")
            layers.append(LinearLayer(full, in_features=shape[1], out_features=shape[0], block=block))
    return tuple(sorted(layers, key=_place))


def as_loaded(shapes: Shapes, family: str) -> Shapes:
    """The stored tensors of a model that computes text, by the names that they have when it is loaded.

    Experts are the linear layers into which they are taken apart then; the vision part is left out.
    """
    if text_part := VISION_FAMILIES.get(family):
        text = {name: shape for name, shape in shapes.items() if not re.search("visual|vision", name)}
        stem = re.compile(rf"^(language_model\.model|model\.{text_part}|model)\.layers\.")
        shapes = {
            stem.sub(f"model.{text_part}.layers.", name.replace("language_model.lm_head", "lm_head")): shape
            for name, shape in text.items()
        }
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        fused = re.fullmatch(r"(.+\.experts)\.(gate_up_proj|down_proj)", name)
        if fused and len(shape) == 3:
            outputs, inputs = shape[:0:-1] if family in EXPERTS_TRANSPOSED else shape[1:]
            parts = ("gate_proj", "up_proj") if fused[2] == "gate_up_proj" else ("down_proj",)
            size = outputs // len(parts), inputs
            found |= {f"{fused[1]}.{n}.{part}.weight": size for n in range(shape[0]) for part in parts}
        elif ".experts." in name or ".block_sparse_moe." in name:
            found[".".join(STORED_AS.get(part, part) for part in name.split("."))] = shape
        else:
            found[name] = shape
    return found


def expert_count(shapes: Shapes) -> int:
    """Experts of one block of a mixture-of-experts model; 0 for a dense one."""
    numbers = {int(match[1]) for name in shapes if (match := re.search(r"\.experts\.(\d+)\.", name))}
    fused = [shape[0] for name, shape in shapes.items() if ".experts." in name and len(shape) == 3]
    return max([len(numbers), *fused])


def output_head(shapes: Shapes, layers: Sequence[LinearLayer], tied: bool) -> LinearLayer | None:
    """`lm_head`, by its own shape or, where it is tied, that of the embedding; None where the files name neither."""
    pattern = EMBEDDING if tied else re.compile(r"lm_head\.weight")
    found = next((shape for stored, shape in shapes.items() if pattern.fullmatch(stored)), None)
    if found is None or len(found) != 2 or found[1] % GROUP_SIZE:
        return None
    return LinearLayer("lm_head", in_features=found[1], out_features=found[0], block=max(x.block for x in layers) + 1)


def embedding(shapes: Shapes) -> LinearLayer | None:
    """The token embedding; None where the files name none, or its rows do not fill groups of 32."""
    found = next((name for name in shapes if EMBEDDING.fullmatch(name)), None)
    if found is None or len(shapes[found]) != 2 or shapes[found][1] % GROUP_SIZE:
        return None
    name = found.removesuffix(".weight")
    name = {"wte": "transformer.wte", "embed_tokens": "model.embed_tokens"}.get(name, name)
    return LinearLayer(name, in_features=shapes[found][1], out_features=shapes[found][0], block=-1)


def num_params(shapes: Shapes, tied: bool) -> int:
    """All weights; a head that is stored although it shares the embedding counts once."""
    return sum(prod(shape) for name, shape in shapes.items() if not (tied and name == "lm_head.weight"))


def _parts(name: str) -> tuple[str, int, str] | None:
    """`model.layers.3.mlp.up_proj.weight` → (`model.layers`, 3, `mlp.up_proj`)."""
    match = re.fullmatch(r"(.+?)\.(\d+)\.(.+)\.weight", name)
    return (match[1], int(match[2]), match[3]) if match else None


def _body(sizes: Iterable[tuple[str, int]]) -> str:
    """The numbered list that holds the most weights: the decoder blocks."""
    total: Counter[str] = Counter()
    for stem, size in sizes:
        total[stem] += size
    return total.most_common(1)[0][0] if total else ""


EXPERT = re.compile(r"(.+\.experts)\.\d+\..+")


def _place(layer: LinearLayer) -> tuple[int, bool, int, str]:
    """Sort key: block, attention before the MLP, then `ORDER`."""
    last = layer.name.rpartition(".")[2]
    rank = next((i for i, part in enumerate(ORDER) if part in last), len(ORDER))
    return layer.block, "mlp" in layer.name or "feed_forward" in layer.name, rank, layer.name


FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Serving engines such as vLLM compute each of these as one matrix, in one format."""


def experts_of(name: str) -> str | None:
    """The experts among which a layer is one; None for other layers."""
    match = EXPERT.fullmatch(name)
    return match[1] if match else None


def fused_key(name: str) -> tuple[str, str]:
    """The same for all layers that are computed as one: a layer's parent and the first of its group."""
    parent, _, last = name.rpartition(".")
    return parent, next((fused[0] for fused in FUSED if last in fused), last)
