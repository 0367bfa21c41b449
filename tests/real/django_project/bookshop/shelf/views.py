"""One view for each thing that a server can get wrong."""

from __future__ import annotations

from hashlib import sha256

from django import forms
from django.conf import settings
from django.http import FileResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt

from .models import Book


class BookForm(forms.ModelForm):
    """A title to add."""

    class Meta:
        model = Book
        fields = ["title"]


def books(request):
    """Show all titles and a form; add the one that was sent."""
    form = BookForm(request.POST or None)
    if form.is_valid():
        form.save()
        return redirect("books")
    return render(request, "shelf/books.html", {"form": form, "books": Book.objects.all()})


@csrf_exempt
def upload(request):
    """Tell the digest of the file that was sent, and send it back block by block."""
    file = request.FILES["file"]
    digest = sha256()
    for block in file.chunks():
        digest.update(block)
    answer = StreamingHttpResponse(file.chunks(), content_type="application/octet-stream")
    answer["X-Digest"] = digest.hexdigest()
    answer["X-Name"] = file.name
    answer["X-Note"] = request.POST["note"]
    return answer


def count(request, lines):
    """Send numbered lines, each as a block of its own."""
    return StreamingHttpResponse((f"{number}\n" for number in range(lines)), content_type="text/plain")


def file(request):
    """Send a real file."""
    return FileResponse(open(settings.DATA / "large.bin", "rb"), as_attachment=True)


def where(request):
    """Tell what Django makes of the environ."""
    return JsonResponse(
        {
            "url": request.build_absolute_uri("/x"),
            "secure": request.is_secure(),
            "peer": request.META.get("REMOTE_ADDR"),
            "query": request.GET.dict(),
        }
    )


def broken(request):
    """Fail."""
    raise RuntimeError("deliberately")
