"""What commands write into the pages of the site, and in short into the README."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
METHODS = ROOT / "docs" / "guides" / "methods.md"
EXPOSED = ROOT / "docs" / "evidence" / "exposed.md"
SPEED = ROOT / "docs" / "evidence" / "speed.md"


def insert(text: str, page: str, begin: str, end: str) -> str:
    """A page with a text between two comments.

    Args:
        text: What is to stand there.
        page: The whole page.
        begin: The comment before it.
        end: The comment behind it.

    Raises:
        ValueError: If the comments are not there, once each and in order.
    """
    before, *begun = page.split(begin)
    if len(begun) != 1 or begun[0].count(end) != 1:
        raise ValueError(f"expected {begin!r} and then {end!r} once in the page.")
    return f"{before}{begin}\n\n{text}\n\n{end}{begun[0].split(end)[1]}"


def publish(text: str, page: Path, begin: str, end: str) -> None:
    """Writes a text into a page, between two comments (:func:`insert`)."""
    page.write_text(insert(text, page.read_text(), begin, end))
