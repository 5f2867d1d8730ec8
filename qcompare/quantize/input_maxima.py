"""The largest inputs of layers on calibration text: the scale of activations that a checkpoint stores."""

from collections.abc import Iterable, Sequence
from typing import Any


def input_maxima(model: Any, names: Iterable[str], rows: Sequence[Sequence[int]]) -> dict[str, float]:
    """Largest absolute input of each named layer, over all rows of tokens fed to the unquantized model; experts that
    got no token are left out.

    As auto-round collects it (`auto_round/algorithms/composer.py: collect_act_max`).
    """
    import torch

    modules = dict(model.named_modules())
    found = dict.fromkeys(names, 0.0)

    def watch(name: str) -> Any:
        def note(module: Any, inputs: tuple[Any, ...]) -> None:
            found[name] = max(found[name], float(inputs[0].abs().max()))

        return modules[name].register_forward_pre_hook(note)

    handles = [watch(name) for name in found]
    try:
        with torch.inference_mode():
            for row in rows:
                model(torch.tensor([list(row)], device=model.device), logits_to_keep=1)
    finally:
        for handle in handles:
            handle.remove()
    return {name: largest for name, largest in found.items() if largest}
