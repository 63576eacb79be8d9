"""How SQLite finds the rows of statements."""

from typing import Any

from sqlalchemy import text

from antiphon.store.database.connection import AsyncConnection


def note_plans(connection: AsyncConnection) -> list[str]:
    """Return a list that gets the plan of each statement that is executed from now on."""
    plans: list[str] = []
    execute = connection.execute

    async def explained(statement: Any, *more: Any) -> Any:
        compiled = statement.compile(
            dialect=connection.dialect, compile_kwargs={"literal_binds": True}
        )
        plan = await execute(text(f"EXPLAIN QUERY PLAN {compiled}"))
        plans.append("; ".join(row[3] for row in plan.all()))
        return await execute(statement, *more)

    connection.execute = explained  # type: ignore[method-assign]
    return plans
