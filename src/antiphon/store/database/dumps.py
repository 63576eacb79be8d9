"""The commands of PostgreSQL's own tools that back up a database and restore it."""

from shlex import quote

from sqlalchemy import URL

from antiphon.store.database.database import parsed_url

# The options of a URL for the tools (postgresql.org/docs/current/libpq-connect.html) that the
# driver has as well; one of them has another name there.
_OPTIONS = frozenset({"host", "port", "sslmode", "passfile", "service", "target_session_attrs"})
_NAMES = {"ssl": "sslmode"}


def dump_command(url: str, file: str) -> str:
    """Return the command that backs up a PostgreSQL database; it contains no password."""
    return f"pg_dump --format=custom --file={quote(file)} {_bare(url)}"


def undump_command(url: str, file: str) -> str:
    """Return the command that restores what `dump_command` has written."""
    options = "--clean --if-exists --single-transaction"
    return f"pg_restore {options} --dbname={_bare(url)} {quote(file)}"


def _bare(url: str) -> str:
    """Return the URL without passwords and options of the driver, which the tools refuse."""
    given = parsed_url(url)
    named = {_NAMES.get(name, name): value for name, value in given.query.items()}
    query = {name: value for name, value in named.items() if name in _OPTIONS}
    bare = URL.create(
        "postgresql", given.username, None, given.host, given.port, given.database, query
    )
    return quote(bare.render_as_string())
