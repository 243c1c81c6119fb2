"""What remains to be done with an upload, and who does it."""
