"""The rooms import only rooms listed before them, and the heavy libraries stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from qcompare.study.recipe import RECIPES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "qcompare"
ROOMS = ["words", "errors", "settings", "registry", "study", "store", "demo", "models", "formats", "quantize",
         "evaluate", "recipes", "export", "plan", "jobs", "compare", "present", "api", "ui", "cli"]  # fmt: skip
ALLOWED = {
    "study": {"words", "errors", "settings", "registry"},
    "store": {"words", "errors", "study"},
    "compare": {"words", "errors", "settings", "registry", "study", "store"},
    "present": {"words", "errors", "settings", "registry", "study", "store", "compare"},
}
HEAVY = {"torch", "transformers", "lm_eval", "auto_round", "llmcompressor", "compressed_tensors", "datasets"}
IN_THE_WORKER = PACKAGE / "evaluate" / "scoring"
"""Every module there works on tensors; only a worker imports them."""
HEAVY_ROOMS = {"demo", "models", "formats", "quantize", "evaluate", "recipes", "export"}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> list[tuple[str, bool]]:
    """Every imported module, and whether it is imported when the file is."""
    tree = parse(path)
    lazy = {id(node) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.If) for node in ast.walk(f)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.module or "", id(node) not in lazy))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_listed_before_it(path: Path) -> None:
    room = room_of(path)
    if room not in ROOMS:
        return
    allowed = ALLOWED.get(room, set(ROOMS[: ROOMS.index(room)])) | {room}
    used = {name.split(".")[1] for name, _ in imports(path) if name.startswith("qcompare.")}
    assert used <= allowed, f"{room} may not import {used - allowed}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_late_and_only_where_models_are_handled(path: Path) -> None:
    for name, at_import in imports(path):
        if name.split(".")[0] in HEAVY:
            assert not at_import or path.is_relative_to(IN_THE_WORKER), (
                f"{name} is loaded when {path.name} is imported"
            )
            assert room_of(path) in HEAVY_ROOMS or path.name == "environment.py", f"{name} in room {room_of(path)}"


@pytest.mark.parametrize("path", [*FILES, ROOT / "app.py"], ids=lambda p: p.name)
def test_gradio_is_imported_only_by_the_screen(path: Path) -> None:
    if any(name.split(".")[0] == "gradio" for name, _ in imports(path)):
        assert path.name == "app.py" or room_of(path) == "ui"


@pytest.mark.parametrize(
    "module", ["qcompare.ui.app", "qcompare.present.render", "qcompare.cli.main", "qcompare.plan.plan"]
)
def test_screens_and_commands_load_no_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {sorted(HEAVY)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in FILES
        if room_of(path) not in ("words", "present", "api", "cli", "ui") and path.name != "seal.py"
    ],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_only_what_shows_texts_translates_them(path: Path) -> None:
    """The rooms below return numbers and messages."""
    nodes = [node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)]
    taken = {alias.name for node in nodes if node.module == "qcompare.words" for alias in node.names}
    assert taken <= {"Message", "NOTHING", "gettext_noop", "joined", "verbatim"}


NAME_RECIPES = {
    "study/recipe.py": "the registry",
    "compare/fail_on.py": "what a condition calls the highest row",
    "compare/published.py": "rows of published tables",
    "models/machine.py": "a processor's unit that is called bf16",
    "plan/memory.py": "the same",
}


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) != "recipes"], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_no_file_outside_recipes_names_a_recipe(path: Path) -> None:
    """What others need to know of a recipe is a property of it."""
    texts = {node.value for node in ast.walk(parse(path)) if isinstance(node, ast.Constant)}
    names = set(RECIPES) - {"layers", "checkpoint", "endpoint"}  # words that mean something else too
    assert not names & texts or str(path.relative_to(PACKAGE)) in NAME_RECIPES


NOT_EVERYWHERE = {"fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "termios", "tty", "winreg"}
"""Modules of Python that one system has and another has not."""
SYSTEM_CALLS = {
    "os.fork": {"jobs/executors/forkserver.py"},
    "os.setsid": {"jobs/executors/forkserver.py"},
    "start_new_session": {"jobs/executors/processes.py", "jobs/executors/forkserver.py"},
    "creationflags": {"jobs/executors/processes.py"},
}
"""What is not the same on all systems, and the files that know what to do there."""
NOWHERE = {"os.killpg", "os.getpgid", "os.symlink", "os.link", "os.mkfifo", "os.geteuid", "os.getuid"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_what_only_some_systems_have_stands_in_one_place(path: Path) -> None:
    for name, at_import in imports(path):
        assert not at_import or name.split(".")[0] not in NOT_EVERYWHERE, f"{name} is imported with the file"
    nodes = list(ast.walk(parse(path)))
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    used |= {str(node.arg) for node in nodes if isinstance(node, ast.keyword)}
    used |= {str(node.value) for node in nodes if isinstance(node, ast.Constant)}
    assert not used & NOWHERE
    known = path.relative_to(PACKAGE).as_posix()
    assert {name for name in used & set(SYSTEM_CALLS) if known not in SYSTEM_CALLS[name]} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_renamed_where_windows_is_thought_of(path: Path) -> None:
    if path.name == "moving.py":
        return
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.keywords:
            one_path = len(node.args) == 1 and node.func.attr in ("replace", "rename")
            of_os = ast.unparse(node.func) in ("os.replace", "os.rename", "os.renames")
            assert not one_path and not of_os, f"line {node.lineno}: use `store.moving.replace`"


TEXT_FILES = {"open", "fdopen", "read_text", "write_text"}
"""Functions that read and write text by the system's encoding unless told, or bytes."""
NO_FILES = {"os", "self", "self._database", "archive", "webbrowser", "Image", "window.qcompare"}
"""Whose `open` is another one."""


@pytest.mark.parametrize("path", [*FILES, ROOT / "app.py"], ids=lambda p: p.name)
def test_texts_are_utf8_whatever_the_system_s_encoding(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg for keyword in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        assert not given & {"text", "universal_newlines"} or name not in ("run", "Popen", "check_output"), node.lineno
        if name not in TEXT_FILES or ast.unparse(node.func).removesuffix(f".{name}") in NO_FILES:
            continue
        mode = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        assert "encoding" in given or any("b" in str(value) for value in mode), f"line {node.lineno}"
