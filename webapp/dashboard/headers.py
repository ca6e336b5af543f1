"""What every answer tells the browser about safety and caching."""

from flask import Flask, Response, request

POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    )
)
ALWAYS = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
ON_PAGES = (
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
HTTPS_ONLY = ("Strict-Transport-Security", "max-age=31536000")
"""For a year browsers open this host by https alone. Other hosts of the domain are none of the board's business."""


def register(app: Flask) -> None:
    """Add the headers to every answer."""
    always = (*ALWAYS, HTTPS_ONLY) if app.config["SESSION_COOKIE_SECURE"] else ALWAYS

    @app.after_request
    def protect(response: Response) -> Response:
        _add_missing(response, always)
        if response.mimetype == "text/html":
            _add_missing(response, ON_PAGES)
        # What somebody saw who was signed in stays in no cache: Back after signing out shows nothing of it.
        if not (request.path.startswith("/api/") or request.endpoint == "static"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def keep_address_secret(response: Response) -> Response:
    """Keep the address of a page, which holds a secret, out of caches and of Referer headers."""
    response.headers["Cache-Control"] = "no-store"
    # With "no-referrer" its form would come without an Origin, as from another site.
    response.headers["Referrer-Policy"] = "strict-origin"
    return response


def _add_missing(response: Response, headers: tuple[tuple[str, str], ...]) -> None:
    present = {*response.headers.keys()}
    for name, value in headers:
        if name not in present:
            response.headers.add(name, value)
