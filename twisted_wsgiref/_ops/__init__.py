"""Around the server, not in a request's path: access log, loading, processes, reload.

This room is told of each finished exchange by a plain `record.Record`, and looks into no other room but `settings`.
"""
