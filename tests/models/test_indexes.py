"""Every foreign key can be followed back by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from tests.models.test_foreign_keys import KEYS


def is_followed(root: Connection, name: str) -> bool:
    """Tell whether some index begins with the columns of a foreign key."""
    key = KEYS[name]
    referring = {element.parent.name: element.column.name for element in key.elements}
    # Where one of the columns refers to the other table's id, that one finds the rows alone.
    wanted = {column for column, other in referring.items() if other == "id"} or set(referring)
    indexes = root.exec_driver_sql(
        "SELECT array(SELECT attname::text FROM unnest(indkey::int2[]) WITH ORDINALITY "
        "AS key (number, place) JOIN pg_attribute ON attrelid = indrelid AND attnum = number "
        "ORDER BY place) "
        f"FROM pg_index WHERE indrelid = '{key.table.name}'::regclass "
        # One that holds some of the rows finds some of the rows.
        "AND indpred IS NULL AND indisvalid AND indisready"
    ).scalars()
    return any(set(columns[: len(wanted)]) == wanted for columns in indexes)


@pytest.mark.parametrize("name", sorted(KEYS))
def test_a_foreign_key_has_an_index(root: Connection, name: str) -> None:
    assert is_followed(root, name)


def test_an_index_of_some_rows_is_not_enough(root: Connection) -> None:
    root.exec_driver_sql("DROP INDEX idx_payment_methods_user_id")
    assert not is_followed(root, "fk_payment_methods_user_id")
