"""The other doors for bytes: uploads that do not come as the body of one form."""
