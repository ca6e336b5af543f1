"""What counts as an address on the web, for links of jobs, webhooks and the board itself."""

import pytest

from webapp.core.validation import is_http_address


@pytest.mark.parametrize(
    "text", ["http://localhost", "https://jobs.example.com/a?b=c#d", "HTTPS://EXAMPLE.COM:65535", "http://[::1]:8000/"]
)
def test_an_address_with_scheme_and_host_is_accepted(text: str) -> None:
    assert is_http_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jobs.example.com",
        "//jobs.example.com",
        "ftp://jobs.example.com",
        "javascript:alert(1)",
        "https://",
        "https://:8000",
        "http://[::1",
        "http://example.com:0",
        "http://example.com:65536",
        "http://example.com:eighty",
    ],
)
def test_a_text_without_scheme_host_or_valid_port_is_refused(text: str) -> None:
    assert not is_http_address(text)
