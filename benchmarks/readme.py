"""What commands write into the README."""


def insert(text: str, readme: str, begin: str, end: str) -> str:
    """The README with a text between two comments.

    Args:
        text: What is to stand there.
        readme: The whole README.
        begin: The comment before it.
        end: The comment behind it.

    Raises:
        ValueError: If the comments are not there, once each and in order.
    """
    before, *begun = readme.split(begin)
    if len(begun) != 1 or begun[0].count(end) != 1:
        raise ValueError(f"expected {begin!r} and then {end!r} once in the README.")
    return f"{before}{begin}\n\n{text}\n\n{end}{begun[0].split(end)[1]}"
