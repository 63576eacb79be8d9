"""The commands of PostgreSQL's own tools that back up a database and restore it."""

from shlex import quote

from sqlalchemy import URL

from antiphon.store.database.database import parsed_url


def dump_command(url: str, file: str) -> str:
    """Return the command that backs up a PostgreSQL database; it contains no password."""
    return f"pg_dump --format=custom --file={quote(file)} {_bare(url)}"


def undump_command(url: str, file: str) -> str:
    """Return the command that restores what `dump_command` has written."""
    options = "--clean --if-exists --single-transaction"
    return f"pg_restore {options} --dbname={_bare(url)} {quote(file)}"


def _bare(url: str) -> str:
    given = parsed_url(url)
    query = {name: value for name, value in given.query.items() if "password" not in name}
    bare = URL.create(
        "postgresql", given.username, None, given.host, given.port, given.database, query
    )
    return quote(bare.render_as_string())
