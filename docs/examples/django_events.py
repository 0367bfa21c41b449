"""An auction in Django: whoever looks at the page sees each bid at once, by server-sent events.

Needs `pip install django`. Run it in this directory, and open http://127.0.0.1:8000/ in several windows:

    $ twisted-wsgiref django_events:application --mount /events=django_events:Events --port 8000

A stream that is open holds no thread: a thousand spectators leave all threads to Django. They are in the memory of this
one process; with `--workers`, a bid would have to be passed on to the others, by Redis for instance.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

# ---- In the reactor's thread ---------------------------------------------------------------------------------------
# These functions never wait for anything, so none of them needs a lock.

bids = [0]
spectators = set()


class Events(Resource):
    """What an `EventSource` of the page asks for."""

    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"Content-Type", b"text/event-stream")
        request.setHeader(b"Cache-Control", b"no-store")
        request.write(event())
        spectators.add(request)
        request.notifyFinish().addBoth(lambda reason: spectators.discard(request))
        return NOT_DONE_YET


def event() -> bytes:
    return b"data: %d\n\n" % bids[-1]


def bid(amount: int) -> bool:
    """Take the bid if it is the highest, and tell all spectators. Return whether it is."""
    if amount <= bids[-1]:
        return False
    bids.append(amount)
    for each in spectators:
        each.write(event())
    return True


def close() -> None:
    for each in list(spectators):
        each.finish()


# A server that stops lets answers end first, and these would go on.
reactor.addSystemEventTrigger("before", "shutdown", close)

# ---- In worker threads ---------------------------------------------------------------------------------------------

PAGE = """<!doctype html>
<title>Auction</title>
<p>Highest bid: <b id="highest">?</b></p>
<form method="post">{% csrf_token %}<input name="amount" type="number" autofocus> <button>Bid</button></form>
<p id="told">{{ told }}</p>
<script>
  new EventSource("events").onmessage = (event) => { highest.textContent = event.data; };
</script>
"""


def page(request: HttpRequest) -> HttpResponse:
    told = ""
    if request.method == "POST":
        amount = request.POST["amount"]
        # The bids belong to the reactor's thread: it calls, one after another, and the view waits for the result.
        taken = amount.isdecimal() and request.environ["twisted_wsgiref.reactor"].call(bid, int(amount))
        told = "Yours is the highest bid." if taken else "That is too little."
    return HttpResponse(engines["django"].from_string(PAGE).render({"told": told}, request))


urlpatterns = [path("", page)]
settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
application = get_wsgi_application()
