"""The servers, for the tests over sockets."""

from __future__ import annotations

from tests.adapters.servers import servers as servers
