"""The steps of one job, from the model's name to its result.

The only place that puts models, recipes, quantization and evaluation together.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from qcompare.errors import InvalidStudy, JobError, ModelUnavailable
from qcompare.evaluate.row_budget import StudyBudget
from qcompare.jobs.noise import noise_floor
from qcompare.jobs.stages import Stages
from qcompare.quantize.kv_cache import simulate_fp8_cache
from qcompare.recipes.base import Recipe
from qcompare.recipes.lab import Lab
from qcompare.settings import Settings
from qcompare.store import JobFolder
from qcompare.store.cache import Cache, source_digest
from qcompare.study.formats import quantized, scheme_definitions
from qcompare.study.next_tokens import AnswerTokens
from qcompare.study.records import Job
from qcompare.study.result import Divergence, Generation, ModelRef, Result, Served, TaskScore
from qcompare.study.samples import Sample
from qcompare.study.spec import Study
from qcompare.study.stage import Stage
from qcompare.study.task import TASKS
from qcompare.words import Message

if TYPE_CHECKING:
    from qcompare.evaluate.benchmarks import Options, TaskRequest
    from qcompare.evaluate.cached import CachedLM
    from qcompare.evaluate.scoring.endpoint import EndpointLM
    from qcompare.evaluate.scoring.memory import Budget
    from qcompare.evaluate.scoring.modes import ModeChoice
    from qcompare.evaluate.scoring.plain import PlainLM


OF_A_SERVER = {"device": "server", "device_name": "server", "dtype": "unknown"}
"""Where a served model computes."""
REFERENCE_SOURCES = ("qcompare.models.loading", "qcompare.evaluate.divergence", "qcompare.evaluate.scoring.head")
ENCODING_SOURCES = ("qcompare.evaluate.scoring.encode",)
SCORE_SOURCES = ("qcompare.models.loading", "qcompare.formats", "qcompare.quantize", "qcompare.evaluate.scoring")
CHECKPOINT_SOURCES = tuple(f"qcompare.models.{name}" for name in ("checkpoint_loading", "gguf", "packed_ints"))
"""The code of our own that computes what is kept: another version of it computes again."""


@dataclass(frozen=True)
class Shared:
    """What a job shares with others."""

    cache: Cache
    budget: StudyBudget
    """Of its study."""


class Run:
    """The steps of one job, each a method; what later steps need is kept as attributes."""

    def __init__(
        self,
        study: Study,
        job: Job,
        settings: Settings,
        stages: Stages,
        folder: JobFolder,
        shared: "Shared | None" = None,
    ) -> None:
        """
        Args:
            shared: default: the home's cache, and the row budget in the study's folder.
        """
        from qcompare.models.machine import avoid_attention_plans, pick_device, pick_dtype

        avoid_attention_plans()
        self.job, self.settings, self.stages = job, settings, stages
        shared = shared or Shared(Cache(settings.home / "kept"), StudyBudget(folder.path.parent))
        self.study_budget = shared.budget
        self.device = pick_device(settings.device, job.device)
        self.dtype = pick_dtype(self.device, settings.dtype)
        recipe = job.recipe_spec
        assert isinstance(recipe, Recipe)
        self.lab = Lab(study, recipe, job.avg_bits, settings, self.device, self.dtype, folder.path, shared.cache)
        self.study = self.lab.study
        self.reference: Any = None
        self.scorer: str = study.scorer
        self.row_tokens: int | None = None
        self.mode_choice: ModeChoice | None = None
        self.reused = 0
        self.endpoint: EndpointLM | None = None
        self.left_out: dict[str, Message] = {}
        self.next_tokens: list[AnswerTokens] = []
        """Of the answers to the prompts, once they are there; of servers that give no log-probabilities none."""

    def result(self) -> tuple[Result, list[Sample]]:
        """All steps in order: the result, and all questions with their answers."""
        from qcompare.evaluate.benchmarks import average
        from qcompare.models.environment import environment, peak_memory_bytes

        with self.stages.stage(Stage.FETCHING):
            self.lab.fetch()
        facts = self.lab.facts
        with self.stages.stage(Stage.CHOOSING) as self.lab.report:
            config = self.lab.recipe.choose(self.lab)
        served: Served | None = None
        if self.lab.recipe.served:
            served = self._connect()
            model, tokenizer = None, self.endpoint and self.endpoint.tokenizer
        else:
            model, tokenizer = self._quantized_model(config)
        scores, samples = self._evaluate(model, tokenizer, config)
        difference = self._divergence(model)
        generations = self._generate(model, tokenizer)
        if self.endpoint:
            self.endpoint.close()
        peak = peak_memory_bytes(self.device)  # without the weights of another dtype
        noise = noise_floor(self, model, tokenizer, config, samples, difference) if self.study.noise_floor else None
        mean, stderr = average(scores)
        local, checkpoint = self.lab.local, self.lab.checkpoint
        machine = environment(self.device, self.dtype)
        result = Result(
            study_id=self.job.study_id,
            job_id=self.job.id,
            recipe=self.job.recipe,
            title=self.lab.recipe.title,
            schemes=self.study.schemes if self.lab.recipe.simulates else (),
            model=ModelRef(
                name=facts.title,
                source=local.source,
                revision=local.revision,
                num_params=facts.num_params,
                num_quantized_params=facts.num_quantized_params,
            ),
            layer_config=config,
            bits=None if served else self.lab.bits(config),
            size_bytes=None if served else self.lab.size_bytes(config),
            tasks=scores,
            average=mean,
            average_stderr=stderr,
            generations=generations,
            divergence=difference,
            noise=noise,
            served=served,
            left_out=self.left_out,
            scorer=self.scorer,
            row_tokens=self.row_tokens,
            reused_requests=self.reused,
            rounding=self.lab.rounding().label if quantized(config) and not checkpoint else "rtn",
            awq=self.lab.awq,
            checkpoint=self.lab.checkpoint_report,
            simulated=bool(quantized(config)) and not checkpoint,
            kv_cache=self.lab.recipe.kv_cache,
            choice=self.lab.choice,
            calibration=self.lab.calibration_text,
            add_bos_token=self.add_bos_token,
            seed=self.study.seed,
            seconds=self.stages.seconds(),
            peak_memory_bytes=peak,
            environment=machine.model_copy(update=OF_A_SERVER) if served else machine,
        )
        return result, samples

    def _connect(self) -> Served:
        """The server that answers for this row, and how fast it is."""
        from qcompare.evaluate.endpoint.speed import measure_speed

        with self.stages.stage(Stage.CONNECTING):
            self.endpoint = lm = self.lab.recipe.connect(self.lab, self.options(self.study.add_bos_token))
        found = Served(url=lm.client.url, model=lm.model, as_tokens=lm.tokenized_requests, no_logprobs=lm.no_logprobs)
        with self.stages.stage(Stage.SPEED) as report:
            try:
                return found.model_copy(update={"speeds": measure_speed(lm, report)})
            except JobError as error:
                print(f"no speed: {error}")
                return found.model_copy(update={"no_speeds": error.message})

    def _quantized_model(self, config: dict[str, str]) -> tuple[Any, Any]:
        with self.stages.stage(Stage.LOADING):
            model, tokenizer = self.lab.load()
            if self.study.scorer == "packed":
                self.mode_choice = self._scoring_mode(model, tokenizer)
        if self.study.divergence:
            with self.stages.stage(Stage.REFERENCE) as report:
                self.reference = self._reference(model, tokenizer, report)
        if not self.lab.recipe.is_baseline:
            with self.stages.stage(Stage.QUANTIZING) as self.lab.report:
                model, tokenizer = self.lab.recipe.build(self.lab, model, tokenizer, config)
            if self.lab.recipe.kv_cache:
                simulate_fp8_cache(model)
        return model, tokenizer

    def _scoring_mode(self, model: Any, tokenizer: Any) -> "ModeChoice":
        """How the model can be scored: tried once, kept for the other recipes."""
        from qcompare.evaluate.benchmarks import choose_scoring_mode
        from qcompare.evaluate.scoring.modes import ModeChoice

        def make(folder: Path) -> None:
            choice = json.dumps(asdict(choose_scoring_mode(model, tokenizer)))
            (folder / "mode.json").write_text(choice, encoding="utf-8")

        entry = self.lab.cache.entry(self.lab.cache_key("scoring_mode", SCORE_SOURCES), make)
        return TypeAdapter(ModeChoice).validate_python(json.loads((entry / "mode.json").read_text(encoding="utf-8")))

    def _reference(self, model: Any, tokenizer: Any, report: Any) -> Any:
        """What the original makes of the held-out text; None without one, or where `auto` finds one too short."""
        from qcompare.evaluate.held_out import original_states, passages

        assert self.study.divergence
        try:
            text = passages(self.study.divergence, tokenizer, self.settings, print, self.study.tasks)
        except (ModelUnavailable, InvalidStudy) as error:
            if isinstance(error, InvalidStudy) and self.study.divergence.text != "auto":
                raise
            print(f"no KL divergence: {error}")
            return None
        key = self.lab.cache_key("reference_states", REFERENCE_SOURCES, tokens=text.digest)
        return text, original_states(model, text, self.lab.cache, key, report)

    def _divergence(self, model: Any) -> Divergence | None:
        from qcompare.evaluate.divergence import divergence

        if self.reference is None or (self.lab.loaded and self.lab.loaded.other_tokenizer):
            return None
        with self.stages.stage(Stage.DIVERGENCE) as report:
            text, states = self.reference
            own = states if self.lab.recipe.is_baseline else None
            return divergence(model, states, text, report, own=own)

    def _evaluate(self, model: Any, tokenizer: Any, config: dict[str, str]) -> tuple[list[TaskScore], list[Sample]]:
        from qcompare.evaluate import benchmarks
        from qcompare.evaluate.scoring.memory import reuse_freed_memory
        from qcompare.evaluate.tasks.manager import task_manager

        self.add_bos_token = (
            self.endpoint.add_bos_token
            if self.endpoint
            else benchmarks.default_add_bos_token(self.study.add_bos_token, model, tokenizer)
        )
        options = self.options(self.add_bos_token)
        if not self.study.tasks:
            return [], []
        if self.study.chat_template and not getattr(tokenizer, "chat_template", None):
            raise InvalidStudy("chat_template: {model} has no chat template: leave it out", model=self.study.model)
        scores: list[TaskScore] = []
        samples: list[Sample] = []
        self.tasks = tasks = task_manager(self.study.tasks, self.settings, report=print)
        budget: Budget | None = None
        lm: CachedLM | PlainLM | EndpointLM
        if self.endpoint:
            lm = self.endpoint
        else:
            reuse_freed_memory()
            budget = self._row_budget(model)
            lm = self.language_model(model, tokenizer, budget, config)
        for task in self.study.tasks:
            with self.stages.stage(Stage.EVALUATING, task) as report:
                lm.progress = report
                request = self.request(task, tasks.data[task])
                try:
                    score, answered = benchmarks.run_task(lm, request, tasks.manager, options)
                except benchmarks.Unanswerable as reason:
                    print(f"{task} is left out: {reason}")
                    self.left_out[task] = reason.message
                    continue
                scores.append(score)
                samples += answered
        self.scorer, self.reused = lm.mode, lm.reused
        self.row_tokens = budget.tokens if budget else None
        return scores, samples

    def language_model(
        self, model: Any, tokenizer: Any, budget: "Budget | None", config: dict[str, str], dtype: str | None = None
    ) -> "CachedLM | PlainLM":
        """The row's model for lm-eval, with what is kept of it.

        Args:
            dtype: in which it computes, where that is not the row's own.
        """
        from qcompare.evaluate import benchmarks

        options = self.options(self.add_bos_token)
        lm = benchmarks.language_model(self.study.scorer, model, tokenizer, options, budget, self.mode_choice)
        self._keep(lm, config, dtype)
        return lm

    def options(self, add_bos_token: bool | None) -> "Options":
        """How questions are put."""
        from qcompare.evaluate.benchmarks import Options

        return Options(
            limit=self.study.limit,
            batch_size=self.study.batch_size,
            add_bos_token=add_bos_token,
            seed=self.study.seed,
            chat_template=self.study.chat_template,
            system_instruction=self.study.system_instruction,
            fewshot_as_multiturn=self.study.fewshot_as_multiturn,
            gen_kwargs=self.study.gen_kwargs,
            enable_thinking=self.study.enable_thinking,
            think_end_token=self.study.think_end_token,
            run_unsafe_code=self.settings.trust_remote_code,
        )

    def request(self, task: str, data: str) -> "TaskRequest":
        """A task of the study, whose questions come from `data`."""
        from qcompare.evaluate.benchmarks import TaskRequest

        found = TASKS[task]
        num_fewshot = None if found.own_fewshot and self.study.num_fewshot is None else self.study.examples(task)
        return TaskRequest(task, data, num_fewshot, found.lm_eval_name)

    def _row_budget(self, model: Any) -> "Budget | None":
        """The study's row budget, agreed on before anything is scored; None for lm-eval's own scorer."""
        from qcompare.evaluate.scoring.memory import Budget, default_row_tokens

        if self.study.scorer != "packed":
            return None
        of_study = self.study_budget
        return Budget(of_study.agree(default_row_tokens(model), self.settings.row_tokens), of_study.lower)

    def _keep(self, lm: "CachedLM | PlainLM", config: dict[str, str], dtype: str | None = None) -> None:
        """Let `lm` share tokens with the study's other recipes, and keep and use scores and answers of this model."""
        from qcompare.evaluate.cached import CachedLM
        from qcompare.evaluate.kept import KeptAnswers, KeptEncodings, KeptScores

        key, cache, other = self.lab.cache_key, self.lab.cache, self.lab.other
        if isinstance(lm, CachedLM):
            tokenizer = other.revision if other and self.lab.loaded and self.lab.loaded.other_tokenizer else None
            its = {"tokenizer": tokenizer} if tokenizer else {}
            tokens = key("encodings", ENCODING_SOURCES, add_bos_token=self.add_bos_token, **its)
            lm.encodings = KeptEncodings(cache.rows(tokens))
        if self.lab.checkpoint or (config and self.study.rounding != "rtn"):
            return  # what a checkpoint or a search came out as is not known beforehand
        model: dict[str, Any] = {
            "layer_config": config,
            "schemes": scheme_definitions(config.values()),
            "input_maxima": self.lab.input_maxima,
            "max_length": lm.max_length,
        }
        if dtype:
            model["computed_in"] = dtype
        if self.lab.recipe.kv_cache:
            model["kv_cache"] = self.lab.recipe.kv_cache
        if other:
            model |= {"checkpoint": other.revision, "loaded_by": source_digest(*CHECKPOINT_SOURCES)}
        answers = model | {"scorer": f"{lm.mode} generate", "think_end_token": self.study.think_end_token}
        lm.answers_at = lambda batch: KeptAnswers(
            cache.rows(key("answers", SCORE_SOURCES, **answers, batch_size=batch))
        )
        if isinstance(lm, CachedLM):
            lm.scores_at = lambda tokens: KeptScores(
                cache.rows(key("log_likelihoods", SCORE_SOURCES, **model, scorer=lm.mode, row_tokens=tokens))
            )

    def _generate(self, model: Any, tokenizer: Any) -> list[Generation]:
        from qcompare.evaluate.generate import generate

        packed = bool(self.mode_choice and self.mode_choice.mode == "packed" and not self.mode_choice.longest)
        with self.stages.stage(Stage.GENERATING) as report:
            if self.endpoint:
                return self.endpoint.answer(
                    self.study.prompts, self.study.max_new_tokens, report, self.next_tokens.append
                )
            return generate(
                model, tokenizer, self.study.prompts, self.study.max_new_tokens, report, packed=packed,
                note=self.next_tokens.append,
            )  # fmt: skip
