"""What threads do together: a pool before a queue, how a worker is woken, who goes first, what a fork leaves.

Nothing here knows HTTP or WSGI; nothing but `forks`, which writes to its log, knows Twisted. Who calls is said in each
docstring, or by the banner above it; whatever rests on the order of two marks says which comes first.
"""
