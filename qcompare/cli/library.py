"""Commands for stored studies: rename, tag, notes, delete, gc, bundle, import. `cli` takes them in."""

from pathlib import Path
from typing import Annotated

import typer

from qcompare.cli.jobs import StudyId
from qcompare.errors import QCompareError, unknown
from qcompare.present.numbers import size
from qcompare.store import Store

commands = typer.Typer()
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@commands.command()
def rename(ctx: typer.Context, study_id: StudyId, name: Annotated[str, typer.Argument()]) -> None:
    """Give a study another name."""
    from qcompare.jobs.library import rename as rename_study

    study = rename_study(study_id, name, ctx.obj)
    print(f"{study.id}  {study.name}")


@commands.command()
def tag(
    ctx: typer.Context,
    study_id: StudyId,
    tags: Annotated[list[str] | None, typer.Argument(help="None: no tags.")] = None,
) -> None:
    """Set a study's tags, in place of its old ones."""
    from qcompare.jobs.library import tag as tag_study

    study = tag_study(study_id, tags or [], ctx.obj)
    print(f"{study.id}  {', '.join(study.tags) or 'no tags'}")


@commands.command()
def notes(
    ctx: typer.Context,
    study_id: StudyId,
    text: Annotated[
        str | None, typer.Argument(help="In place of the old ones; '' removes them. None: print them.")
    ] = None,
) -> None:
    """Print a study's notes, or set them."""
    from qcompare.cli.terminal import inert
    from qcompare.jobs.library import annotate

    study = Store(ctx.obj.home).study(study_id) if text is None else annotate(study_id, text, ctx.obj)
    print(inert(study.notes) if study.notes else "no notes")


@commands.command()
def margin(
    ctx: typer.Context, study_id: StudyId, points: Annotated[float, typer.Argument(help="0 to 100; at first 1.")]
) -> None:
    """Set how many points of accuracy a recipe may lack and still count as good, when one is picked."""
    from qcompare.jobs.library import set_margin

    study = set_margin(study_id, points, ctx.obj)
    print(f"{study.id}  {study.spec.margin:g} points")


@commands.command()
def delete(ctx: typer.Context, study_id: StudyId, yes: Yes = False) -> None:
    """Delete a study with its results; says first how much disk that frees."""
    from qcompare.jobs.library import delete as delete_study
    from qcompare.jobs.library import size_of

    store = Store(ctx.obj.home)
    study = store.study(study_id)
    if not yes:
        typer.confirm(f"Delete '{study.name}' and free {size(size_of(store, study.id))}?", abort=True)
    print(f"{size(delete_study(study.id, ctx.obj))} freed")


@commands.command()
def gc(ctx: typer.Context, yes: Yes = False) -> None:
    """Remove what no stored study needs: files of deleted studies, drafts, kept work of unused models."""
    from qcompare.store.garbage import find, remove

    found = find(Store(ctx.obj.home))
    for each in found:
        print(f"{size(each.num_bytes):>8}  {each.path.relative_to(ctx.obj.home)}: {each.why}")
    if not found:
        print("Nothing to remove.")
        return
    if not yes:
        typer.confirm(f"Remove these and free {size(sum(each.num_bytes for each in found))}?", abort=True)
    print(f"{size(remove(found))} freed")


@commands.command()
def bundle(
    ctx: typer.Context,
    study_id: StudyId,
    out: Annotated[Path, typer.Option("--out", "-o", help="File, or folder to put it into.")] = Path("."),
) -> None:
    """Pack a study into one file: what was asked, results, answers, logs, environment."""
    from qcompare.store.packing import pack

    path = pack(Store(ctx.obj.home), study_id, out)
    print(f"{path}  {size(path.stat().st_size)}")


@commands.command()
def user(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whom to add or change; '*' is everybody else who is logged in.")],
    may: Annotated[str, typer.Option(help="Rights, with commas: ask, launch, cancel, delete, export, push.")] = "",
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Known to a reverse proxy or to Hugging Face.")
    ] = False,
) -> None:
    """Say who may log in to a shared server, and what they may do (QCOMPARE_USERS, or users.yaml in the home)."""
    from qcompare.ui.server.roles import Right
    from qcompare.ui.server.users import write_user

    rights = [each.strip() for each in may.split(",") if each.strip()]
    if strange := next((each for each in rights if each not in list(Right)), None):
        raise QCompareError(unknown("right", strange, Right))
    password = None if no_password else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    path = ctx.obj.users or ctx.obj.home / "users.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_user(path, name, password, map(Right, rights))
    print(f"{path}: {name} may read{', ' if rights else ''}{', '.join(rights)}")


@commands.command()
def publish(
    ctx: typer.Context,
    study_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of studies, or their beginnings.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the site; new, empty, or an earlier site.")],
    space: Annotated[
        str | None,
        typer.Option(metavar="ORG/NAME", help="Then upload it as a static Space (HF_TOKEN)."),
    ] = None,
) -> None:
    """Freeze studies into a site of plain files: Results, Generations and Explorer without a server."""
    from qcompare.export.push import check_name, push_space, read_token
    from qcompare.ui.publish import publish as write_site

    token = read_token(space, lambda text: str(typer.prompt(text, hide_input=True))) if space else None
    if space:
        check_name(space)
    made = write_site(Store(ctx.obj.home), study_ids, out)
    print(f"{made}  {size(sum(path.stat().st_size for path in out.rglob('*') if path.is_file()))}")
    if space and token:
        print(push_space(out, space, token))


@commands.command("import")
def import_study(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(help="A file that 'bundle' made.")]
) -> None:
    """Take in a packed study, to be read only."""
    from qcompare.store.packing import unpack

    print(unpack(Store(ctx.obj.home), file))
