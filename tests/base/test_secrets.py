"""No secret of an address is shown, whatever characters it has."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tl_sweep.base.secrets import masked

ANY = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@db.example/x", "postgresql://me:***@db.example/x"),
        ('https://me:a\'b "c"@host/x', "https://me:***@host/x"),
        ("https://me:p@ss word@host/x", "https://me:***@host/x"),
        ("https://me:pa/ss@host/x", "https://me:***@host/x"),
        ("https://ghp_0123456789@host/x", "https://***@host/x"),
        ("https://host/x?access_token=abc&run=1", "https://host/x?access_token=***&run=1"),
        ("https://host/x?run=1&api_key=abc", "https://host/x?run=1&api_key=***"),
        ("postgresql://host/x?sslpassword=abc", "postgresql://host/x?sslpassword=***"),
        ("https://host/x?X-Amz-Signature=abc#top", "https://host/x?X-Amz-Signature=***#top"),
        ("first://a:b@c second://d:e@f", "first://a:***@c second://d:***@f"),
        ("http://127.0.0.1:5000/#/runs?name=me@home", "http://127.0.0.1:5000/#/runs?name=me@home"),
        ("http://localhost:5000 does not answer; ask me@home", "http://localhost:5000 does not answer; ask me@home"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("no address: a@b, x?token=1", "no address: a@b, x?token=1"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@host/db", "postgresql://me:***@host/db"),
        ("a http://me:s3cret@host:80/x and ftp://you:two@h", "a http://me:***@host:80/x and ftp://you:***@h"),
        ("http://host:80/x@y", "http://host:80/x@y"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("https://:token@host", "https://:***@host"),
        ("postgresql://host/db?user=me&password=s3cret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3/cret@host/db", "postgresql://me:***@host/db"),
        ("http://me:s3@cret@host:80/x", "http://me:***@host:80/x"),
        ('{"a":"http://me:s3cret@host","b":"x@y"}', '{"a":"http://me:***@host","b":"x@y"}'),
        ("http://host:80/x@y", "http://host:80/x@y"),
    ],
)
def test_passwords_that_should_have_been_quoted_are_masked_all_the_same(text: str, shown: str) -> None:
    assert masked(text) == shown


@settings(deadline=None, derandomize=True, max_examples=300)
@given(password=ANY, before=ANY)
def test_no_password_is_shown(password: str, before: str) -> None:
    before, password = before.replace("://", ""), password.replace("://", "")
    assume(password and not re.match(r"\d{1,5}/", password))
    text = f"{before} postgresql://me:{password}@db.example/runs"
    assert masked(text) == f"{before} postgresql://me:***@db.example/runs"


@settings(deadline=None, derandomize=True, max_examples=300)
@given(token=st.text("abcdefXYZ0123456789_-~!$'()*+,=", min_size=1))
def test_no_token_is_shown(token: str) -> None:
    assert masked(f"tracking.uri=https://{token}@host/x") == "tracking.uri=https://***@host/x"
