"""A process that is the server's own: command lines, signals, the import, workers and their parent, systemd.

What an embedding program needs is not here, but in `service`. Called in the main thread, but for what says otherwise.
"""
