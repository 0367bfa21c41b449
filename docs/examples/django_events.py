"""An auction in Django: whoever looks at the page sees each bid at once, by server-sent events.

Needs `pip install django`. Run it in this directory, and open http://127.0.0.1:8000/ in several windows:

    $ twisted-wsgiref django_events:application

A view looks who asks, and hands the rest of its answer to the reactor. So a stream that is open holds no thread: a
thousand spectators leave all threads to Django. They are in the memory of this one process; with `--workers`, a bid
would have to be passed on to the others, by Redis for instance.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse
from django.template import engines
from django.urls import path
from twisted.internet.defer import DeferredQueue

from twisted_wsgiref import AsyncBody

# ---- In the reactor's thread ---------------------------------------------------------------------------------------
# Nothing here waits except by `await`, so none of it needs a lock.

bids = [0]
spectators: set[DeferredQueue[int]] = set()


async def stream() -> AsyncIterator[bytes]:
    """Make an event of the highest bid, and of each that comes later."""
    news: DeferredQueue[int] = DeferredQueue()
    news.put(bids[-1])
    spectators.add(news)
    try:
        while True:
            yield b"data: %d\n\n" % await news.get()
    finally:  # the browser has left, or the server stops
        spectators.discard(news)


def bid(amount: int) -> bool:
    """Take the bid if it is the highest, and tell all spectators. Return whether it is."""
    if amount <= bids[-1]:
        return False
    bids.append(amount)
    for news in spectators:
        news.put(amount)
    return True


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


def events(request: HttpRequest) -> HttpResponse:
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":  # or whatever else your rights are
        return HttpResponse("only for this site's own pages", status=403)
    # What Django takes for a file reaches the server untouched; a StreamingHttpResponse would hold a thread.
    answer = FileResponse(AsyncBody(stream()), content_type="text/event-stream")
    answer["Cache-Control"] = "no-store"
    return answer


urlpatterns = [path("", page), path("events", events)]
settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
application = get_wsgi_application()
