"""What may be a name, and what counts as an address on the web, for links of jobs, webhooks and the board itself."""

import pytest

from webapp.core.validation import escape_unseen, find_name_faults, is_http_address


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


@pytest.mark.parametrize("name", [" Ada ", "Ночная смена", "تقرير شهري", "می\u200cخواهم", "👩\u200d🚀", "a" * 100])
def test_a_name_of_any_script_is_accepted(name: str) -> None:
    assert find_name_faults(name, 100) == []


INVISIBLE = (
    "\x7f\x80\x85\x9b\xad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\ufffb\U000e0041"
)


@pytest.mark.parametrize("character", INVISIBLE)
def test_a_name_with_something_invisible_is_refused(character: str) -> None:
    (fault,) = find_name_faults(f"a{character}b", 100)
    assert fault.detail == "A name without invisible characters."


@pytest.mark.parametrize("name", ["", " ", "\u3000", "\u200d", "a\nb", "a\x1bb", "a" * 101])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    (fault,) = find_name_faults(name, 100)
    assert fault.detail == "A name of 1 to 100 characters, in one line."


@pytest.mark.parametrize("text", ["plain", "größe\tund\nZeile", "", "می\u200cخواهم"])
def test_a_text_for_a_terminal_stays_as_it_is(text: str) -> None:
    assert escape_unseen(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b]0;pwned\x07", "\\u001b]0;pwned\\u0007"),
        ("a\x9b2Jb\x7f", "a\\u009b2Jb\\u007f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\ud800\r", "\\ud800\\u000d"),
    ],
)
def test_what_rules_a_terminal_or_turns_a_line_around_is_escaped_as_in_json(text: str, escaped: str) -> None:
    assert escape_unseen(text) == escaped
