"""The upload service: what `uploadkit serve` runs, made of the library's public pieces.

settings   what can be set            app        routes, and what stands around each
parts      what a service is made of  callers    who asks; turns, how often and how many at a time
receiving  uploads that come in       uploads    what is known of them; shown, as JSON
watching   what happens to them, live files      what is given out; ranges, links
operating  numbers, health            openapi    the contract; page, for people
safety     headers, origins, hosts    logs       a line for each request, an exchange
channel    between parent and process lines      how each line of the log looks
tree       one command, its processes web, one that serves; jobs, one that works; connections, bounded
"""
