"""Exports: a measured recipe becomes a checkpoint that another process loads, or nothing is left."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from qcompare.errors import InvalidStudy
from qcompare.export.target import check_target
from qcompare.jobs import exports
from qcompare.jobs.control import cancel, resume
from qcompare.jobs.executors.processes import alive
from qcompare.jobs.exports import export_state, find_job, queue_export
from qcompare.jobs.submit import submit
from qcompare.models.sources import describe
from qcompare.recipes.groups import torn_groups
from qcompare.settings import Settings
from qcompare.store import Store
from qcompare.study.records import ExportState, Job, Status
from qcompare.study.result import ExportReport
from qcompare.study.spec import Study
from tests.jobs.conftest import ours, process_of, until
from tests.jobs.test_running import wait
from tests.models.test_experts import FAMILIES
from tests.synthetic import finished_study


@dataclass(frozen=True)
class Measured:
    """A finished study of the tiny model, in a home of its own that these tests share."""

    store: Store
    settings: Settings
    study_id: str

    @property
    def job(self) -> Job:
        return self.store.jobs(self.study_id)[0]


@pytest.fixture(scope="module")
def measure(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Measured]:
    """Run a small study of a model folder, once for the same values."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), offline=True)
    done: dict[str, Measured] = {}

    def run(model: Path, **values: object) -> Measured:
        study = Study.model_validate(
            {"model": str(model), "tasks": (), "prompts": ("Hi",), "max_new_tokens": 2, "divergence": None, **values}
        )
        if study.to_yaml() not in done:
            store = Store(settings.home)
            record = submit(study, settings)
            wait(store, record.id)
            assert store.study(record.id).status is Status.SUCCESS, [job.error for job in store.jobs(record.id)]
            done[study.to_yaml()] = Measured(store, settings, record.id)
        return done[study.to_yaml()]

    return run


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of so many bytes."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def ended(store: Store, job: Job, format: str, seconds: float = 300) -> ExportState:
    """Where an export stands when it has ended."""
    until(lambda: (state := export_state(store, job.id, format)) and state.status.ended, seconds)
    state = export_state(store, job.id, format)
    assert state
    return state


def exported(measured: Measured, recipe: str, format: str, out: Path, fused: bool = False) -> ExportReport:
    job = find_job(measured.store, measured.study_id, recipe)
    queue_export(measured.store, job, format, out, measured.settings, fused)
    state = ended(measured.store, job, format)
    assert state.status is Status.SUCCESS, state.error
    assert state.report is not None
    return state.report


@pytest.mark.parametrize(
    ("recipe", "format"),
    [("head", "auto_round"), ("head", "llm_compressor"), ("rtn_fp8_dynamic", "llm_compressor")],
)
def test_a_recipe_is_written_in_every_format_that_holds_it(
    recipe: str, format: str, measure: Callable[..., Measured], tiny_llama: Path, tmp_path: Path
) -> None:
    measured = measure(tiny_llama, recipes=("head", "rtn_fp8_dynamic"))
    out = tmp_path / "out" / "checkpoint"
    report = exported(measured, recipe, format, out)
    assert report.layers == 28
    assert report.size_bytes == sum(path.stat().st_size for path in out.glob("*.safetensors"))
    # compressed-tensors rounds activation scales of MX formats by a rule of its own; the weights are the same
    difference = report.max_difference if report.weights_difference is None else report.weights_difference
    assert difference <= (0.0 if format == "auto_round" else 0.1)
    card = (out / "README.md").read_text()
    assert "28 quantized layers" in card
    assert recipe in card
    assert [each.name for each in Study.model_validate(yaml.safe_load((out / "study.yaml").read_text())).recipes] == [
        "head",
        "rtn_fp8_dynamic",
    ]
    assert list((tmp_path / "out").iterdir()) == [out]


