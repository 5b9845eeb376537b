"""Row by row: what becomes of a table of interactions, and which rows a k-core keeps."""


def k_core(pairs, min_user, min_item):
    """Positions of the pairs that stay: drop one offending row at a time until there is none."""
    stay = list(range(len(pairs)))
    while True:
        users = [pairs[row][0] for row in stay]
        items = [pairs[row][1] for row in stay]
        for row in stay:
            user, item = pairs[row]
            if users.count(user) < min_user or items.count(item) < min_item:
                stay.remove(row)
                break
        else:
            return stay


def label(rating, positive, negative):
    """1, 0, or -1 where nobody judged or the rating lies between the thresholds."""
    if rating is None:
        return -1
    return 1 if rating > positive else 0 if rating <= negative else -1


def prepare(rows, positive, negative=None, min_user=0, min_item=0, drop_between=False):
    """Returns [(user, item, label, time, part)] in the order of the rows that stay.

    ``rows`` are tuples (user, item, rating, time, part); a rating is None where nobody judged.
    """
    negative = positive if negative is None else negative

    def is_verdict(rating):
        judged = label(rating, positive, negative) >= 0
        return judged or (drop_between and rating is not None)

    latest_part = {}
    for user, item, rating, _, part in rows:
        if is_verdict(rating):
            latest_part[user, item] = max(part, latest_part.get((user, item), 0))
    chosen = {}
    for place, (user, item, rating, time, part) in enumerate(rows):
        if part < latest_part.get((user, item), 0):
            continue
        rank = (is_verdict(rating), time)
        best = chosen.get((user, item))
        if best is None or rank >= (is_verdict(rows[best][2]), rows[best][3]):
            chosen[user, item] = place
    labeled = []
    for place in sorted(chosen.values()):
        user, item, rating, time, part = rows[place]
        found = label(rating, positive, negative)
        if found >= 0 or rating is None or not drop_between:
            labeled.append((user, item, found, time, part))
    stay = k_core([row[:2] for row in labeled], min_user, min_item)
    return [labeled[place] for place in stay]
