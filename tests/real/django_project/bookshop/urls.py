"""What the shop answers to."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from .shelf import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("books/", views.books, name="books"),
    path("upload/", views.upload),
    path("count/<int:lines>/", views.count),
    path("file/", views.file),
    path("where/", views.where),
    path("broken/", views.broken),
]
