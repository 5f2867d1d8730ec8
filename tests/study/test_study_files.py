"""The shipped study files: read, planned, and each with a twin for the demo model."""

from pathlib import Path

import pytest
import yaml

from qcompare.compare.published import PUBLISHED
from qcompare.errors import InvalidStudy
from qcompare.plan.plan import make_plan
from qcompare.settings import Settings
from qcompare.study.formats import SCHEMES
from qcompare.study.reading import load_studies

FOLDER = Path(__file__).parents[2] / "assets" / "studies"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_one_study_a_model(name: str) -> None:
    named = yaml.safe_load((FOLDER / name).read_text())["model"]
    studies = load_studies(FOLDER / name)
    assert [study.model for study in studies] == ([named] if isinstance(named, str) else named)
    assert len({study.model_copy(update={"model": "x"}).to_yaml() for study in studies}) == 1


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("demo")])
def test_demo_files_can_be_run_here(name: str, settings: Settings) -> None:
    (study,) = load_studies(FOLDER / name)
    assert len(make_plan(study, settings).jobs) >= 3


def test_every_published_cell_is_a_row_of_its_study_file_and_has_a_demo_twin() -> None:
    for table in PUBLISHED:
        studies = {study.model: study for study in load_studies(FOLDER / table.study)}
        (twin,) = load_studies(FOLDER / f"demo_{table.study}")
        for cell in table.cells:
            study = studies[cell.model]
            assert cell.recipe in [recipe.name for recipe in study.recipes]
            assert cell.avg_bits is None or cell.avg_bits in study.avg_bits
        study = next(iter(studies.values()))
        assert [SCHEMES[s].bits for s in twin.schemes] == [SCHEMES[s].bits for s in study.schemes]
        assert (twin.avg_bits, set(twin.recipes) <= set(study.recipes)) == (study.avg_bits, True)


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("demo")])
def test_layers_that_may_get_two_bits_are_scored_on_as_much_text_as_auto_round_asks_for(name: str) -> None:
    for study in load_studies(FOLDER / name):
        if any(SCHEMES[scheme].bits == 2 for scheme in study.schemes):
            assert study.calibration.num_samples >= 128 and study.calibration.max_seq_length >= 1024


def test_another_model_takes_the_place_of_the_files(tmp_path: Path) -> None:
    (study,) = load_studies(FOLDER / "table1_mxfp.yaml", model="demo")
    assert study.model == "demo"
    empty = tmp_path / "empty.yaml"
    empty.write_text("model: []")
    with pytest.raises(InvalidStudy, match="empty list"):
        load_studies(empty)
