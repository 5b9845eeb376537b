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


def prepare(rows, positive, negative=None, min_user=0, min_item=0):
    """Returns [(user, item, label, time, part)] in the order of the rows that stay.

    ``rows`` are tuples (user, item, rating, time, part).
    """
    negative = positive if negative is None else negative
    latest_part = {}
    for user, item, _, _, part in rows:
        latest_part[user, item] = max(part, latest_part.get((user, item), 0))
    chosen = {}
    for place, (user, item, _, time, part) in enumerate(rows):
        if part < latest_part[user, item]:
            continue
        best = chosen.get((user, item))
        if best is None or time >= rows[best][3]:
            chosen[user, item] = place
    labeled = []
    for place in sorted(chosen.values()):
        user, item, rating, time, part = rows[place]
        if rating > positive:
            labeled.append((user, item, 1.0, time, part))
        elif rating <= negative:
            labeled.append((user, item, 0.0, time, part))
    stay = k_core([row[:2] for row in labeled], min_user, min_item)
    return [labeled[place] for place in stay]
