"""The figures of the README are those of the recorded study."""

from scripts.readme_figures import BEGIN, END, README, rewritten


def test_the_readme_says_what_the_script_writes() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme.count(BEGIN) == readme.count(END) == 1
    assert readme == rewritten(readme), "run python -m scripts.readme_figures"
    assert rewritten(readme.replace("3\u202f894 tokens", "4\u202f080 tokens")) == readme
