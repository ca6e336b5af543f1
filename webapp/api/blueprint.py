"""The blueprint that the rooms of this door hang their views on."""

from flask import Blueprint

api = Blueprint("api", __name__, url_prefix="/api/v1")
