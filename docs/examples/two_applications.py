"""Two applications on one port: a shop in Django, and below /stock what it has in stock, by Flask.

Needs `pip install django flask`. Run it in this directory, and open http://127.0.0.1:8000/:

    $ twisted-wsgiref two_applications:shop --mount /stock=wsgi:two_applications:stock

Both run in the same threads, with the same limits and one access log. A browser sees one origin, so the script of the
page may ask the second application without CORS.
"""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from flask import Flask, abort, jsonify, url_for

# ---- Django, for every path that is not below a mount --------------------------------------------------------------

PAGE = """<!doctype html>
<title>Shop</title>
<p>Apples: <b id="apples">?</b> in stock</p>
<script>
  fetch("stock/apples").then((answer) => answer.json()).then((found) => { apples.textContent = found.number; });
</script>
"""


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


urlpatterns = [path("", index)]
settings.configure(SECRET_KEY=secrets.token_hex(), ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])
shop = get_wsgi_application()

# ---- Flask, below /stock -------------------------------------------------------------------------------------------
# It knows nothing of the prefix: that is its SCRIPT_NAME, so `url_for` puts it in front.

stock = Flask(__name__)
NUMBERS = {"apples": 17, "pears": 0}


@stock.get("/<name>")
def number(name: str):
    if name not in NUMBERS:
        abort(404)
    return jsonify(number=NUMBERS[name], url=url_for("number", name=name))
