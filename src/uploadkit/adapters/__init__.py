"""Who is asking: thin adapters over the two drivers, one module a framework, one verb: `receive(spec)`."""
