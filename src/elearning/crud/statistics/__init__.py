"""What is counted, worldwide: from counters on every shard, asked all at once."""

from elearning.crud.statistics.courses import (
    CourseFunnel,
    CourseRevenueReport,
    course_funnel,
    course_revenue,
)
from elearning.crud.statistics.figures import Figures
from elearning.crud.statistics.folding import fold_platform_counters
from elearning.crud.statistics.funnels import Funnel, MonthFunnel
from elearning.crud.statistics.instructors import (
    InstructorRevenueReport,
    InstructorStatistics,
    instructor_revenue,
    instructor_statistics,
)
from elearning.crud.statistics.platform import (
    PlatformFunnel,
    PlatformRevenueReport,
    PlatformStatistics,
    platform_funnel,
    platform_revenue,
    platform_statistics,
)
from elearning.crud.statistics.revenues import MonthRevenue, Revenue

__all__ = [
    "CourseFunnel",
    "CourseRevenueReport",
    "Figures",
    "Funnel",
    "InstructorRevenueReport",
    "InstructorStatistics",
    "MonthFunnel",
    "MonthRevenue",
    "PlatformFunnel",
    "PlatformRevenueReport",
    "PlatformStatistics",
    "Revenue",
    "course_funnel",
    "course_revenue",
    "fold_platform_counters",
    "instructor_revenue",
    "instructor_statistics",
    "platform_funnel",
    "platform_revenue",
    "platform_statistics",
]
