"""The script language, as far as words must be quoted for it."""

from __future__ import annotations


def quote(text: str) -> str:
    r"""A text as a script writes it: in quotation marks, with ``\"``, ``\\``, ``\n`` and ``\t``.

    >>> quote('say "hi"\n')
    '"say \\"hi\\"\\n"'
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("\n", "\\n").replace("\t", "\\t")
    # Otherwise it would begin a variable.
    return '"' + escaped.replace("${", "$${") + '"'
