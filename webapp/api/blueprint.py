"""Holds the blueprint that the views of this door are registered on."""

from flask import Blueprint, Response, request

PREFIX = "/api/v1"

api = Blueprint("api", __name__, url_prefix=PREFIX)


@api.after_request
def empty_options(response: Response) -> Response:
    """Answer OPTIONS by its headers alone, without a content type."""
    if request.method == "OPTIONS" and response.status_code == 200:
        response.status_code = 204
        del response.headers["Content-Type"]
    return response
