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
    found: dict[str, Any] = dict.fromkeys(names)

    def watch(name: str) -> Any:
        def note(module: Any, inputs: tuple[Any, ...]) -> None:
            largest = inputs[0].detach().abs().max()  # stays on the device: reading it would wait
            found[name] = largest if found[name] is None else torch.maximum(found[name], largest)

        return modules[name].register_forward_pre_hook(note)

    handles = [watch(name) for name in found]
    try:
        with torch.inference_mode():
            for row in rows:
                model(torch.tensor([list(row)], device=model.device), logits_to_keep=1)
    finally:
        for handle in handles:
            handle.remove()
    numbers = {name: float(largest) for name, largest in found.items() if largest is not None}
    return {name: largest for name, largest in numbers.items() if largest}
