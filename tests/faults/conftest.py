"""The servers, for what goes wrong beneath them, and S3."""

from __future__ import annotations

from tests.adapters.servers import servers as servers
from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import place as place
from tests.storage.s3.places import proxy as proxy
from tests.storage.s3.places import weed as weed
