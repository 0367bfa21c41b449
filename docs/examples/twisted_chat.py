"""A chat of Twisted's, for telnet, that has got a face in Django: the same process, and the same people.

Needs `pip install django`. Run it in this directory, say something with `telnet 127.0.0.1 4000`, and open
http://127.0.0.1:8000/:

    $ python twisted_chat.py

The first half is a program as it may have run for years. The second half is new, and so is the last line, which was
`reactor.run()`.
"""

from __future__ import annotations

import secrets
from collections import deque

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template import engines
from django.urls import path
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from twisted_wsgiref import serve

# ---- The chat, in the reactor's thread -----------------------------------------------------------------------------


class Chatter(LineOnlyReceiver):
    name = ""

    def connectionMade(self) -> None:
        self.sendLine(b"Your name?")

    def lineReceived(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if self.name:
            self.factory.say(self.name, text)
        elif text:
            self.name = text[:40]
            self.factory.present.add(self)
            self.factory.say(self.name, "(has come)")

    def connectionLost(self, reason) -> None:
        if self in self.factory.present:
            self.factory.present.remove(self)
            self.factory.say(self.name, "(has left)")


class Chat(Factory):
    protocol = Chatter

    def __init__(self) -> None:
        self.present: set[Chatter] = set()
        self.last: deque[str] = deque(maxlen=20)

    def say(self, name: str, text: str) -> None:
        self.last.append(f"{name}: {text}")
        for each in self.present:
            each.sendLine(self.last[-1].encode())

    def look(self) -> tuple[list[str], list[str]]:
        return sorted(each.name for each in self.present), list(self.last)


chat = Chat()

# ---- Its face, in worker threads -----------------------------------------------------------------------------------

PAGE = """<!doctype html>
<title>Chat</title>
<p>Here: <b id="names">{{ names|join:", "|default:"nobody" }}</b></p>
<ul>{% for line in lines %}<li>{{ line }}</li>{% endfor %}</ul>
<form method="post">{% csrf_token %}<input name="line" autofocus autocomplete="off"> <button>Say</button></form>
"""


def face(request: HttpRequest) -> HttpResponse:
    # The chat belongs to the reactor's thread, so the view has the reactor call its methods. `call` waits for the
    # result, `fire` for nothing.
    twisted = request.environ["twisted_wsgiref.reactor"]
    if request.method == "POST":
        twisted.fire(chat.say, "the web", request.POST["line"].replace("\n", " ")[:1000])
        return redirect("/")
    names, lines = twisted.call(chat.look)
    return HttpResponse(engines["django"].from_string(PAGE).render({"names": names, "lines": lines}, request))


urlpatterns = [path("", face)]
settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)

if __name__ == "__main__":
    serverFromString(reactor, "tcp:4000:interface=127.0.0.1").listen(chat)
    serve(get_wsgi_application(), 8000)
