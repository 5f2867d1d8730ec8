"""The patches fit the auto-round that is installed."""

from importlib.metadata import version

from auto_round import wrapper
from auto_round.auto_scheme import delta_loss
from auto_round.compressors import orchestrator

from qcompare.quantize.auto_round_patches import VERSION, captured_scores, our_roundings, reported_progress


def test_the_patches_were_read_from_the_installed_version() -> None:
    assert version("auto-round") == VERSION, "read auto-round's code again where it is patched, then raise VERSION"


def test_every_patch_is_undone_at_the_end() -> None:
    before = delta_loss.tqdm, orchestrator.tqdm, delta_loss.choose_bits_per_layer_with_path, wrapper.get_quant_func
    steps: list[tuple[int, int]] = []
    with (
        reported_progress(delta_loss, lambda done, total: steps.append((done, total))),
        reported_progress(orchestrator, lambda done, total: None),
        captured_scores(),
        our_roundings(),
    ):
        bar = delta_loss.tqdm(total=3, disable=False)
        bar.update(2)
        bar.close()
    now = delta_loss.tqdm, orchestrator.tqdm, delta_loss.choose_bits_per_layer_with_path, wrapper.get_quant_func
    assert steps == [(2, 3)]
    assert now == before
