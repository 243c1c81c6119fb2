"""The servers, and places on them."""

from __future__ import annotations

from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import moto as moto
from tests.storage.s3.places import no_pauses as no_pauses
from tests.storage.s3.places import place as place
from tests.storage.s3.places import proxy as proxy
from tests.storage.s3.places import weed as weed
