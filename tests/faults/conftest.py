"""The servers, for what goes wrong beneath them."""

from __future__ import annotations

from tests.adapters.servers import servers as servers
