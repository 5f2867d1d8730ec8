"""A layer config as one `.gguf` file, by llama.cpp's own converter, of which auto-round brings a copy.

The converter reads the original's files, names and orders tensors as llama.cpp wants them, and writes sizes and the
vocabulary. Blocks of weights are packed by `formats.gguf.pack_blocks`, as in the model that was measured.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcompare.errors import InvalidStudy
from qcompare.formats.gguf import BLOCKS, pack_blocks
from qcompare.formats.library import PRESETS
from qcompare.models.config import read_config
from qcompare.models.facts import ModelFacts
from qcompare.models.gguf import UNREAD, layer_tensors
from qcompare.models.layers import EMBEDDING, VISION_FAMILIES
from qcompare.quantize.auto_round_patches import gguf_blocks_packed_by, unknown_architectures
from qcompare.study.formats import quantized

if TYPE_CHECKING:
    import numpy
    import torch

REFUSALS = (NotImplementedError, ImportError, OSError, ValueError, LookupError, TypeError, AssertionError)
"""What the converter raises for models and tokenizers that it does not know."""
HEAD = "lm_head.weight"


@dataclass(frozen=True)
class GgufExport:
    """What is to be in the file."""

    folder: Path
    """Of the original."""
    facts: ModelFacts
    layer_config: Mapping[str, str]
    dtype: str
    """torch's dtype of what is not quantized, and in which weights are rounded."""
    device: str
    """On which weights are rounded."""

    @property
    def file_name(self) -> str:
        """`SmolLM2-135M-Q4_K_S.gguf`, by the type of most weights."""
        return f"{self.facts.title.replace('/', '-')}-{self._most}.gguf"

    def check(self) -> None:
        """Refuse what cannot be written, before anything large is read.

        Raises:
            InvalidStudy: llama.cpp's converter does not know the model, one of its layers, or its tokenizer.
        """
        model = self.facts.title
        if self.facts.family in VISION_FAMILIES:
            raise InvalidStudy(
                "{model} sees images, which needs a second GGUF file: choose a text model", model=model
            )
        if self.facts.family in UNREAD:
            raise InvalidStudy(
                "GGUF files of {family} cannot be read again here: choose schemes of another format",
                family=self.facts.family,
            )
        converter = self._converter()
        try:
            converter.set_gguf_parameters()
        except REFUSALS as error:
            raise self._unknown(error) from None
        try:
            converter.set_vocab()
        except REFUSALS as error:
            raise InvalidStudy(
                "llama.cpp's converter does not know the tokenizer of {model} ({reason}): choose another model, or "
                "schemes of another format",
                model=model,
                reason=_first_line(error),
            ) from None

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            InvalidStudy: as `check`.
        """
        converter = self._converter(path)
        with gguf_blocks_packed_by(self._packed, BLOCKS):
            converter.write()

    def _packed(self, weights: "numpy.ndarray", scheme: str) -> "numpy.ndarray":
        import torch

        return pack_blocks(torch.from_numpy(weights).to(self.device), scheme)

    @property
    def _most(self) -> str:
        """The type of most weights, as llama.cpp calls files of it: `Q4_K_S`."""
        sizes: Counter[str] = Counter()
        for layer in self.facts.layers:
            if scheme := quantized(self.layer_config).get(layer.name):
                sizes[scheme] += layer.numel
        return PRESETS[sizes.most_common(1)[0][0]].removeprefix("GGUF:")

    def _converter(self, path: Path | None = None) -> Any:
        """llama.cpp's converter of the model, told the types of its tensors."""
        import torch
        from auto_round.export.export_to_gguf.llama_cpp_conversion import get_conversion
        from gguf import MODEL_ARCH_NAMES, GGMLQuantizationType, LlamaFileType

        unquantized = {"float32": "ALL_F32", "float16": "MOSTLY_F16", "bfloat16": "MOSTLY_BF16"}[self.dtype]
        try:
            with unknown_architectures():
                conversion = get_conversion(self.folder, auto_update=False)
            hparams = read_config(self.folder / "config.json") | conversion.ModelBase.load_hparams(self.folder, False)
            base = conversion.get_model_class(conversion.get_model_architecture(hparams, conversion.ModelType.TEXT))
            tensors = self._tensors(MODEL_ARCH_NAMES[base.model_arch])
            most, own_head = LlamaFileType[f"MOSTLY_{self._most}"], "output.weight" in tensors and self.facts.tied

            class Converter(base):  # type: ignore[misc, valid-type]
                model_arch = base.model_arch

                def get_tensors(self) -> "Iterator[tuple[str, torch.Tensor]]":
                    return _tensors(super().get_tensors(), dtype, tied, own_head)

                def tensor_force_quant(self, name: str, new_name: str, bid: int | None, n_dims: int) -> Any:
                    if scheme := tensors.get(new_name):
                        return GGMLQuantizationType[scheme]
                    return super().tensor_force_quant(name, new_name, bid, n_dims)

                def prepare_tensors(self) -> None:
                    super().prepare_tensors()
                    self.ftype = most

            dtype, tied = getattr(torch, self.dtype), self.facts.tied
            options = {"hparams": hparams, "model_name": self.facts.title, "eager": True}
            return Converter(self.folder, LlamaFileType[unquantized], path, **options)
        except REFUSALS as error:
            raise self._unknown(error) from None

    def _unknown(self, error: BaseException) -> InvalidStudy:
        return InvalidStudy(
            "llama.cpp's converter does not know {model} ({reason}): choose schemes of another format",
            model=self.facts.title,
            reason=_first_line(error),
        )

    def _tensors(self, architecture: str) -> dict[str, str]:
        """llama.cpp's name of each quantized tensor → its scheme."""
        config = quantized(self.layer_config)
        blocks = max(layer.block for layer in self.facts.layers) + 1
        names = layer_tensors(architecture, blocks, config)
        found: dict[str, str] = {}
        for layer, scheme in config.items():
            if layer not in names and self.facts.lm_head and layer == self.facts.lm_head.name:
                raise InvalidStudy(
                    "llama.cpp computes outputs of {model} with its embedding: set quant_lm_head to false",
                    model=self.facts.title,
                )
            if layer not in names:
                raise InvalidStudy(
                    "llama.cpp has no name for {layer} of {model}: choose schemes of another format",
                    layer=layer,
                    model=self.facts.title,
                )
            if found.setdefault(names[layer], scheme) != scheme:
                raise InvalidStudy(
                    "a GGUF file holds the experts of a block as one tensor, but {layer} and others have different "
                    "schemes: give them one",
                    layer=layer,
                )
        return found


def _tensors(
    stored: "Iterator[tuple[str, torch.Tensor]]", dtype: "torch.dtype", tied: bool, own_head: bool
) -> "Iterator[tuple[str, torch.Tensor]]":
    """The original's tensors in a dtype; a tied head is left out, or a matrix of its own."""
    for name, tensor in stored:
        if tied and name == HEAD:
            continue
        yield name, tensor.to(dtype)
        if own_head and EMBEDDING.fullmatch(name):
            yield HEAD, tensor.to(dtype)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
