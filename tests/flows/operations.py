"""What an application lists, searches, edits and counts, as flows on a crowded shard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from elearning.crud import (
    CourseFilters,
    CourseOrder,
    Listing,
    NewLesson,
    add_lesson,
    answer_review,
    course_facets,
    course_funnel,
    course_progress,
    course_revenue,
    curriculum,
    edit_review,
    hide_review,
    instructor_revenue,
    instructor_statistics,
    list_attempts,
    list_course_enrollments,
    list_course_reviews,
    list_course_transactions,
    list_courses,
    list_dependents,
    list_enrollments,
    list_instructor_courses,
    list_invoices,
    list_lesson_progress,
    list_payment_methods,
    list_prerequisites,
    list_transactions,
    list_user_reviews,
    list_users,
    ratings_of,
    record_visit,
    report_review,
    resume,
    search_courses,
    set_status,
    set_user_type,
    update_course,
    update_profile,
    update_user,
)
from elearning.flows import Platform, request_password_reset, reset_password, set_password
from elearning.models import LessonType
from tests.flows.crowd import row_id, taken_by

__all__ = ["OPERATIONS"]

SIZE = 20


async def pages(platform: Platform, *listings: Listing[Any]) -> None:
    """Read the first two pages of lists."""
    async with platform.session("europe") as session:
        for listing in listings:
            page = await session.run_sync(listing.page, size=SIZE)
            if page.next is not None:
                await session.run_sync(listing.page, size=SIZE, after=page.next)


async def lists_accounts(platform: Platform, number: int) -> None:
    await pages(
        platform,
        list_users(),
        list_users(region="europe", order="email"),
        list_users(user_type="student", order="name"),
        list_users(user_type="student", status="active"),
        list_users(search="ob"),
        list_users(search=f"user{number}@"),
    )


async def edits_accounts(platform: Platform, number: int) -> None:
    user_id = row_id("users", number)
    async with platform.session("europe") as session, session.begin():
        await session.run_sync(update_user, user_id, first_name="Bea")
        await session.run_sync(update_profile, user_id, bio="B")
        await session.run_sync(set_user_type, user_id, "instructor")
        await session.run_sync(set_status, user_id, "inactive")
        await session.run_sync(set_status, user_id, "active")
    await set_password(platform, user_id, f"a long password {number}")
    issued = await request_password_reset(platform, f"user{number}@example.com")
    assert issued is not None
    await reset_password(platform, issued.text, f"another password {number}")


async def lists_courses(platform: Platform, number: int) -> None:
    some = CourseFilters(level="beginner", currency="EUR", most_price=50)
    await pages(
        platform,
        *(list_courses(order) for order in CourseOrder),
        *(list_courses(order, filters=some) for order in CourseOrder),
        list_instructor_courses(row_id("users", number)),
        list_prerequisites(row_id("courses", number)),
        list_dependents(row_id("courses", number)),
    )


async def searches(platform: Platform, number: int) -> None:
    text = f"course{100 + number % 900}"
    async with platform.session("europe") as session:
        page = await session.run_sync(search_courses, text, size=SIZE)
        await session.run_sync(search_courses, text, size=SIZE, after=page.next)
        misspelt = await session.run_sync(search_courses, text.replace("s", "ss"), size=SIZE)
        assert len(page.items) == len(misspelt.items) == SIZE
        facets = await session.run_sync(course_facets, text)
        assert facets.total == 100


async def edits_courses(platform: Platform, number: int) -> None:
    course_id = row_id("courses", number)
    lesson = NewLesson(title="L", lesson_type=LessonType.QUIZ)
    async with platform.session("europe") as session, session.begin():
        await session.run_sync(update_course, course_id, title=f"T{number}", slug=f"t-{number}")
        await session.run_sync(add_lesson, row_id("course_modules", number), lesson)
        assert (await session.run_sync(curriculum, course_id)).modules


async def studies(platform: Platform, number: int) -> None:
    enrollment_id = row_id("enrollments", number)
    lesson_id = row_id("course_lessons", taken_by(number))
    await pages(
        platform,
        list_enrollments(row_id("users", number)),
        list_enrollments(row_id("users", number), status="active"),
        list_course_enrollments(row_id("courses", taken_by(number))),
        list_course_enrollments(row_id("courses", taken_by(number)), status="active"),
        list_lesson_progress(enrollment_id),
        list_attempts(enrollment_id, lesson_id),
    )
    async with platform.session("europe") as session, session.begin():
        await session.run_sync(record_visit, enrollment_id, lesson_id, position=5, time_spent=5)
        assert await session.run_sync(resume, enrollment_id)
        assert (await session.run_sync(course_progress, enrollment_id)).modules


async def reviews_again(platform: Platform, number: int) -> None:
    review_id, course_id = row_id("course_reviews", number), row_id("courses", taken_by(number))
    await pages(
        platform,
        list_course_reviews(course_id),
        list_course_reviews(course_id, order="highest"),
        list_course_reviews(course_id, rating=4),
        list_user_reviews(row_id("users", number)),
    )
    teacher = row_id("users", taken_by(number))
    async with platform.session("europe") as session, session.begin():
        await session.run_sync(edit_review, review_id, rating=2, text="T")
        await session.run_sync(answer_review, review_id, teacher, "A")
        await session.run_sync(report_review, review_id, row_id("users", number + 1), "spam")
        await session.run_sync(hide_review, review_id, "spam")
        await session.run_sync(ratings_of, course_id)


async def lists_payments(platform: Platform, number: int) -> None:
    user_id = row_id("users", number)
    await pages(
        platform,
        list_transactions(user_id),
        list_transactions(user_id, status="completed"),
        list_course_transactions(row_id("courses", taken_by(number))),
        list_invoices(user_id),
        list_payment_methods(user_id),
    )


async def counts(platform: Platform, number: int) -> None:
    course_id, user_id = row_id("courses", taken_by(number)), row_id("users", taken_by(number))
    for asked in (
        course_funnel(course_id),
        course_revenue(course_id),
        instructor_revenue(user_id),
        instructor_statistics(user_id),
    ):
        await asked.everywhere_async(platform.engines)


OPERATIONS: dict[Callable[[Platform, int], Awaitable[Any]], set[str]] = {
    lists_accounts: {"users"},
    edits_accounts: {"users", "user_profiles"},
    lists_courses: {"courses", "course_popularity"},
    searches: {"course_search", "courses"},
    edits_courses: {"courses", "course_modules", "course_lessons", "enrollments"},
    studies: {"enrollments", "lesson_progress", "courses", "users"},
    reviews_again: {"course_reviews", "courses", "course_ratings"},
    lists_payments: {"transactions", "invoices", "payment_methods"},
    counts: {"course_months", "courses", "enrollments"},
}
"""The operations, and tables that each must be seen to touch."""
