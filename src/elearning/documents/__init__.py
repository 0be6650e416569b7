"""The collections of MongoDB, as Beanie documents, and what is done with them.

Beanie binds them to one database for the whole process, so no operation takes a connection: they
work as soon as a `Platform` or `Documents` is open.
"""

from elearning.documents.client import DOCUMENTS, Documents, insert_once, mongo_errors
from elearning.documents.content_lists import (
    ContentPage,
    list_course_contents,
    list_lesson_contents,
)
from elearning.documents.contents import (
    add_document,
    add_quiz,
    add_video,
    count_download,
    count_view,
    create_content,
    delete_content,
    get_content,
    set_lesson,
    show_content,
    update_content,
)
from elearning.documents.course_content import (
    ContentSummary,
    ContentType,
    CourseContent,
    QualityOption,
    QuizQuestion,
    ShownContent,
    ShownQuestion,
)
from elearning.documents.preferences import (
    add_recently_viewed,
    add_to_wishlist,
    change_learning,
    change_notifications,
    create_preferences,
    delete_preferences,
    get_preferences,
    remove_from_wishlist,
    replace_preferences,
    set_preference,
)
from elearning.documents.user_preferences import (
    MOST_VIEWED,
    MOST_WISHES,
    DifficultyLevel,
    LearningPace,
    LearningPreferences,
    NotificationPreferences,
    Preferences,
    RecentlyViewed,
    UserPreferences,
)

__all__ = [
    "DOCUMENTS",
    "MOST_VIEWED",
    "MOST_WISHES",
    "ContentPage",
    "ContentSummary",
    "ContentType",
    "CourseContent",
    "DifficultyLevel",
    "Documents",
    "LearningPace",
    "LearningPreferences",
    "NotificationPreferences",
    "Preferences",
    "QualityOption",
    "QuizQuestion",
    "RecentlyViewed",
    "ShownContent",
    "ShownQuestion",
    "UserPreferences",
    "add_document",
    "add_quiz",
    "add_recently_viewed",
    "add_to_wishlist",
    "add_video",
    "change_learning",
    "change_notifications",
    "count_download",
    "count_view",
    "create_content",
    "create_preferences",
    "delete_content",
    "delete_preferences",
    "get_content",
    "get_preferences",
    "insert_once",
    "list_course_contents",
    "list_lesson_contents",
    "mongo_errors",
    "remove_from_wishlist",
    "replace_preferences",
    "set_lesson",
    "set_preference",
    "show_content",
    "update_content",
]
