"""Uploads that end in S3, uploadkit beside boto3 and the usual way: `python -m bench.s3`.

`contestants` says who takes part, `scenarios` what is sent, `stores` which S3 it goes to, `measure` how a run goes,
`targets` what it has to show. Servers run one of `ours` and `usual`; who sends from memory runs one of `memory`.
Sender, servers and the reading of /proc are those of `bench.end_to_end`.
"""

from __future__ import annotations
