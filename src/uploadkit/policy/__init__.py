"""What is allowed: limits, fields and their rules, filters, detected types, names. No I/O."""
