"""What a model is called, by the name or path that a study knows it by."""

import pytest

from qcompare.study.model_name import model_title

CACHE = "/root/.cache/huggingface/hub/models--org--Llama-8B/snapshots/0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("model", "in_config", "expected"),
    [
        ("demo", "", "demo"),
        ("org/name@v1", "", "org/name@v1"),
        ("/data/models/llama-8b", "org/other", "llama-8b"),
        ("/data/llama-8b/model/", "", "llama-8b/model"),
        ("/data/run-7/checkpoint-500", "org/Llama-8B", "Llama-8B"),
        ("/data/run-7/checkpoint-500", "/tmp/model", "run-7/checkpoint-500"),
        (CACHE, "", "Llama-8B"),
        ("./model", "", "model"),
    ],
)
def test_a_folder_is_called_by_the_part_of_its_path_that_says_most(model: str, in_config: str, expected: str) -> None:
    assert model_title(model, in_config) == expected
