"""What has happened to an upload, as facts, and who hears of it."""
