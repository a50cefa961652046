"""Functions are cut out with the text that a student reads."""

from __future__ import annotations

from avatar_optuna.languages import language_named
from avatar_optuna.scan import cut

PYTHON = language_named("python")
SOURCE = b'''class Stack:
    @staticmethod
    def push(items, item):
        """Add an item.

        At the end.
        """
        # Not at the beginning.

        items.append(item)  # here
        if item:
            def inner():
                return item
        return items
'''


def test_a_text_has_neither_comments_nor_indentation() -> None:
    (push, inner), small = cut(SOURCE, PYTHON)
    assert small == 0
    assert push.text == (
        "def push(items, item):\n    items.append(item)  \n    if item:\n        def inner():\n"
        "            return item\n    return items"
    )
    assert (push.name, push.line, push.end_line, push.lines) == ("Stack.push", 3, 14, 6)
    assert SOURCE[push.start : push.end].startswith(b"def push")
    assert (inner.name, inner.text) == ("Stack.push.inner", "def inner():\n    return item")


def test_comments_may_be_kept() -> None:
    push = cut(SOURCE, PYTHON, keeps_comments=True)[0][0]
    assert push.text.startswith('def push(items, item):\n    """Add an item.\n\n    At the end.\n')
    assert push.lines == 6


def test_small_functions_are_counted() -> None:
    functions, small = cut(SOURCE, PYTHON, min_lines=3)
    assert ([function.name for function in functions], small) == (["Stack.push"], 1)
    functions, small = cut(SOURCE, PYTHON, min_tokens=20)
    assert ([function.name for function in functions], small) == (["Stack.push"], 1)


def test_comments_blanks_and_indentation_do_not_change_a_digest() -> None:
    first = cut(b"int f(int a) { return a; }", language_named("c"))[0][0]
    second = cut(b"  int f( int a )\n{\n\treturn a; /* a */\n}", language_named("c"))[0][0]
    third = cut(b"int f(int b) { return b; }", language_named("c"))[0][0]
    assert first.digest == second.digest != third.digest


def test_windows_line_ends_and_bytes_that_are_no_utf_8_are_read() -> None:
    (function,), _ = cut(b"def f():\r\n    a = '\xff'\r\n    return a\r\n", PYTHON)
    assert function.text == "def f():\n    a = '�'\n    return a"


def test_a_file_with_errors_gives_what_can_be_read() -> None:
    functions, _ = cut(b"def f(a):\n    return a\n\ndef g(:\n    print 1\n\ndef h(a):\n    return 2\n", PYTHON)
    assert {"f", "h"} <= {function.name for function in functions}
