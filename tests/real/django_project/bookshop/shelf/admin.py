"""Books in the admin site."""

from __future__ import annotations

from django.contrib import admin

from .models import Book

admin.site.register(Book)
