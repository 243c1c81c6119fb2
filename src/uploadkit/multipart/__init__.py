"""Bytes to events: strict, incremental parsers for the two encodings of an HTML form. No I/O."""
