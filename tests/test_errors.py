from __future__ import annotations

import inspect
import pickle

import pytest

from elearning import errors
from elearning.errors import CourseFull, ElearningError

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, ElearningError)
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_is_listed_and_drawn(cls: type[ElearningError]) -> None:
    assert cls.__name__ in errors.__all__
    assert cls.__doc__
    assert errors.__doc__ is not None
    assert cls.__name__ in errors.__doc__


def test_each_sqlstate_names_one_class() -> None:
    states = [cls.sqlstate for cls in CLASSES if cls.sqlstate is not None]
    assert len(states) == len(set(states))
    assert all(len(state) == 5 and state.startswith("LE") for state in states)


def test_an_error_names_its_values_and_survives_pickling() -> None:
    error = CourseFull(course_id="c1", seats=2)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert isinstance(copy, CourseFull)
    assert str(copy) == str(error) == "course c1 is full: all 2 seats are taken"
    assert copy.values == {"course_id": "c1", "seats": 2}


def test_a_value_that_the_database_left_out_does_not_hide_the_error() -> None:
    assert str(CourseFull(course_id="c1")) == "course c1 is full: all ? seats are taken"
