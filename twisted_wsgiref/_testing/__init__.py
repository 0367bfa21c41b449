"""Servers for tests: on a port, in a thread of their own or on the reactor that runs, and in memory, step by step.

What lives here: how they are made, moved and ended. What may not: anything that a server in earnest needs.
"""
