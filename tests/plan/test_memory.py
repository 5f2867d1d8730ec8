"""Memory estimates for models of 0.5 to 70 billion parameters on GPUs of 8 to 141 GB, against what they truly need.

What a model needs follows from its shape: its weights, a CUDA context of half a gigabyte, and 64 MB of logits in
float32 with as much log-softmax. Rounding a layer takes four float32 copies of it.
"""

from dataclasses import dataclass

import pytest

from qcompare.models.devices import CPU, Device
from qcompare.models.facts import ModelFacts
from qcompare.plan import memory
from qcompare.plan.memory import gpus_needed, item_bytes, memory_needs
from qcompare.study.layers import LinearLayer
from qcompare.study.result import ModelRef
from qcompare.study.spec import Study
from tests.fake_cuda import EIGHT, Machine
from tests.synthetic import ENVIRONMENT, add_study, make_result

CARDS = (8, 12, 16, 24, 48, 80, 141)
"""In GiB, a hundredth of which is not available."""


@dataclass(frozen=True)
class Shape:
    """A Llama: hidden size, MLP size, blocks, query and key heads of 128 (64 in the smallest), vocabulary."""

    hidden: int
    inner: int
    blocks: int
    kv: int
    vocabulary: int
    tied: bool = False

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """Of a block: name → (out_features, in_features)."""
        h, i = self.hidden, self.inner
        attention = {"q_proj": (h, h), "k_proj": (self.kv, h), "v_proj": (self.kv, h), "o_proj": (h, h)}
        return attention | {"gate_proj": (i, h), "up_proj": (i, h), "down_proj": (h, i)}

    @property
    def params(self) -> int:
        block = sum(a * b for a, b in self.layers.values())
        return self.blocks * block + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def facts(self) -> ModelFacts:
        layers = tuple(
            LinearLayer(name=f"model.layers.{n}.{name}", out_features=a, in_features=b, block=n)
            for n in range(self.blocks)
            for name, (a, b) in self.layers.items()
        )
        head = LinearLayer(name="lm_head", out_features=self.vocabulary, in_features=self.hidden, block=self.blocks)
        return ModelFacts("m", "m", "hub", "llama", self.params, 2 * self.params, None, layers, head, self.tied)

    def needs(self, itemsize: int) -> float:
        """Bytes that a job takes at least on a GPU, plainly rounded."""
        largest = max(a * b for a, b in self.layers.values())
        return self.params * itemsize + 0.5e9 + 16 * largest + 2 * 64e6


SHAPES = {
    "0.5B": Shape(896, 4864, 24, 128, 151_936, tied=True),
    "1.5B": Shape(1536, 8960, 28, 256, 151_936, tied=True),
    "3B": Shape(3072, 8192, 28, 1024, 128_256, tied=True),
    "8B": Shape(4096, 14336, 32, 1024, 128_256),
    "14B": Shape(5120, 17408, 40, 1024, 151_936),
    "32B": Shape(5120, 25600, 64, 1024, 151_936),
    "70B": Shape(8192, 28672, 80, 1024, 128_256),
}
STUDY = Study()


def card(gib: int, capability: tuple[int, int] = (9, 0)) -> Device:
    return Device(f"cuda:GPU-{gib}", "cuda:0", "a GPU", int(0.99 * gib * 2**30), capability)


def test_the_shapes_are_those_of_real_models() -> None:
    billions = {name: shape.params / 1e9 for name, shape in SHAPES.items()}
    assert billions == pytest.approx(
        {"0.5B": 0.49, "1.5B": 1.54, "3B": 3.21, "8B": 8.03, "14B": 14.8, "32B": 32.8, "70B": 70.6}, rel=0.07
    )


@pytest.mark.parametrize("capability", [(9, 0), (7, 5)])
@pytest.mark.parametrize("gib", CARDS)
@pytest.mark.parametrize("name", SHAPES)
def test_what_fits_is_not_refused_and_what_does_not_is(name: str, gib: int, capability: tuple[int, int]) -> None:
    shape, device = SHAPES[name], card(gib, capability)
    itemsize = 2 if capability >= (8, 0) else 4  # no bfloat16 before Ampere
    assert item_bytes(device, "auto") == itemsize
    assert device.total_bytes
    found = memory_needs(shape.facts(), STUDY, device, "auto", scoring=False)
    assert found.device.low >= shape.params * itemsize
    assert found.device.low == pytest.approx(shape.needs(itemsize), abs=0.6e9)  # refused by it
    if shape.needs(itemsize) > device.total_bytes:
        assert found.device.low > device.total_bytes
    assert found.device.high <= shape.needs(itemsize) + 9e9
    assert found.ram.low < 3e9  # weights are not gathered in RAM on their way to the GPU


