"""The parts of settings: what a value may be, which values go together, and the error that names them.

Names, defaults and reasons are `settings`', so that they stand in one list. Any thread may call.
"""
