"""Django's own forms by uploadkit: a form, a model form and the admin, a whole project in one file. Run it:

    DJANGO_SUPERUSER_PASSWORD=secret gunicorn --pythonpath examples django_forms:application

http://127.0.0.1:8000/ has the forms, and /admin/ the admin, where `admin` logs in with that password. Database and
files are kept in the folder in which it is started.
"""

from __future__ import annotations

import secrets

import django
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.views import serve
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from uploadkit import DOCUMENTS, IMAGES, DiskStorage, File, Limits, Uploader
from uploadkit.adapters.django import ObjectStorage, upload_handler, upload_rules

upload = Uploader(DiskStorage("uploads"), limits=Limits(file_size="5 MB"))
for_forms = upload_handler(upload.any(accept=[IMAGES, DOCUMENTS]))
media = DiskStorage("media")

FILE_UPLOAD_HANDLERS = ["django_forms.for_forms"]
MIDDLEWARE = [
    "uploadkit.adapters.django.UploadErrors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

if not settings.configured:
    settings.configure(
        FILE_UPLOAD_HANDLERS=FILE_UPLOAD_HANDLERS,
        MIDDLEWARE=MIDDLEWARE,
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "django_forms",
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
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "project.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        ROOT_URLCONF="django_forms",
        ALLOWED_HOSTS=["*"],
        SECRET_KEY=secrets.token_hex(),
        STATIC_URL="/static/",
        DEBUG=True,  # so that the styles of the admin are served from here
    )
    django.setup()


pictures = ObjectStorage("django_forms.media", base_url="/media/")


class Picture(models.Model):
    title = models.CharField(max_length=80)
    file = models.FileField(upload_to="pictures/", storage=pictures)


class PictureForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none when it runs
    class Meta:
        model = Picture
        fields = ("title", "file")


class ReportForm(forms.Form):
    title = forms.CharField(max_length=80)
    report = forms.FileField()


def report(request: HttpRequest) -> HttpResponse:
    form = ReportForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        file = form.cleaned_data["report"]
        return HttpResponse(f"{file.name}, {file.size} bytes of {file.content_type}")
    return page(request, form)


@upload_rules(upload.fields(File("file", accept=IMAGES, max_size="1 MB")))
def picture(request: HttpRequest) -> HttpResponse:
    form = PictureForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        return HttpResponse(form.save().file.url)
    return page(request, form)


admin.site.register(Picture)


def page(request: HttpRequest, form: forms.BaseForm) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(PAGE).render({"form": form}, request))


PAGE = """<!doctype html>
<title>Forms</title>
<nav><a href="/">Report</a> <a href="/picture">Picture</a> <a href="/admin/">Admin</a></nav>
<form method="post" enctype="multipart/form-data">{% csrf_token %}{{ form.as_p }}<button>Send</button></form>
"""


def file_of_a_picture(request: HttpRequest, name: str) -> FileResponse:
    try:
        file = pictures.open(name)
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(file, filename=name, headers={"X-Content-Type-Options": "nosniff"})


urlpatterns = [
    path("", report),
    path("picture", picture),
    path("media/<path:name>", file_of_a_picture),
    path("admin/", admin.site.urls),
    path("static/<path:path>", serve),
]

call_command("migrate", verbosity=0)
if Picture._meta.db_table not in connection.introspection.table_names():  # one file has no migrations of its own
    with connection.schema_editor() as editor:
        editor.create_model(Picture)
if not get_user_model().objects.exists():
    call_command("createsuperuser", username="admin", email="", interactive=False, verbosity=0)

application = get_wsgi_application()
