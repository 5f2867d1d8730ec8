"""Terms are found and explained in any text, in both languages; texts stay texts."""

import re
from html import unescape

import pytest

from qcompare.present.glossary import TERMS, explained
from qcompare.study.formats import SCHEMES
from qcompare.study.recipe import RECIPES
from qcompare.words import LANGUAGES, gettext, use_language


def words(html: str) -> list[str]:
    """What is explained, in the order of the text."""
    return [unescape(word) for word in re.findall(r'data-term="[^"]+">([^<]*)</dfn>', html)]


def test_terms_of_a_sentence_are_explained_once_each() -> None:
    said = explained("The mixed recipe: KL 0.7, next KL 0.9; Holm over 4, holm again.")
    assert words(said) == ["mixed", "KL", "Holm"]
    assert "word by word" in said


def test_parts_of_other_words_are_no_terms() -> None:
    assert words(explained("really unmixed MXFP4_RCEILING appointments")) == []


def test_markup_in_a_text_is_shown_not_run() -> None:
    said = explained('<script>KL</script> "quoted" & more')
    assert said.startswith("&lt;script&gt;<dfn ") and "<script" not in said and "&amp; more" in said


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_recipe_scheme_and_term_has_an_explanation_in_every_language(language: str) -> None:
    with use_language(language):
        names = [*(gettext(recipe.label) for recipe in RECIPES.values()), *SCHEMES]
        names += [spelling for spellings, _ in TERMS for spelling in gettext(spellings).split("|")]
        assert [name for name in names if words(explained(name)) != [name]] == []


def test_an_explanation_names_the_figures_of_a_weight_only_scheme() -> None:
    assert "2-bit integer weights, groups of 64" in explained("W2A16G64")
