"""What pages consist of besides their HTML: our own style and scripts, and those of others in `vendor`, each with its licence."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.responses import FileResponse

from api.console.pages import STATIC
from pipeline.errors import NotFound

router = APIRouter(include_in_schema=False)
FOR_GOOD = "public, max-age=31536000, immutable"  # an address is that of one content
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8"}


@router.get("/console/static/{name:path}")
async def static(name: str) -> Response:
    """One file, and nothing beside our folder. Raises NotFound."""
    if name not in _names():
        raise NotFound("There is no such file.")
    path = STATIC / name
    return FileResponse(path, media_type=KINDS[path.suffix], headers={"cache-control": FOR_GOOD})


def _names() -> frozenset[str]:
    found = (path for path in STATIC.rglob("*") if path.suffix in KINDS)
    return frozenset(path.relative_to(STATIC).as_posix() for path in found)
