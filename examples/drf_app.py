"""Uploads in Django REST framework, a whole project in one file. Run it:

    gunicorn --pythonpath examples drf_app:application
    curl -F title=July -F report=@report.pdf -F photos=@a.jpg -F photos=@b.jpg http://127.0.0.1:8000/reports

The serializer, the view and the parser are what they would be without uploadkit: the one installed line is
FILE_UPLOAD_HANDLERS.
"""

from __future__ import annotations

import secrets

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, File, Limits, Uploader
from uploadkit.adapters.django import ObjectStorage, upload_handler

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))
for_forms = upload_handler(
    upload.fields(File("report", accept=DOCUMENTS), File("photos", accept=IMAGES, max_count=12, max_size="1 MB"))
)

FILE_UPLOAD_HANDLERS = ["drf_app.for_forms"]

if not settings.configured:
    settings.configure(
        FILE_UPLOAD_HANDLERS=FILE_UPLOAD_HANDLERS,
        MIDDLEWARE=["uploadkit.adapters.django.UploadErrors"],
        INSTALLED_APPS=["rest_framework"],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
        },
        ROOT_URLCONF="drf_app",
        ALLOWED_HOSTS=["*"],
        SECRET_KEY=secrets.token_hex(),
    )
    django.setup()

from rest_framework import serializers  # noqa: E402  it wants the settings
from rest_framework.parsers import MultiPartParser  # noqa: E402  as above
from rest_framework.request import Request  # noqa: E402  as above
from rest_framework.response import Response  # noqa: E402  as above
from rest_framework.views import APIView  # noqa: E402  as above

reports = ObjectStorage(DiskStorage("reports"))


class ReportSerializer(serializers.Serializer):  # type: ignore[type-arg]  # it takes none when it runs
    title = serializers.CharField(max_length=80)
    report = serializers.FileField()
    photos = serializers.ListField(child=serializers.ImageField(), required=False)


class ReportView(APIView):
    parser_classes = (MultiPartParser,)

    def post(self, request: Request) -> Response:
        form = ReportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        report = form.validated_data["report"]
        photos = form.validated_data.get("photos", [])
        return Response({"report": reports.save(report.name, report), "photos": [photo.name for photo in photos]}, 201)


urlpatterns = [path("reports", ReportView.as_view())]
application = get_wsgi_application()
