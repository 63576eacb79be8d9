"""Builds the documentation as a site: `python scripts/docs_site.py FOLDER`.

The pages are the Markdown files of the repository as they stand. The README becomes the first page,
the decisions get a list, and a file that a page links to becomes a page itself, so the site is
whole without the repository. Links are written anew for that; one that leads nowhere is an error.
"""

import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs/"
# Pages outside of docs/, and where they are in the site.
OTHERS = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/README.md": "examples/index.md",
}
DECISIONS = "docs/decisions"
LIST_OF_DECISIONS = "decisions/index.md"
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r'(?P<before>\]\(|(?:src|srcset)=")(?P<target>[^)"#\s]+)(?P<anchor>#[^)"\s]*)?')
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}


class Site:
    """The sources of the site, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: set[str] = set()

    def write(self) -> None:
        """Write all pages. Raises `SystemExit` at a link that leads nowhere."""
        for path in sorted((ROOT / DOCS).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix == ".md":
                self._write_page(name)
            elif path.is_file():
                self._copy(name)
        for name in OTHERS:
            self._write_page(name)
        self._write(LIST_OF_DECISIONS, "\n".join(decisions()))
        for name in sorted(self._files):
            self._write(place(name), shown(name))

    def _write_page(self, name: str) -> None:
        text = (ROOT / name).read_text(encoding="utf-8")
        parts, end = [], 0
        for fence in FENCE.finditer(text):
            parts += [self._relinked(text[end : fence.start()], name), fence[0]]
            end = fence.end()
        self._write(place(name), "".join([*parts, self._relinked(text[end:], name)]))

    def _relinked(self, text: str, page: str) -> str:
        """Return a part of a page with links that lead to places of the site."""

        def link(found: re.Match[str]) -> str:
            target, anchor = found["target"], found["anchor"] or ""
            if "://" in target:
                return found[0]
            name = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
            if name != DECISIONS and not (ROOT / name).is_file():
                raise SystemExit(f"{page}: {target} is no file")
            if not name.startswith(DOCS) and name not in OTHERS:
                self._files.add(name)
            there = posixpath.relpath(place(name), posixpath.dirname(place(page)) or ".")
            return f"{found['before']}{there}{anchor}"

        return LINK.sub(link, text)

    def _copy(self, name: str) -> None:
        there = self._folder / place(name)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, there)

    def _write(self, name: str, text: str) -> None:
        there = self._folder / name
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text, encoding="utf-8")


def place(name: str) -> str:
    """Return where a file of the repository is among the sources of the site."""
    if name == DECISIONS:
        return LIST_OF_DECISIONS
    if name in OTHERS:
        return OTHERS[name]
    if name.startswith(DOCS):
        return name.removeprefix(DOCS).replace("README.md", "index.md")
    return f"files/{name}.md"


def shown(name: str) -> str:
    """Return the page of a file that is no page. The search leaves it out."""
    text = (ROOT / name).read_text(encoding="utf-8")
    language = LANGUAGES.get(Path(name).suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n# {name}\n\n````{language}\n{text}\n````\n"


def decisions() -> Iterator[str]:
    """Yield the lines of the list of decisions."""
    yield "# Decisions\n\nWhat others may question, with its reasons and what was rejected.\n"
    for path in sorted((ROOT / DECISIONS).glob("*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        yield f"- [{title}]({path.name})"


def configuration() -> str:
    """Return the settings of the site, with every decision below their list."""
    text = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    paths = sorted((ROOT / DECISIONS).glob("*.md"))
    pages = [LIST_OF_DECISIONS, *(place(f"{DECISIONS}/{path.name}") for path in paths)]
    return text.replace(f'"{LIST_OF_DECISIONS}"', ", ".join(f'"{page}"' for page in pages))


def main() -> None:
    """Build the site, and end with the status of its generator."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    Site(folder / "source").write()
    (folder / "zensical.toml").write_text(configuration(), encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, check=False)  # noqa: S603 - no shell
    if done.returncode:
        raise SystemExit(done.returncode)
    print(f"The site is in {folder / 'site'}; any web server can send it.")


if __name__ == "__main__":
    main()
