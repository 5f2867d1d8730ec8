"""The printed tables: as in the documents, with their contradictions named."""

from qcompare.compare.published import AVERAGE, PUBLISHED, contradictions


def test_the_two_percentages_that_contradict_their_values_are_flagged() -> None:
    flagged = [
        (table.name, cell.model, cell.percent, round(cell.computed_percent or 0, 1))
        for table, cell in contradictions()
    ]
    assert flagged == [
        ("table3", "Qwen/Qwen2.5-7B-Instruct", 95.5, 95.8),
        ("table3", "Qwen/Qwen3-8B", 95.8, 96.8),
    ]


def test_every_table_has_as_many_figures_as_are_printed() -> None:
    assert {table.name: len(table.cells) for table in PUBLISHED} == {
        "table1": 20, "table2": 9, "table3": 9, "table4": 9, "awq_fp8": 4,
    }  # fmt: skip


def test_figures_that_two_tables_print_agree() -> None:
    seen: dict[tuple[str, float | None, str], float] = {}
    for cell in (c for t in PUBLISHED if t.name in ("table1", "table2", "table3") for c in t.cells):
        key = (cell.recipe, cell.avg_bits, cell.model)
        assert seen.setdefault(key, cell.value) == cell.value
        assert cell.metric == AVERAGE
