"""What the bytes are: checks of a file's content, what can be made of it, and what is known of it.

Each module is imported by its own name. What reads files of strangers with somebody else's code does so in a
`sandbox`, and the optional packages are imported there alone.
"""
