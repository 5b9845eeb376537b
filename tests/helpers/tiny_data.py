"""Tiny files in the format of every data set, so that tests need neither network nor real data."""

from pathlib import Path

import numpy as np
import pandas as pd

USERS, ITEMS, PER_USER = 24, 16, 10


def pairs():
    """(user, item, stars) rows; every user rates ten of sixteen items."""
    generator = np.random.default_rng(3)
    for user in range(1, USERS + 1):
        for item in generator.permutation(ITEMS)[:PER_USER] + 1:
            yield user, int(item), int(generator.integers(1, 6))


def _write(path, header, rows, separator=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [separator.join(map(str, row)) for row in ([header] if header else []) + list(rows)]
    path.write_text("\n".join(lines) + "\n")


def write_movielens(root: Path, variant: str = "100k") -> None:
    """The ratings of a variant, unpacked."""
    place, separator = {
        "100k": ("ml-100k/u.data", "\t"),
        "1m": ("ml-1m/ratings.dat", "::"),
        "10m": ("ml-10M100K/ratings.dat", "::"),
    }.get(variant, (f"ml-{variant}/ratings.csv", ","))
    header = ("userId", "movieId", "rating", "timestamp") if separator == "," else None
    rows = [(user, item, stars, 900 + user) for user, item, stars in pairs()]
    _write(root / place, header, rows, separator)


def write_coat(root: Path) -> None:
    """Two matrices of users by items."""
    train, test = np.zeros((2, USERS, ITEMS), dtype=int)
    for row, (user, item, stars) in enumerate(pairs()):
        (test if row % 5 == 0 else train)[user - 1, item - 1] = stars
    _write(root / "coat" / "train.ascii", None, train, " ")
    _write(root / "coat" / "test.ascii", None, test, " ")


def write_kuairec(root: Path) -> None:
    """Both matrices, with watch ratios from 0.05 to 4.05."""
    rows = [(user, item, 9, 9, "", "", "", stars - 0.95) for user, item, stars in pairs()]
    header = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"
    for matrix in ("big", "small"):
        _write(root / f"KuaiRec/data/{matrix}_matrix.csv", header.split(","), rows)


def signals_of(stars):
    """Click, long view, like, follow, comment, forward and hate."""
    return (stars > 3, stars > 4, stars > 3, False, False, False, stars < 3)


def write_kuairand(root: Path) -> None:
    """Two standard logs and the random one."""
    names = ("standard_4_08_to_4_21", "standard_4_22_to_5_08", "random_4_22_to_5_08")
    header = ["user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "long_view"]
    header += ["is_like", "is_follow", "is_comment", "is_forward", "is_hate"]
    for part, name in enumerate(names):
        rows = [
            (user, item, 2, 1, 17 * user, *map(int, signals_of(stars)))
            for row, (user, item, stars) in enumerate(pairs())
            if row % 3 == part
        ]
        _write(root / f"KuaiRand-Pure/data/log_{name}_pure.csv", header, rows)


def write_table(path: Path) -> None:
    """A CSV file with text ids."""
    rows = [(f"u{user}", f"i{item}", stars) for user, item, stars in pairs()]
    _write(path, ("user", "item", "rating"), rows)


def write_vk_lsvd(root: Path) -> None:
    """Four training weeks, one for validation and one for test, each with a part of the pairs."""
    weeks = [("train", 21), ("train", 22), ("train", 23), ("train", 24)]
    for part, (name, week) in enumerate([*weeks, ("validation", 25), ("test", 26)]):
        rows = [row for place, row in enumerate(pairs()) if place % 6 == part]
        users, items, stars = map(np.array, zip(*rows, strict=True))
        columns = {"user_id": users, "item_id": items, "like": stars > 3, "dislike": stars < 3}
        path = root / f"subsamples/ur0.01/{name}/week_{week}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).to_parquet(path)


def write_yambda(root: Path) -> None:
    """Every pair a listen, some liked or disliked, over four days."""
    users, items, stars = map(np.array, zip(*pairs(), strict=True))
    times = np.arange(len(users)) * (4 * 86_400 // len(users))
    nothing = np.zeros(len(users), dtype=bool)
    nothing[0] = True
    events = {
        "listens": ~nothing | nothing,
        "likes": stars > 3,
        "dislikes": stars < 3,
        "unlikes": nothing & (stars > 3),
        "undislikes": nothing & (stars < 3),
    }
    for name, chosen in events.items():
        rows = chosen if chosen.any() else nothing
        columns = {"uid": users[rows], "item_id": items[rows], "timestamp": times[rows]}
        path = root / f"flat/50m/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).astype("uint32").to_parquet(path)
