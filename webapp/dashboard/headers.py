"""What every answer tells the browser about safety and caching."""

from flask import Flask, Response

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
)


def register(app: Flask) -> None:
    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in ALWAYS:
            if name not in response.headers:
                response.headers.add(name, value)
        if response.mimetype == "text/html":
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response
