"""The parts of a service that bring the rooms below it together, each with one purpose.

What lives here: what needs both a connection and a target, and is no step in the life of a service. All is called in
the reactor's thread, unless a docstring says otherwise.
"""
