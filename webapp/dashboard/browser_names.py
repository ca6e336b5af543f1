"""Names a browser in short words."""

import re

_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone|iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def describe_browser(user_agent: str | None) -> str:
    """Return what a browser calls itself, in short words: ``Firefox on Linux``."""
    text = user_agent or ""
    # Each browser names its forebears after itself, so the first that fits is the one.
    name = next((name for mark, name in _BROWSERS if mark in text), None)
    system = next((name for mark, name in _SYSTEMS if re.search(mark, text)), None)
    if name is None:
        return text.partition("/")[0][:40] or "unknown browser"
    return f"{name} on {system}" if system else name
