"""The text of a file that a spreadsheet wrote, whatever its encoding."""

from __future__ import annotations

from advisor.errors import InputError

_SAVE_AS = "in the spreadsheet choose: save as, CSV UTF-8 (or copy the table into a text file)"
_BINARY = {
    b"PK\x03\x04": "this is a workbook (.xlsx, .ods), not CSV",
    b"\xd0\xcf\x11\xe0": "this is an old workbook (.xls), not CSV",
    b"%PDF": "this is a PDF, not CSV",
}
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def spreadsheet_text(raw: bytes, source: str) -> tuple[str, tuple[str, ...]]:
    """Return the text, and what was assumed about its encoding.

    Excel writes UTF-8 with a mark, UTF-16 ("Unicode text") or the code page of the country. Without a mark it is
    UTF-8 where it can be, for text of a code page hardly ever is; else that of Western Europe.

    Raises:
        InputError: it is no text, with the way out where it is a workbook.
    """
    for start, what in _BINARY.items():
        if raw.startswith(start):
            raise InputError(what, source=source, hint=_SAVE_AS)
    encoding, messages = _encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"not text in {encoding}", source=source, hint=_SAVE_AS) from error
    if "\0" in text:
        raise InputError("this is no text", source=source, hint=_SAVE_AS)
    return text.removeprefix("\ufeff"), messages


def _encoding(raw: bytes) -> tuple[str, tuple[str, ...]]:
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return name, ()
    if b"\0" in raw[:2]:
        name = "utf-16-be" if raw[0] == 0 else "utf-16-le"
        return name, (f"read as {name.upper()}, which it does not say",)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252", ("not UTF-8: read as Windows-1252 (Western Europe)",)
    return "utf-8", ()
