"""The reactor's side of a connection: bytes in until they are a request, and an answer's bytes out.

All is called in the reactor's thread, but for `answer_queue` and what stands under a banner that says so. What an
application is told, and how it is run, is the gateway's business; only plain values of the settings come down here.
"""
