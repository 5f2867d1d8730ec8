"""What pydantic refuses is said in the visitor's language; in English, in pydantic's own words."""

import pytest
from pydantic import ValidationError

from qcompare.study.refusals import refusal
from qcompare.study.spec import Study
from qcompare.words import translate, use_language


@pytest.mark.parametrize(
    ("change", "chinese"),
    [
        ({"limit": "many"}, "应为整数，但无法识别"),
        ({"limit": 1.5}, "应为整数，但含有小数部分"),
        ({"limit": []}, "应为整数"),
        ({"limit": 0}, "应大于或等于 1"),
        ({"avg_bits": [0]}, "应大于 0"),
        ({"avg_bits": [99]}, "应小于或等于 32"),
        ({"avg_bits": ["x"]}, "应为数字，但无法识别"),
        ({"avg_bits": [None]}, "应为数字"),
        ({"avg_bits": [float("nan")]}, "应为有限的数字"),
        ({"scorer": "mine"}, "应为 'packed' 或 'lm_eval'"),
        ({"prompts": ["a" * 100_001]}, "最多 100000 个字符"),
        ({"model": 3}, "应为文本"),
        ({"shared_layers": "perhaps"}, "应为 true 或 false"),
        ({"recipes": {"bf16": 1}}, "应为列表"),
    ],
)
def test_a_value_is_refused_in_the_language_spoken(change: dict[str, object], chinese: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Study.model_validate(change)
    error = raised.value.errors()[0]
    assert str(refusal(error)) == error["msg"]
    with use_language("zh"):
        assert translate(refusal(error)) == chinese
