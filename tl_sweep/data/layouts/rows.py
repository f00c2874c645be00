"""Rows of a table, whatever program wrote it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from tl_sweep.base.errors import UserError

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
SEPARATORS = ",;\t|"
BYTE_ORDER = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True)
class Rows:
    """columns: in their order. values: of each row by column, as text without blanks around it; empty: none. notes:
    what was out of the ordinary."""

    columns: tuple[str, ...]
    values: list[dict[str, str]]
    notes: tuple[str, ...] = ()


def read_table(table: Path) -> Rows:
    """
    Raises:
        UserError: it is no table, or cannot be read.
    """
    if table.suffix.lower() not in TABLES:
        raise UserError(f"data.table: {table} is none of {', '.join(TABLES)}")
    try:
        content = table.read_bytes()
    except OSError as error:
        raise UserError(f"data.table: {table}: {error.strerror}") from error
    if table.suffix.lower() == ".parquet":
        return _of_parquet(table)
    text, notes = _text(content)
    if "\0" in text:
        raise UserError(f"data.table: {table} is no text, or in UTF-16 without a byte order mark: save it as UTF-8")
    try:
        rows = _of_json(table, text) if table.suffix.lower() in (".jsonl", ".ndjson") else _of_text(text)
    except csv.Error as error:
        raise UserError(f"data.table: {table} is no text with separated columns: {error}") from error
    return Rows(rows.columns, rows.values, (*notes, *rows.notes))


def _text(content: bytes) -> tuple[str, tuple[str, ...]]:
    for mark, encoding in BYTE_ORDER.items():
        if content.startswith(mark):
            return content.decode(encoding), (f"encoding {encoding}",) if encoding != "utf-8-sig" else ()
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), ("no UTF-8: read as Windows-1252",)


def _of_text(text: str) -> Rows:
    header = text.lstrip().partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    reader = csv.DictReader(io.StringIO(text.lstrip()), delimiter=separator, skipinitialspace=True)
    columns = tuple((name or "").strip() for name in reader.fieldnames or ())
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise csv.Error(f"the column {twice[0]!r} stands there twice")
    reader.fieldnames = columns
    values = [{name: (row[name] or "").strip() for name in columns} for row in reader]
    return Rows(columns, values, (f"separator {separator!r}",) if separator != "," and len(columns) > 1 else ())


def _of_json(table: Path, text: str) -> Rows:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    values = []
    for number, line in lines:
        try:
            values.append({str(key): _written(value) for key, value in json.loads(line).items()})
        except (ValueError, AttributeError) as error:
            raise UserError(f"data.table: {table}, line {number}: not a JSON object: {error}") from error
    columns = tuple(dict.fromkeys(name for row in values for name in row))
    return Rows(columns, [{name: row.get(name, "") for name in columns} for row in values])


def _of_parquet(table: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        rows = parquet.read_table(table).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"data.table: {table}: not a parquet file: {error}") from error
    columns = tuple(rows[0]) if rows else ()
    return Rows(columns, [{name: _written(row[name]) for name in columns} for row in rows])


def _written(value: object) -> str:
    return "" if value is None else str(value).strip()
