"""A Django application in one file, with its CSRF protection and sessions in signed cookies."""

import hashlib
from collections.abc import Iterator

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.middleware.csrf import get_token
from django.urls import path, reverse
from django.views.decorators.csrf import csrf_exempt

from tests.e2e.apps.gate import wait_for

settings.configure(
    SECRET_KEY="for the tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
)
django.setup()


def variables(request: HttpRequest) -> HttpResponse:
    """The request's variables, as the server hands them on."""
    return JsonResponse({k: v for k, v in request.META.items() if isinstance(v, str)})


@csrf_exempt
def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(" ".join(f"{name}={value}" for name, value in sorted(request.POST.items())))


def guarded(request: HttpRequest) -> HttpResponse:
    """GET gives the token that POST must send back."""
    if request.method == "GET":
        return HttpResponse(get_token(request))
    return HttpResponse("accepted " + request.POST["word"])


def count(request: HttpRequest) -> HttpResponse:
    """How often this session was here."""
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Length and SHA-256 of the uploaded file."""
    data = request.FILES["file"].read()
    return HttpResponse(f"{len(data)} {hashlib.sha256(data).hexdigest()}")


@csrf_exempt
def raw(request: HttpRequest) -> HttpResponse:
    """Length and SHA-256 of the body."""
    return HttpResponse(f"{len(request.body)} {hashlib.sha256(request.body).hexdigest()}")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """A second piece that comes only when the client has the first."""
    gate = request.GET["gate"]

    def pieces() -> Iterator[str]:
        yield "first\n"
        wait_for(gate)
        yield "second\n"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def away(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(request.build_absolute_uri(reverse(variables)))


def status(request: HttpRequest, code: int) -> HttpResponse:
    return HttpResponse(f"status {code}", status=code)


urlpatterns = [
    path("variables", variables),
    path("form", form),
    path("guarded", guarded),
    path("session", count),
    path("upload", upload),
    path("raw", raw),
    path("stream", stream),
    path("redirect", away),
    path("status/<int:code>", status),
]

app = get_wsgi_application()
