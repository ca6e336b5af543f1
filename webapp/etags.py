"""Compares the ETag that a caller holds with that of an answer."""

import re

from flask import request

_PROXY_MARK = re.compile(r"(?:[-;](?:gzip|br|zstd|deflate))+$")
"""What a proxy that compresses answers puts behind an ETag: Apache ``-gzip``, others ``;gzip`` or ``-br``."""


def is_unchanged(etag: str) -> bool:
    """Return whether the caller says that it holds this version already."""
    held = request.if_none_match
    return held.contains_weak(etag) or any(_PROXY_MARK.sub("", each) == etag for each in held.as_set(include_weak=True))
