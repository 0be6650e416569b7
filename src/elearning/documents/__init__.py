"""The collections of MongoDB, as Beanie documents."""

from elearning.documents.client import DOCUMENTS, Documents, insert_once, mongo_errors
from elearning.documents.course_content import (
    ContentType,
    CourseContent,
    QualityOption,
    QuizQuestion,
)
from elearning.documents.user_preferences import (
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
    "UserPreferences",
    "insert_once",
    "mongo_errors",
]
