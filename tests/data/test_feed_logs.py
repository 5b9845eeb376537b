"""VK-LSVD and Yambda: files of their schema on a local server that answers as the hub does."""

import hashlib
import http.server
import threading

import numpy as np
import pandas as pd
import pytest

import invlightning as il
from invlightning.data.datasets import vk_lsvd, yambda
from invlightning.data.reading.hub import HubFiles
from tests.helpers.trainers import make_trainer


class Hub(http.server.SimpleHTTPRequestHandler):
    """Tells size and checksum in the answer that redirects to the content."""

    lies = False

    def log_message(self, *args):
        """Keeps the test output clean."""

    def do_HEAD(self):
        path = self.translate_path(self.path)
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            self.send_error(404)
            return
        digest = hashlib.sha256(b"other" if self.lies else content).hexdigest()
        self.send_response(302)
        self.send_header("Location", f"/elsewhere{self.path}")
        self.send_header("X-Linked-ETag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder that is served; both data sets look for their files there."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (Hub,), {})

    def make(*args):
        return handler(*args, directory=str(folder))

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    for module in (vk_lsvd, yambda):
        files = HubFiles(module.HUB.title, f"http://127.0.0.1:{httpd.server_address[1]}")
        monkeypatch.setattr(module, "HUB", files)
    yield folder, handler
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def put(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(path)


def serve_week(folder, part, week, rows):
    """Rows (user, item, like, dislike) with the column types of the data set."""
    users, items, likes, dislikes = zip(*rows, strict=True)
    put(
        folder / f"subsamples/ur0.01/{part}/week_{week:02}.parquet",
        user_id=np.array(users, dtype=np.uint32),
        item_id=np.array(items, dtype=np.uint32),
        place=np.zeros(len(users), dtype=np.uint8),
        timespent=np.ones(len(users), dtype=np.uint8),
        like=np.array(likes, dtype=bool),
        dislike=np.array(dislikes, dtype=bool),
    )


def serve_vk(folder):
    serve_week(folder, "train", 23, [(9, 9, 1, 0)])
    rows = [(u, i, (u + i) % 3 == 0, (u + i) % 5 == 1) for u in range(5) for i in range(6)]
    serve_week(folder, "train", 24, rows)
    serve_week(folder, "validation", 25, [(0, 6, 1, 0), (1, 6, 0, 1), (2, 6, 0, 0)])
    serve_week(folder, "test", 26, [(0, 7, 1, 0), (1, 7, 0, 1), (3, 7, 0, 0), (4, 7, 0, 0)])
    return rows


def test_vk_lsvd(hub, tmp_path, caplog):
    rows = serve_vk(hub[0])
    data = il.VKLSVDDataModule(root=str(tmp_path / "data"), weeks=1)
    data.prepare_data()
    assert "VK-LSVD: downloading 3 files, 0.00 GB in all, to" in caplog.text
    data.setup()
    found = data.interactions
    expected = [0 if dislike else 1 if like else -1 for _, _, like, dislike in rows]
    assert found.labels[: len(rows)].tolist() == expected
    assert found.timestamps.tolist() == list(range(len(rows) + 7))
    assert np.bincount(data.rows.parts).tolist() == [30, 3, 4]
    assert len(data.rows.exposed_rows) == expected.count(-1)
    assert "9" not in [str(user) for user in found.user_ids.ids]
    # With the files there, nothing is asked for.
    hub[1].do_HEAD = None
    il.VKLSVDDataModule(root=str(tmp_path / "data"), weeks=1).prepare_data()


def test_what_is_not_as_the_hub_says_is_refused(hub, tmp_path):
    serve_vk(hub[0])
    hub[1].lies = True
    with pytest.raises(ValueError, match=r"has the sha256 .* expected .* it was deleted"):
        il.VKLSVDDataModule(root=str(tmp_path / "data"), weeks=1).prepare_data()
    assert not list((tmp_path / "data").rglob("*.parquet"))
    with pytest.raises(ConnectionError, match=r"could not ask for .*subsamples/up9/.*what subsets"):
        il.VKLSVDDataModule(root=str(tmp_path / "data"), weeks=1, subset="up9").prepare_data()
    with pytest.raises(FileNotFoundError, match=r"VK-LSVD is not under .* get http.* by hand"):
        il.VKLSVDDataModule(root=str(tmp_path / "none")).setup()
    with pytest.raises(ValueError, match="weeks must be from 1 to 25, got 26"):
        il.VKLSVDDataModule(weeks=26)


def serve_events(folder, name, rows):
    users, items, times = zip(*rows, strict=True)
    put(
        folder / f"flat/50m/{name}.parquet",
        uid=np.array(users, dtype=np.uint32),
        timestamp=np.array(times, dtype=np.uint32),
        item_id=np.array(items, dtype=np.uint32),
        is_organic=np.ones(len(users), dtype=np.uint8),
    )


def test_yambda(hub, tmp_path):
    """Verdicts that stand, by hand: undone, overruled, renewed, in every part."""
    end, day = 10 * 86_400, 86_400
    test_day, val_day = end - day + 5, end - 2 * day - 1_800 + 5
    listens = [(1, 1, 5), (1, 2, 5), (2, 1, 5), (2, 2, 6), (3, 3, 7), (1, 9, end - 1)]
    listens += [(3, 1, val_day), (2, 3, test_day), (1, 8, end - day - 1)]  # the last in the gap
    serve_events(hub[0], "listens", listens)
    serve_events(
        hub[0],
        "likes",
        [(1, 1, 10), (1, 2, 10), (2, 1, 30), (2, 9, 5), (1, 3, val_day), (2, 8, test_day)],
    )
    serve_events(hub[0], "dislikes", [(2, 1, 20), (3, 2, 9), (2, 3, test_day + 1)])
    serve_events(hub[0], "unlikes", [(1, 2, 20), (2, 9, 6)])
    serve_events(hub[0], "undislikes", [(3, 2, 8)])
    data = il.YambdaDataModule(root=str(tmp_path / "data"))
    data.prepare_data()
    data.setup()
    found = data.interactions
    users, items = found.user_ids.decode(found.users), found.item_ids.decode(found.items)
    columns = (users, items, found.labels, data.rows.parts)
    rows = {(u, i): (int(label), int(part)) for u, i, label, part in zip(*columns, strict=True)}
    assert rows == {
        (1, 1): (1, 0),
        (1, 2): (-1, 0),  # the like was undone
        (2, 1): (1, 0),  # the dislike was overruled by a later like
        (2, 2): (-1, 0),
        (3, 3): (-1, 0),
        (3, 2): (0, 0),  # disliked again after an undoing
        (1, 3): (1, 1),
        (3, 1): (-1, 1),
        (2, 3): (0, 2),
        (2, 8): (1, 2),
        (1, 9): (-1, 2),
    }
    assert any("events left out: undone, overruled, or in the gaps" in n for n in found.notes)


def test_a_feed_log_trains_the_entire_space(hub, tmp_path):
    serve_vk(hub[0])
    data = il.VKLSVDDataModule(root=str(tmp_path / "data"), weeks=1, batch_size=8, epoch="exposed")
    model = il.EntireSpaceRecommender(
        il.backbones.BiasedMF, exposed_loss=il.losses.InverseDualLoss(prior="labeled")
    )
    trainer = make_trainer(max_epochs=1)
    trainer.fit(model, data)
    assert "val_auc" in trainer.callback_metrics
