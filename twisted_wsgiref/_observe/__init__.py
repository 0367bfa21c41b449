"""Reports about the server: the record of an exchange, the access log, counts of repeated events, stacks, the log.

Nothing here decides anything. Any thread may call anything, unless its docstring says otherwise.
"""
