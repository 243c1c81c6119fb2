"""Controllers: from a request to a call of the service, and from its result to an answer. They decide nothing."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views import View

from .middleware import received
from .services import FileRecord, library
from .uploads import NewFiles


@received
def add(request: HttpRequest, form: NewFiles) -> JsonResponse:
    return JsonResponse({"files": [shown(record) for record in library.add(form)]}, status=201)


class OneFile(View):
    def get(self, request: HttpRequest, id: str) -> JsonResponse:
        return JsonResponse(shown(library.find(id)))

    def delete(self, request: HttpRequest, id: str) -> HttpResponse:
        library.remove(id)
        return HttpResponse(status=204)


def content(request: HttpRequest, id: str) -> FileResponse:
    record = library.find(id)
    return FileResponse(
        library.path(record).open("rb"),
        as_attachment=True,
        filename=record.filename,
        content_type=record.content_type,
        headers={"X-Content-Type-Options": "nosniff"},
    )


def shown(record: FileRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "title": record.title,
        "filename": record.filename,
        "content_type": record.content_type,
        "size": record.size,
        "sha256": record.sha256,
        "url": reverse("content", args=[record.id]),
    }
