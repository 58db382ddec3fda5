"""A proxy that serves a server below a path of its own, and takes that path away before it asks the server."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PathProxy:
    """Around an ASGI application; whatever is not below `path` is somebody else's, and 404."""

    app: Any
    path: str

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            if not scope["path"].startswith(f"{self.path}/"):
                await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})
                return
            raw = scope["raw_path"].removeprefix(self.path.encode())
            scope = {**scope, "path": scope["path"].removeprefix(self.path), "raw_path": raw}
        await self.app(scope, receive, send)
