"""What is remembered of an upload: its life, its record, and the ledger that keeps both. Needs the extra `records`."""
