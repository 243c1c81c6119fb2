"""A bucket on a server that speaks S3 and is not of AWS."""

from __future__ import annotations

from uploadkit import S3Storage


def uploads_at(url: str, key: str, secret: str) -> S3Storage:
    """One of SeaweedFS."""
    return S3Storage(
        "s3://uploads",
        options={"endpoint_url": url, "key": key, "secret": secret, "client_kwargs": {"region_name": "us-east-1"}},
    )


def uploads_on_r2(account: str, key: str, secret: str) -> S3Storage:
    """One of Cloudflare."""
    return S3Storage(
        "s3://uploads",
        options={
            "endpoint_url": f"https://{account}.r2.cloudflarestorage.com",
            "key": key,
            "secret": secret,
            "client_kwargs": {"region_name": "auto"},
        },
    )
