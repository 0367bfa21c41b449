"""Klein beside Flask: a kitchen takes orders by Flask, and Klein tells every browser that waits for the next one.

Needs `pip install klein flask`. Run it in this directory, and open http://127.0.0.1:8000/ in several windows:

    $ python klein_flask.py

Each browser has asked Klein, whose answer comes with the next order. A thousand that wait hold no thread.
"""

from __future__ import annotations

import json

from flask import Flask, request
from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred, TimeoutError

from twisted_wsgiref import current_reactor_caller, serve

# ---- Klein, in the reactor's thread --------------------------------------------------------------------------------

live = Klein()
orders: list[str] = []
waiting: set[Deferred[None]] = set()


@live.route("/after/<int:seen>")
async def orders_after(request, seen: int) -> bytes:
    """Answer with the orders that the browser has not seen, once there are any; with none after ten seconds."""
    if len(orders) <= seen:
        # Ten seconds at most: proxies give up later than that, and a server that stops waits longer for its answers.
        change: Deferred[None] = Deferred().addTimeout(10, reactor)
        waiting.add(change)
        try:
            await change  # if the browser leaves, Klein ends this with a CancelledError
        except TimeoutError:
            pass
        finally:
            waiting.discard(change)
    request.setHeader(b"Content-Type", b"application/json")
    return json.dumps(orders[seen:]).encode()


def add(order: str) -> int:
    """Tell all browsers that wait, and return their number."""
    orders.append(order)
    answered = list(waiting)
    for change in answered:
        change.callback(None)
    return len(answered)


# ---- Flask, in worker threads --------------------------------------------------------------------------------------

app = Flask(__name__)

PAGE = """<!doctype html>
<title>Kitchen</title>
<form id="form"><input name="dish" autofocus autocomplete="off"> <button>Order</button> <span id="told"></span></form>
<ol id="orders"></ol>
<script>
  form.onsubmit = async (event) => {
    event.preventDefault();
    const answer = await fetch("orders", { method: "POST", body: new FormData(form) });
    told.textContent = await answer.text();
    form.reset();
  };
  (async () => {
    for (;;) {
      const answer = await fetch("live/after/" + orders.children.length);
      for (const dish of await answer.json()) {
        orders.append(Object.assign(document.createElement("li"), { textContent: dish }));
      }
    }
  })();
</script>
"""


@app.get("/")
def page() -> str:
    return PAGE


@app.post("/orders")
def order() -> str:
    # A view may wait for the reactor: `call` returns whatever the function returns.
    told = current_reactor_caller().call(add, request.form["dish"])
    return f"{told} told"


if __name__ == "__main__":
    serve(app, 8000, mounts={"/live": live.resource()})
