"""Passwords in addresses are shown to nobody."""

from __future__ import annotations

import pytest

from tl_sweep.base.secrets import masked


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
