"""Who looks into the database finds told there what does not tell itself."""

from __future__ import annotations

from sqlalchemy import Connection

from elearning.models import Base

CLEAR = {
    "id",
    "created_at",
    "title",
    "description",
    "first_name",
    "last_name",
    "phone_number",
    "date_of_birth",
    "city",
    "bio",
    "avatar_url",
    "method_type",
    "billing_address",
    "expiry_month",
    "expiry_year",
    "category_name",
    "duration_hours",
    "duration_minutes",
    "review_text",
    "invoice_date",
    "due_date",
    "completion_date",
    "certificate_issued",
    "certificate_url",
    "completed",
    "status",
    "last_login",
    "published_at",
    "archived_at",
    "completed_at",
    "year",
    "kind",
    "outcome",
    "decided_at",
}
"""Columns whose names say it all; so do the names of foreign keys, such as user_id."""


def test_every_table_and_column_that_does_not_explain_itself(root: Connection) -> None:
    keys = {
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.foreign_keys
    }
    rows = root.exec_driver_sql(
        "SELECT relname, attname, col_description(pg_class.oid, attnum) "
        "FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
        "AND relname <> 'alembic_version' AND attnum > 0 AND NOT attisdropped"
    ).all()
    silent = {
        f"{table}.{column}"
        for table, column, comment in rows
        if not comment and column not in CLEAR and (table, column) not in keys
    }
    assert silent == set()
    assert {table for table, _, _ in rows} == set(Base.metadata.tables)
    tables = root.exec_driver_sql(
        "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    assert {name for name, comment in tables if not comment} == {"alembic_version"}


def test_no_name_is_listed_in_vain() -> None:
    uncommented = {
        column.name
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if not column.comment
    }
    assert uncommented >= CLEAR
