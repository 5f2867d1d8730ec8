"""The app as one that browsers install (a progressive web app): manifest, icons, and what shows without a server.

In place of gradio's own, which have no colours and no maskable icon, and which make icons of any size that is asked
for. https://developer.mozilla.org/docs/Web/Progressive_web_apps/Guides/Making_PWAs_installable
"""

import io
import json
from functools import cache

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from qcompare.ui.assets import ICON
from qcompare.ui.pages import TEMPLATES, page
from qcompare.ui.server.roles import on_space
from qcompare.ui.texts import PITCH, PRODUCT
from qcompare.ui.theme import ACCENT, NEUTRAL
from qcompare.words import gettext, language

SIZES = (192, 512)
"""Pixels of the icons that browsers ask for."""
WORKER = "service-worker.js"
APPLE_ICON = "pwa_icon/maskable"
"""Apple's systems round the corners themselves, and show what is transparent in black."""


def pwa_routes() -> list[Route]:
    """The addresses of the manifest, the icons and the service worker. All are open to everybody."""
    return [
        Route("/manifest.json", _manifest, methods=["GET"]),
        Route("/pwa_icon", _icon, methods=["GET"]),
        Route("/pwa_icon/{kind:path}", _icon, methods=["GET"]),
        Route(f"/{WORKER}", _worker, methods=["GET"]),
    ]


def pwa_head() -> str:
    """What the page's head says to browsers that install it.

    A Space is shown in a frame of the hub's page, which is not installed: it gets no service worker.
    """
    register = f'<script>navigator.serviceWorker?.register("{WORKER}").catch(() => {{}})</script>'
    return (
        f'<meta name="theme-color" content="{NEUTRAL.c50}" media="(prefers-color-scheme: light)">'
        f'<meta name="theme-color" content="{NEUTRAL.c950}" media="(prefers-color-scheme: dark)">'
        f'<link rel="apple-touch-icon" href="{APPLE_ICON}">'
    ) + ("" if on_space() else register)


def manifest() -> dict[str, object]:
    """The web app manifest (https://www.w3.org/TR/appmanifest), in the language of the request.

    Its addresses are relative to its own, so that they hold behind a proxy too.
    """
    icons = [{"src": f"pwa_icon/{size}", "sizes": f"{size}x{size}", "purpose": "any"} for size in SIZES]
    icons.append({"src": APPLE_ICON, "sizes": "512x512", "purpose": "maskable"})
    return {
        "id": "./",
        "name": PRODUCT,
        "short_name": PRODUCT,
        "description": gettext(PITCH),
        "lang": language(),
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "theme_color": ACCENT.c600,
        "background_color": NEUTRAL.c50,
        "categories": ["productivity", "utilities"],
        "launch_handler": {"client_mode": ["focus-existing", "auto"]},
        "icons": [{**icon, "type": "image/png"} for icon in icons],
    }


@cache
def icon(size: int, maskable: bool = False) -> bytes:
    """The icon as a PNG.

    Args:
        size: pixels of its width and height.
        maskable: without round corners: systems cut its edge off in shapes of their own.
    """
    from PIL import Image

    with Image.open(ICON) as file:
        image = file.convert("RGBA")
    if maskable:
        middle_of_top = image.getpixel((image.width // 2, 1))
        image = Image.alpha_composite(Image.new("RGBA", image.size, middle_of_top), image)
    made = io.BytesIO()
    image.resize((size, size), Image.Resampling.LANCZOS).save(made, format="PNG")
    return made.getvalue()


async def _manifest(request: Request) -> Response:
    return JSONResponse(manifest(), media_type="application/manifest+json")


async def _icon(request: Request) -> Response:
    """Those that the manifest names; gradio would make one of any size."""
    kind = request.path_params.get("kind", str(max(SIZES)))
    if kind not in {"maskable", *map(str, SIZES)}:
        return PlainTextResponse(gettext("Not found."), 404)
    content = icon(max(SIZES), maskable=True) if kind == "maskable" else icon(int(kind))
    return Response(content, media_type="image/png", headers={"Cache-Control": "max-age=86400"})


async def _worker(request: Request) -> Response:
    script = (TEMPLATES / WORKER.replace("-", "_")).read_text(encoding="utf-8")
    text = script.replace("UNREACHABLE_PAGE", json.dumps(page("unreachable", lang=language())))
    return Response(text, media_type="text/javascript", headers={"Cache-Control": "no-cache"})