@pytest.mark.parametrize(("name", "smallest"), [("0.5B", 8), ("3B", 8), ("8B", 24), ("14B", 48), ("32B", 80)])
def test_scoring_layers_fits_where_the_weights_do(name: str, smallest: int) -> None:
    """AutoScheme streams blocks: an 8 B model took 18 GB on an A100, as its authors published."""
    for gib in CARDS:
        device = card(gib)
        assert device.total_bytes
        least = memory_needs(SHAPES[name].facts(), STUDY, device, "auto", scoring=True).device.low
        fits = least <= device.total_bytes
        assert fits is (gib >= smallest)
    assert memory_needs(SHAPES["8B"].facts(), STUDY, card(80), "auto", scoring=True).device.likely < 24e9


def test_float32_takes_twice_as_much_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SHAPES["8B"].facts()
    for device in (card(80), CPU):
        low, high = (memory_needs(facts, STUDY, device, dtype, False).device.low for dtype in ("bfloat16", "float32"))
        assert high - low == 2 * facts.num_params
    assert item_bytes(card(24, (7, 5)), "bfloat16") == 2
    for flags, expected in ((set[str](), 4), ({"amx_bf16"}, 2)):
        monkeypatch.setattr(memory, "_cpu_flags", lambda flags=flags: flags)
        assert item_bytes(CPU, "auto") == expected


def test_runs_of_this_model_and_of_like_ones_tell_and_weights_are_a_floor(home: object) -> None:
    from qcompare.settings import Settings
    from qcompare.store import Store

    store = Store(Settings().home)
    facts, device = SHAPES["8B"].facts(), card(80)
    study = add_study(store)

    def past(params: int, peak: float, dtype: str = "bfloat16") -> object:
        model = ModelRef(name="x", source="hub", revision="0", num_params=params, num_quantized_params=1)
        environment = ENVIRONMENT.model_copy(update={"dtype": dtype})
        job = f"{study.id}.bf16"
        return make_result(study, job, model=model, environment=environment, peak_memory_bytes=int(peak))

    def likely(*results: object) -> float:
        return memory_needs(facts, STUDY, device, "auto", False, results).device.likely  # type: ignore[arg-type]

    weights, context = facts.num_params * 2, memory.CONTEXT_BYTES
    assert likely(past(facts.num_params, 19e9)) == 19e9 + context
    assert likely(past(facts.num_params, 1e9)) == weights + context
    assert likely(past(4 * 10**9, 8e9 + 1.5e9)) == pytest.approx(weights + 1.5e9 + context)
    untold = likely()
    assert likely(past(10**9, 9e9)) == likely(past(facts.num_params, 40e9, "float32")) == untold


def test_a_model_larger_than_a_gpu_gets_several() -> None:
    def gpus(name: str, gib: int, available: int) -> int:
        device = card(gib)
        assert device.total_bytes
        need = memory_needs(SHAPES[name].facts(), STUDY, device, "auto", False).device
        return gpus_needed(need, device.total_bytes, available)

    assert [gpus("70B", gib, 8) for gib in (24, 48, 80, 141)] == [7, 4, 2, 1]
    assert gpus("70B", 24, 4) == 4  # all there are; the rest goes to the CPU
    assert [gpus(name, 80, 8) for name in ("0.5B", "8B", "32B")] == [1, 1, 1]


def test_answers_on_a_gpu_take_a_step_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """An 8 B model in eager mode takes some 25 ms and more per step, however fast the GPU multiplies."""
    from qcompare.plan.estimates import Estimates
    from qcompare.recipes.base import Recipe
    from qcompare.study.recipe import recipe_of

    Machine(EIGHT[:1]).use(monkeypatch)
    study = Study(prompts=("Why?",), max_new_tokens=100, tasks=(), divergence=None)
    baseline, simulated = recipe_of("bf16"), recipe_of("uniform")
    assert isinstance(baseline, Recipe) and isinstance(simulated, Recipe)
    estimates = Estimates(SHAPES["8B"].facts(), study, f"cuda:{EIGHT[0].uuid}", ())
    plain, rounded = (estimates.cost(each, None).stages["answering prompts"] for each in (baseline, simulated))
    assert 2.5 < plain < 6 and rounded > 1.5 * plain
