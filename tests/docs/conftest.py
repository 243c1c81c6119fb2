"""Servers that speak S3, for the pages on them."""

from __future__ import annotations

from tests.storage.s3.places import locate as locate
from tests.storage.s3.places import moto as moto
from tests.storage.s3.places import weed as weed
