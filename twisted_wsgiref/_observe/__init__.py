"""What is told of the server: the record of an exchange, the access log, floods summed up, stacks, the log itself.

Nothing here decides anything. Called in any thread, but for what says otherwise.
"""
