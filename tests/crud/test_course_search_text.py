"""Any text can be searched for, in any language; what a text is, nobody has to know."""

# ruff: noqa: RUF001 - texts of many scripts

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from elearning.crud import course_facets, search_courses
from elearning.errors import InvalidText
from elearning.routing import Engines, RoutingSession
from tests.crud.catalog import make_course

FOUND = {
    "de": ("Häuser für Anfänger", ["haus", "HÄUSER", "hauser", "für häuser", "anfanger"]),
    "de-AT": ("Die Straße", ["straße", "STRASSE", "strasse"]),
    "fr": ("L'été à la française", ["été", "ete", "française", "FRANCAISE", "l’été"]),
    "es": ("Programación avanzada", ["programacion", "PROGRAMACIÓN", "avanzadas"]),
    "tr": ("IŞIK ve İstanbul ılık", ["ışık", "ISIK", "istanbul", "İSTANBUL", "ilik"]),
    "ru": ("Русский ёжик", ["русского", "РУССКИЙ", "ёжик"]),
    "el": ("Ελληνική κουζίνα", ["ελληνική", "κουζίνα"]),
    "ar": ("قراءة الكتاب", ["الكتاب", "كتاب"]),
    "he": ("לימוד עברית", ["עברית"]),
    "hi": ("हिन्दी सीखें", ["हिन्दी", "सीखें"]),
    "zh": ("机器学习入门", ["机器学习", "学习", "习入", "入门"]),
    "ja": ("プログラミング入門", ["プログラミング", "入門", "ログラ"]),
    "th": ("เรียนภาษาไทย", ["ภาษาไทย", "ภาษา"]),
    "ko": ("한국어 수업", ["한국어", "수업"]),
    "en": ("The full-stack café: don’t “panic”", ["full stack", "stack-full", "cafe", "panic"]),
    "en-GB": ("The Who", ["the who", "who"]),
    "sv": ("Ｆｕｌｌ ｗｉｄｔｈ ﬁnal", ["full width", "final"]),
}


@pytest.fixture
def languages(session: RoutingSession) -> RoutingSession:
    for language, (title, _) in FOUND.items():
        make_course(session, title, language=language)
    return session


def test_each_course_is_found_by_the_rules_of_its_language(languages: RoutingSession) -> None:
    for title, texts in FOUND.values():
        for text in texts:
            found = [hit.course.title for hit in search_courses(languages, text).items]
            assert title in found, text


def test_rules_of_other_languages_do_not_count(languages: RoutingSession) -> None:
    make_course(languages, "Hard work", language="en")
    # "die" is a stop word in German, and none in English.
    assert search_courses(languages, "die hard").items == []
    # Signs without spaces match as they stand beside each other.
    assert search_courses(languages, "习学").items == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "x" * 201,
        "one two three four five six seven eight nine ten eleven",
        "a-b-c-d-e-f-g-h-i-j-k",
        "!!!",
        "😀",
        "%_*",
        "nul\0",
        "half \ud800",
        None,
        b"bytes",
    ],
)
def test_texts_that_cannot_be_searched_for(session: RoutingSession, text: str) -> None:
    with pytest.raises(InvalidText):
        search_courses(session, text)
    with pytest.raises(InvalidText):
        course_facets(session, text)


def test_nothing_has_a_meaning_of_its_own(session: RoutingSession) -> None:
    make_course(session, "Python knots")
    for text in (
        "python & ! knots",
        "'python' | \"knots\"",
        "python:* <-> knots\\",
        "knots%python_",
        "(python) (knots",
        "!python knots",
        "{python} [knots];",
        "\u200fpython knots😀",
    ):
        found = [hit.course.title for hit in search_courses(session, text).items]
        assert found == ["Python knots"], text
    assert search_courses(session, "python | boats").items == []
    assert search_courses(session, "'; DROP TABLE courses; --").items == []


@pytest.fixture(scope="module")
def searching(engines: Engines) -> Iterator[RoutingSession]:
    with RoutingSession(engines=engines, region="europe") as session:
        for language, (title, _) in FOUND.items():
            make_course(session, title, language=language)
        # Nothing is committed, and so the primary is read.
        yield session
        session.rollback()


tsquery_signs = st.text(alphabet="'\\\"&|!<->:*()ABD ab%_\u200f\u0301éß😀学ไ", max_size=30)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=210) | tsquery_signs)
@example(text="a" * 200)
@example(text="学" * 200)
@example(text="'" * 200)
@example(text="\u0301 \u0e31 \u3099")
@example(text="½ ⅷ Ⅻ ﷺ")
def test_any_text_finds_something_or_nothing(searching: RoutingSession, text: str) -> None:
    try:
        found = search_courses(searching, text, size=1000)
    except InvalidText:
        return
    assert course_facets(searching, text).total == len(found.items)


@settings(max_examples=60, deadline=None)
@given(title=st.text(min_size=1, max_size=60))
def test_what_a_title_is_finds_it(searching: RoutingSession, title: str) -> None:
    try:
        search_courses(searching, title)
    except InvalidText:
        return
    course = make_course(searching, title, language="en")
    found = [hit.course.id for hit in search_courses(searching, title, size=1000).items]
    assert course.id in found
