"""Whole uploads over real sockets, uploadkit beside its peers: `python -m bench.end_to_end`.

`contestants` says who takes part, `scenarios` what is sent, `measure` how a run goes, `targets` what it has to show.
A server runs one of `floor`, `ours` and `peers` in a process of its own; `sender` is another.
"""

from __future__ import annotations