@pytest.mark.parametrize("schemes", [("MXFP4", "FP8_DYNAMIC"), ("NVFP4", "INT8_W8A8")])
def test_mixes_of_several_formats_are_written(
    schemes: tuple[str, ...], measure: Callable[..., Measured], tiny_llama: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": f"{n}. The capital of France is Paris. " * 8}) for n in range(4)))
    calibration = {"dataset": str(text), "num_samples": 2, "max_seq_length": 32}
    measured = measure(tiny_llama, recipes=("head",), schemes=schemes, avg_bits=(6.0,), calibration=calibration)
    report = exported(measured, "head", "llm_compressor", tmp_path / "out")
    assert report.layers == 28
    # what is rounded to NVFP4 does not stay when llm-compressor rounds it again: its scale follows from the weights
    assert report.weights_difference is not None
    assert report.weights_difference < (0.1 if schemes[0] == "MXFP4" else 1.0)
    with pytest.raises(InvalidStudy, match="cannot be stored as auto_round: choose llm_compressor"):
        queue_export(measured.store, measured.job, "auto_round", tmp_path / "no", measured.settings)


def test_weight_only_mixes_are_written(measure: Callable[..., Measured], tiny_llama: Path, tmp_path: Path) -> None:
    measured = measure(tiny_llama, recipes=("tail",), schemes=("W2A16G32", "W4A16G32"), avg_bits=(3.0,))
    report = exported(measured, "tail", "auto_round", tmp_path / "out")
    assert report.mean_difference < 0.05  # the kernel computes in half precision
    with pytest.raises(InvalidStudy, match="cannot be stored as llm_compressor: choose auto_round"):
        queue_export(measured.store, measured.job, "llm_compressor", tmp_path / "no", measured.settings)


@pytest.mark.demo
def test_a_mix_of_gguf_types_is_written_as_one_file_that_a_study_can_name(
    measure: Callable[..., Measured], demo_settings: Settings, tmp_path: Path
) -> None:
    from qcompare.demo.bundle import bundle_at

    model = bundle_at(demo_settings).model
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text(json.dumps({"text": "The capital of France is Paris, and it is famous for its food. " * 8}))
    options = {"divergence": {"text": str(held_out), "num_samples": 2, "max_seq_length": 32}}
    mix = {"schemes": ("Q4_0", "Q8_0"), "avg_bits": (5.0,), "quant_embedding": True}
    measured = measure(model, recipes=("head",), **mix, **options)
    out = tmp_path / "out"
    report = exported(measured, "head", "gguf", out)
    assert report.layers == 211  # the embedding, to which the head is tied
    assert (report.max_difference, report.top1_agreement) == (0.0, 1.0)
    (file,) = out.glob("*.gguf")
    assert report.size_bytes == file.stat().st_size
    assert "llama-server -m" in (out / "README.md").read_text()
    again = measure(model, recipes=({"recipe": "checkpoint", "from": str(file)},), **options)
    row, its = (each.store.folder(each.job.id).result() for each in (measured, again))
    assert row.divergence and its.divergence
    assert its.divergence.kl == row.divergence.kl > 0


def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused_before_the_work(
    measure: Callable[..., Measured], tiny_llama: Path, tmp_path: Path
) -> None:
    measured = measure(tiny_llama, recipes=("head",), schemes=("Q4_0", "Q8_0"), avg_bits=(5.0,))
    job = find_job(measured.store, measured.study_id, "head")
    queued = queue_export(measured.store, job, "gguf", tmp_path / "out" / "x", measured.settings)
    state = ended(measured.store, job, "gguf")
    assert "does not know the tokenizer of tiny-llama" in str(state.error)
    assert "== writing" not in measured.store.folder(queued.id).log_tail()
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(InvalidStudy, match="cannot be stored as auto_round: choose gguf"):
        queue_export(measured.store, measured.job, "auto_round", tmp_path / "no", measured.settings)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("format", ["auto_round", "llm_compressor"])
def test_a_quantized_head_is_stored_as_a_matrix_of_its_own(
    format: str, tied: bool, measure: Callable[..., Measured], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = make_model("LlamaConfig", num_hidden_layers=2, tie_word_embeddings=tied)
    measured = measure(model, recipes=("uniform",), quant_lm_head=True)
    report = exported(measured, "uniform", format, tmp_path / "out")
    assert report.layers == 15
    difference = report.max_difference if report.weights_difference is None else report.weights_difference
    assert difference <= (0.0 if format == "auto_round" else 0.1)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_experts_are_written_by_auto_round(
    family: str, measure: Callable[..., Measured], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    config_class, changes = FAMILIES[family]
    measured = measure(make_model(config_class, **changes), recipes=("uniform",))
    report = exported(measured, "uniform", "auto_round", tmp_path / "out")
    assert (report.layers, report.max_difference) == (32, 0.0)
    with pytest.raises(InvalidStudy, match="cannot load experts that llm_compressor wrote"):
        queue_export(measured.store, measured.job, "llm_compressor", tmp_path / "no", measured.settings)


def test_experts_that_cannot_be_written_are_refused_before_the_work(
    measure: Callable[..., Measured], make_model: Callable[..., Path], tmp_path: Path
) -> None:
    config_class, changes = FAMILIES["gpt_oss"]
    measured = measure(make_model(config_class, **changes), recipes=("uniform",))
    queued = queue_export(measured.store, measured.job, "auto_round", tmp_path / "out" / "x", measured.settings)
    state = ended(measured.store, measured.job, "auto_round")
    assert "auto-round cannot store experts of gpt_oss here: choose one of mixtral" in str(state.error)
    assert "== writing" not in measured.store.folder(queued.id).log_tail()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_that_changed_since_leaves_no_target(tiny_llama: Path, settings: Settings, tmp_path: Path) -> None:
    """The made-up result is of another revision."""
    study = finished_study(settings.home, Study(model=str(tiny_llama), recipes=("head",)))
    store = Store(settings.home)
    job = find_job(store, study.id, "head")
    queue_export(store, job, "auto_round", tmp_path / "out" / "x", settings)
    state = ended(store, job, "auto_round")
    assert "has changed since it was measured" in str(state.error)
    assert list((tmp_path / "out").iterdir()) == []
    assert store.folder(job.id).result_file.exists()


def test_states_of_version_01_are_still_read(settings: Settings) -> None:
    """Exports kept them in files of their own; one that says it runs has lost its process."""
    study = finished_study(settings.home, Study(recipes=("head",)))
    store = Store(settings.home)
    job = find_job(store, study.id, "head")
    assert export_state(store, job.id, "auto_round") is None
    folder = store.folder(job.id).path / "exports"
    folder.mkdir()
    folder.joinpath("auto_round.json").write_text('{"status": "running", "stage": "writing", "pid": 77}')
    folder.joinpath("llm_compressor.json").write_text('{"status": "failed", "stage": "failed", "error": "a reason"}')
    running = export_state(store, job.id, "auto_round")
    assert running
    assert (running.status, str(running.error)) == (Status.FAILED, "its process was ended; nothing was kept")
    failed = export_state(store, job.id, "llm_compressor")
    assert failed
    assert str(failed.error) == "a reason"


@pytest.fixture
def no_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is queued waits."""
    monkeypatch.setattr(exports, "ensure_running", lambda settings: None)


@pytest.mark.usefixtures("no_supervisor")
def test_an_export_is_a_job_in_the_queue_and_no_row_of_its_study(settings: Settings, tmp_path: Path) -> None:
    study = finished_study(settings.home, Study(recipes=("bf16", "head")))
    store = Store(settings.home)
    rows, waiting = store.jobs(study.id), finished_study(settings.home, Study(recipes=("bf16",)))
    job = find_job(store, study.id, "head")
    queued = queue_export(store, job, "auto_round", tmp_path / "out", settings, fused=True)
    assert store.jobs(study.id) == rows
    assert store.study(study.id).status is Status.SUCCESS
    assert store.study(waiting.id).status is Status.SUCCESS
    assert store.jobs(study.id, exports=True)[-1].export == queued.export
    with pytest.raises(InvalidStudy, match="is being written as auto_round already"):
        queue_export(store, job, "auto_round", tmp_path / "out", settings)
    assert [each.id for each in cancel(study.id, settings)] == [queued.id]
    state = export_state(store, job.id, "auto_round")
    assert state
    assert (state.status, str(state.error)) == (Status.CANCELLED, "it was cancelled")
    other = queue_export(store, job, "auto_round", tmp_path / "other", settings)
    assert other.export
    assert (other.id, other.export.folder) == (queued.id, str(tmp_path / "other"))
    assert (claimed := store.claim("cpu")) and claimed.id == queued.id


def test_a_cancelled_export_leaves_no_process_and_no_file_and_can_be_resumed(
    measure: Callable[..., Measured], tiny_llama: Path, tmp_path: Path
) -> None:
    measured = measure(tiny_llama, recipes=("head", "rtn_fp8_dynamic"))
    job = find_job(measured.store, measured.study_id, "head")
    out = tmp_path / "folder" / "out"
    queued = queue_export(measured.store, job, "auto_round", out, measured.settings)
    until(lambda: (state := export_state(measured.store, job.id, "auto_round")) and "writing" in state.stage, 120)
    process = process_of(measured.store.job(queued.id))
    cancel(queued.id, measured.settings)
    assert not alive(process)
    assert ours(measured.settings.home, "worker") == []
    assert list(out.parent.iterdir()) == []
    resume(queued.id, measured.settings)
    state = ended(measured.store, job, "auto_round")
    assert state.status is Status.SUCCESS, state.error
    assert list(out.parent.iterdir()) == [out]
    assert "== writing the checkpoint" in measured.store.folder(queued.id).log_tail()


def test_for_vllm_layers_that_it_fuses_get_one_scheme(
    measure: Callable[..., Measured], tiny_llama: Path, settings: Settings, tmp_path: Path
) -> None:
    text = tmp_path / "text.jsonl"
    text.write_text(
        "\n".join(json.dumps({"text": f"{n}. " + "The capital of France is Paris. " * 20}) for n in range(8))
    )
    calibration = {"dataset": str(text), "num_samples": 4, "max_seq_length": 32}
    measured = measure(tiny_llama, recipes=("mixed",), avg_bits=(4.9,), calibration=calibration)
    layers = describe(str(tiny_llama), settings).layers
    assert torn_groups(layers, measured.store.folder(measured.job.id).result().layer_config)
    out = tmp_path / "out"
    report = exported(measured, "mixed", "auto_round", out, fused=True)
    assert report.max_difference == 0.0
    schemes = json.loads((out / "config.json").read_text())["quantization_config"]["extra_config"]
    bits = {name: schemes.get(name, {}).get("bits", 4) for name in (layer.name for layer in layers)}
    assert not torn_groups(layers, bits)
    assert len(set(bits.values())) == 2
    assert "vllm serve" in (out / "README.md").read_text()
    assert "shared_layers: true" in (out / "study.yaml").read_text()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a full disk needs one of its own: root")
def test_a_disk_that_fills_up_leaves_no_target_and_says_so(
    measure: Callable[..., Measured], tiny_llama: Path, tmp_path: Path
) -> None:
    """There is room for the weights, as estimated, but not for the tokenizer too."""
    measured = measure(tiny_llama, recipes=("head", "rtn_fp8_dynamic"))
    job = find_job(measured.store, measured.study_id, "head")
    size = measured.store.folder(job.id).result().size_bytes
    with disk(tmp_path / "disk", int(1.3 * size)) as small:
        queue_export(measured.store, job, "auto_round", small / "out", measured.settings)
        state = ended(measured.store, job, "auto_round")
        assert list(small.iterdir()) == []
    assert str(state.error).endswith("is full: free some space; nothing was kept")
    assert measured.store.folder(job.id).result_file.exists()


def test_targets_that_cannot_take_a_checkpoint_are_refused(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    with pytest.raises(InvalidStudy, match="not an empty folder"):
        check_target(full, 1)
    with pytest.raises(InvalidStudy, match="GB free, the checkpoint needs"):
        check_target(tmp_path / "huge", 10**18)
    if os.geteuid() != 0:
        full.chmod(0o500)
        with pytest.raises(InvalidStudy, match="cannot be written"):
            check_target(full / "inside", 1)
    with pytest.raises(InvalidStudy, match="cannot be written"):
        check_target(full / "file" / "inside", 1)


def test_a_recipe_is_named_with_its_budget_where_there_are_several(settings: Settings, tmp_path: Path) -> None:
    store = Store(settings.home)
    study = finished_study(settings.home, Study(avg_bits=(5.0, 6.0), recipes=("bf16", "head")))
    assert find_job(store, study.id, "head-6").avg_bits == 6.0
    for name, says in (("head", "several.*head-5, head-6"), ("mixed", "is none")):
        with pytest.raises(InvalidStudy, match=says):
            find_job(store, study.id, name)
    with pytest.raises(InvalidStudy, match="nothing to export"):
        queue_export(store, find_job(store, study.id, "bf16"), "auto_round", tmp_path / "x", settings)
