"""Around the server, not in a request's path: logs, loading, configuration, signals, processes, systemd.

This room is told of each finished exchange by a plain `record.Record`, and looks into no other room but `settings`.
"""
