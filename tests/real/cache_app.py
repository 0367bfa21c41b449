"""A view of Django that counts in a Redis; for `test_redis`."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="known to everybody: only ever served in tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["CACHE"]}},
)


def visit(request):
    """Count the visit, and tell how many there were."""
    cache.add("visits", 0)
    return HttpResponse(str(cache.incr("visits")))


urlpatterns = [path("", visit)]
app = get_wsgi_application()
