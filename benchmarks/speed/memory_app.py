"""A Django project as ``startproject`` makes it, imported with the module: what a server's processes are filled with.

The admin site, users, sessions and messages are there, as in most projects; the database is in memory, and empty.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from django.conf import settings

_APPS = ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
HELLO = b"Hello, world!\n"

settings.configure(
    SECRET_KEY="known to everybody: this project is only measured",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="memory_app_urls",
    INSTALLED_APPS=[f"django.contrib.{name}" for name in _APPS],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    STATIC_URL="/static/",
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django wants its settings first

django = get_wsgi_application()

from django.contrib import admin  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as the project does, and say which process it was."""

    def start(status: str, fields: list[tuple[str, str]], *more: Any) -> Any:
        return start_response(status, [*fields, ("X-Worker", str(os.getpid()))], *more)

    answer: Iterable[bytes] = django(environ, start)
    return answer


def index(request: HttpRequest) -> HttpResponse:
    """Say hello."""
    return HttpResponse(HELLO, content_type="text/plain")


_urls = ModuleType("memory_app_urls")
_urls.urlpatterns = [path("", index), path("admin/", admin.site.urls)]  # type: ignore[attr-defined]
sys.modules[_urls.__name__] = _urls
