"""Where bytes lie: the contract that every storage keeps, and the storages."""
