"""The peers: each takes a form as its documentation says, and stores the file in one folder under a new name."""

from __future__ import annotations
