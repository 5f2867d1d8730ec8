"""Study files: what is accepted, and one clear line for everything that is not."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from qcompare.errors import InvalidStudy
from qcompare.study.reading import load_study, parse_study, read_study
from qcompare.study.recipe import RECIPES, default_recipes
from qcompare.study.spec import Study
from qcompare.study.task import TASKS


def subsets(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, unique=True)


@given(
    recipes=subsets([name for name, recipe in RECIPES.items() if recipe.offered]),
    tasks=subsets(list(TASKS)),
    limit=st.none() | st.integers(1, 10**6),
    avg_bits=st.lists(st.floats(0.5, 32), min_size=1, max_size=5, unique=True),
    prompts=st.lists(st.text(max_size=50) | st.lists(st.text(max_size=20), min_size=1, max_size=3), max_size=3),
)
@example(["bf16"], ["piqa"], None, [5.0], ["one\x85two\u2028three", "\x85"])
def test_a_study_survives_its_own_file(recipes, tasks, limit, avg_bits, prompts) -> None:  # type: ignore[no-untyped-def]
    study = parse_study(
        {"recipes": recipes, "tasks": tasks, "limit": limit, "avg_bits": avg_bits, "prompts": prompts}
    )
    assert read_study(study.to_yaml()) == study


def test_the_example_of_the_contract_is_a_study() -> None:
    text = """
    model: demo
    schemes: [MXFP4, MXFP8]
    avg_bits: [5.0]
    ignore_scale_zp_bits: true
    recipes: [bf16, uniform, head, tail, mixed]
    tasks: [lambada_openai, hellaswag, piqa, winogrande, mmlu]
    limit: 100
    num_fewshot: 0
    prompts: ["What is the capital of France?"]
    calibration: {dataset: auto, num_samples: 16, max_seq_length: 256}
    seed: 42
    """
    assert read_study(text).limit == 100


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"schemes": ["MXPF4", "MXFP8"]}, "did you mean 'MXFP4'"),
        ({"schemes": ["MXFP8", "MXFP4"]}, "low first"),
        (
            {"schemes": ["MXFP4", "MXFP8_RCEIL"]},
            "cannot be stored in one checkpoint: auto_round and llm_compressor hold mixes of MXFP4, MXFP6",
        ),
        ({"schemes": ["MXFP4"]}, "a low and a high"),
        ({"schemes": ["MXFP4", "W8A16"]}, "auto_round hold mixes of W2A16"),
        ({"schemes": ["FP8_DYNAMIC", "INT8_W8A8"]}, "different bits"),
        ({"recipes": ["unifrom"]}, "did you mean 'uniform'"),
        ({"recipes": []}, "name at least one"),
        ({"tasks": ["helaswag"]}, "did you mean 'hellaswag'"),
        ({"tasks": ["piqa", "piqa"]}, "named twice"),
        ({"tasks": [], "prompts": []}, "nothing to measure"),
        ({"limit": -5}, "limit: .*greater than or equal to 1.*-5"),
        ({"modle": "demo"}, "did you mean 'model'"),
        ({"calibration": {"samples": 3}}, "calibration.samples.*Known: dataset, num_samples"),
        ({"avg_bits": [5, 5]}, "twice"),
        ({"avg_bits": [float("nan")]}, "avg_bits"),
        ({"model": ""}, "model"),
        ({"prompts": ["Hi", ["Hello", 7]]}, r"prompts\.1\.1: Input should be a valid string, got 7"),
        ({"prompts": [[]]}, r"prompts\.0: Tuple should have at least 1 items"),
        ({"seed": "x" * 10_000}, "seed"),
    ],
)
def test_a_wrong_study_gets_one_line_that_says_what_is_wrong(values: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidStudy, match=says) as error:
        parse_study(values)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "model: [", "\x00", "just words", "a: &a [*a]"])
def test_text_that_is_no_study_gets_one_line(text: str) -> None:
    with pytest.raises(InvalidStudy) as error:
        read_study(text)
    assert "\n" not in str(error.value)


def test_ten_megabytes_of_junk_are_refused_unread(tmp_path: Path) -> None:
    junk = tmp_path / "junk.yaml"
    junk.write_bytes(b"\xff" * 10_000_000)
    with pytest.raises(InvalidStudy, match=r"10\.0 MB; a study file has at most 1 MB"):
        load_study(junk)


def test_binary_and_missing_files_are_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    for path, says in ((binary, "not a text file"), (tmp_path / "none.yaml", "cannot be read"), (tmp_path, "folder")):
        with pytest.raises(InvalidStudy, match=says):
            load_study(path)


def test_defaults_are_the_demo_study() -> None:
    values = yaml.safe_load(Study().to_yaml())
    assert (values["model"], values["recipes"]) == ("demo", [recipe.name for recipe in default_recipes()])
