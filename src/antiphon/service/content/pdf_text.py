"""Reads the text of a PDF with PDFium: contents of pages, values of forms, and free texts.

PDFium is native code that reads a stranger's file, so only the child of `file_child` may use it.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_char, c_float, c_ushort, cast, create_string_buffer
from math import isfinite
from typing import Any, Final

from antiphon.service.content.file_protocol import (
    MOST_CHARACTERS,
    MOST_PAGES,
    UnreadableFileError,
)

NO_FIELD: Final = -1
UNCHECKED: Final = "Off"
HYPHENATION: Final = re.compile(r"(?<=[^\W_])\ufffe(?=[^\W_])")
"""How PDFium writes a hyphen and the end of its line; elsewhere, a glyph without a character."""
NEWLINE: Final = re.compile("\r\n?")
UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


class Pdfium:
    """The library, initialised once in its process."""

    def __init__(self) -> None:
        import pypdfium2_raw  # noqa: PLC0415 - native code; no other process may load it

        self._library: Any = pypdfium2_raw
        # An empty list of font folders: the text of a file does not depend on the fonts of the
        # machine, and PDFium opens no files.
        self._no_fonts = (POINTER(c_char) * 1)()
        config = pypdfium2_raw.FPDF_LIBRARY_CONFIG(version=2, m_pUserFontPaths=self._no_fonts)
        pypdfium2_raw.FPDF_InitLibraryWithConfig(config)

    def read(self, content: bytes) -> list[str | None]:
        """Return the text of each page, `None` for a page that cannot be read.

        Raises `UnreadableFileError`.
        """
        library = self._library
        with self._document(content) as document, self._form(document) as form:
            count = library.FPDF_GetPageCount(document)
            if count <= 0:
                raise UnreadableFileError("invalid")
            if count > MOST_PAGES:
                raise UnreadableFileError("pages")
            pages: list[str | None] = []
            left = MOST_CHARACTERS
            for index in range(count):
                text = self._page(document, form, index, left)
                left -= len(text or "")
                pages.append(text)
            return pages

    @contextmanager
    def _document(self, content: bytes) -> Iterator[Any]:
        library = self._library
        document = library.FPDF_LoadMemDocument64(content, len(content), None)
        if not document:
            locked = {library.FPDF_ERR_PASSWORD, library.FPDF_ERR_SECURITY}
            is_locked = library.FPDF_GetLastError() in locked
            raise UnreadableFileError("locked" if is_locked else "invalid")
        try:
            yield document
        finally:
            library.FPDF_CloseDocument(document)

    @contextmanager
    def _form(self, document: Any) -> Iterator[Any]:
        """Yield the form of a document, `None` if it has none. No script of it is run."""
        library = self._library
        if library.FPDF_GetFormType(document) == library.FORMTYPE_NONE:
            yield None
            return
        callbacks = library.FPDF_FORMFILLINFO(version=2, xfa_disabled=True)
        form = library.FPDFDOC_InitFormFillEnvironment(document, callbacks)
        try:
            yield form
        finally:
            if form:
                library.FPDFDOC_ExitFormFillEnvironment(form)

    def _page(self, document: Any, form: Any, index: int, most: int) -> str | None:
        library = self._library
        page = library.FPDF_LoadPage(document, index)
        if not page:
            return None
        try:
            text = self._content(page, most)
            # In their order, without the repetitions that several widgets of one field give.
            lines: dict[str, None] = {text: None} if text else {}
            for line in self._annotations(page, form):
                lines[line] = None
                most -= len(line)
                if most < len(text):
                    raise UnreadableFileError("text")
            return "\n".join(lines)
        finally:
            library.FPDF_ClosePage(page)

    def _content(self, page: Any, most: int) -> str:
        library = self._library
        text_page = library.FPDFText_LoadPage(page)
        if not text_page:
            return ""
        try:
            count = library.FPDFText_CountChars(text_page)
            if count > most:
                raise UnreadableFileError("text")
            # Two units for each character: one beyond U+FFFF may be written as a pair.
            units = (c_ushort * (2 * count + 2))()
            written = library.FPDFText_GetText(text_page, 0, count, units)
            return _clean(bytes(memoryview(units)[:written]))
        finally:
            library.FPDFText_ClosePage(text_page)

    def _annotations(self, page: Any, form: Any) -> Iterator[str]:
        """Yield what fields and free texts of a page show, one line or text each."""
        library = self._library
        for index in range(library.FPDFPage_GetAnnotCount(page)):
            annotation = library.FPDFPage_GetAnnot(page, index)
            if not annotation:
                continue
            try:
                if line := self._annotation(annotation, form):
                    yield line
            finally:
                library.FPDFPage_CloseAnnot(annotation)

    def _annotation(self, annotation: Any, form: Any) -> str:
        library = self._library
        hidden = library.FPDF_ANNOT_FLAG_HIDDEN | library.FPDF_ANNOT_FLAG_NOVIEW
        if library.FPDFAnnot_GetFlags(annotation) & hidden:
            return ""
        match library.FPDFAnnot_GetSubtype(annotation):
            case library.FPDF_ANNOT_FREETEXT:
                return self._text(library.FPDFAnnot_GetStringValue, annotation, b"Contents")
            case library.FPDF_ANNOT_WIDGET:
                if form and library.FPDFAnnot_GetFormFieldType(form, annotation) != NO_FIELD:
                    return self._field(annotation, form)
                return self._unlisted(annotation)
        return ""

    def _field(self, annotation: Any, form: Any) -> str:
        """Return the name and value of a field; nothing for an empty or unchecked one."""
        library = self._library
        value = self._value(annotation, form)
        if not value:
            return ""
        name = self._text(library.FPDFAnnot_GetFormFieldAlternateName, form, annotation)
        name = name or self._text(library.FPDFAnnot_GetFormFieldName, form, annotation)
        return f"{name}: {value}"

    def _unlisted(self, annotation: Any) -> str:
        """Return a text field that no form lists, as in merged files; viewers show it, too."""
        library = self._library
        keys = (b"FT", b"T", b"V")
        kind, name, value = (
            self._text(library.FPDFAnnot_GetStringValue, annotation, key) for key in keys
        )
        flags = c_float()
        library.FPDFAnnot_GetNumberValue(annotation, b"Ff", flags)
        known = int(flags.value) if isfinite(flags.value) else 0
        is_shown = kind == "Tx" and not known & library.FPDF_FORMFLAG_TEXT_PASSWORD
        return f"{name}: {value}" if is_shown and value else ""

    def _value(self, annotation: Any, form: Any) -> str:
        library = self._library
        flags = library.FPDFAnnot_GetFormFieldFlags(form, annotation)
        match library.FPDFAnnot_GetFormFieldType(form, annotation):
            case library.FPDF_FORMFIELD_TEXTFIELD if flags & library.FPDF_FORMFLAG_TEXT_PASSWORD:
                return ""
            case library.FPDF_FORMFIELD_TEXTFIELD | library.FPDF_FORMFIELD_COMBOBOX:
                return self._text(library.FPDFAnnot_GetFormFieldValue, form, annotation)
            case library.FPDF_FORMFIELD_LISTBOX:
                return ", ".join(self._selected(annotation, form))
            case library.FPDF_FORMFIELD_CHECKBOX | library.FPDF_FORMFIELD_RADIOBUTTON:
                state = self._text(library.FPDFAnnot_GetFormFieldValue, form, annotation)
                return "" if state == UNCHECKED else state
        return ""

    def _selected(self, annotation: Any, form: Any) -> Iterator[str]:
        library = self._library
        for index in range(library.FPDFAnnot_GetOptionCount(form, annotation)):
            if library.FPDFAnnot_IsOptionSelected(form, annotation, index):
                yield self._text(library.FPDFAnnot_GetOptionLabel, form, annotation, index)

    def _text(self, get: Callable[..., int], *arguments: Any) -> str:
        """Return a text of PDFium, which states its size in bytes if it gets no buffer."""
        size = get(*arguments, None, 0)
        buffer = create_string_buffer(size)
        get(*arguments, cast(buffer, POINTER(self._library.FPDF_WCHAR)), size)
        return _clean(buffer.raw)


def _clean(utf16: bytes) -> str:
    text = utf16.decode("utf-16-le", "replace")
    return UNPRINTABLE.sub("", NEWLINE.sub("\n", HYPHENATION.sub("-\n", text))).strip()
