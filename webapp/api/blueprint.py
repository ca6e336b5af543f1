"""The blueprint that the rooms of this door hang their views on."""

from flask import Blueprint, Response, request

PREFIX = "/api/v1"

api = Blueprint("api", __name__, url_prefix=PREFIX)


@api.after_request
def options_without_content(answer: Response) -> Response:
    """OPTIONS is answered by a header alone: what has no content has no type."""
    if request.method == "OPTIONS" and answer.status_code == 200:
        answer.status_code = 204
        del answer.headers["Content-Type"]
    return answer
