"""The shop as a WSGI application, with its static files; and the same within a validator."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

from twisted_wsgiref.validate import validator

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bookshop.settings")


class Static(StaticFilesHandler):
    """Static files straight from the apps' folders, as the development server has them, but without DEBUG."""

    def serve(self, request):
        """Return the file."""
        from django.contrib.staticfiles.views import serve

        return serve(request, self.file_path(request.path), insecure=True)


application = Static(get_wsgi_application())
checked = validator(application)
