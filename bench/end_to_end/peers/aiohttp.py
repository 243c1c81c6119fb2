"""aiohttp, client of its own parser: each piece is written as it comes. It has a server of its own, too."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..told import TEXTS, destination, said

# By name: the types are checked where it is not installed.
web: Any = importlib.import_module("aiohttp.web")


async def upload(request: Any) -> Any:
    texts = dict.fromkeys(TEXTS, "")
    async for part in await request.multipart():
        if part.name in texts:
            texts[part.name] = await part.text()
            continue
        with destination().open("wb") as saved:
            while piece := await part.read_chunk(2**16):
                saved.write(piece)
    return web.Response(text=said(*texts.values()))


async def other(request: Any) -> Any:
    return web.Response(text="ok")


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.post("/upload", upload), web.get("/other", other)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
