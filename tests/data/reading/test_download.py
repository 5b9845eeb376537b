"""Archives are fetched whole or not at all, from a server on this machine."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import pytest

from invlightning.data.reading.download import Archive, extract, fetch


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Keeps the test output clean."""

    def do_GET(self):
        if not self.path.startswith("/short"):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"only this")
        return None


@pytest.fixture
def server(tmp_path):
    """A web server over the folder ``served``; yields the folder and the address."""
    folder = tmp_path / "served"
    folder.mkdir()

    def handler(*args):
        return _Handler(*args, directory=str(folder))

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def sum_of(content, name="sha256"):
    return hashlib.new(name, content).hexdigest()


def test_fetch_checks_and_keeps(server, tmp_path):
    folder, address = server
    content = bytes(range(256)) * 9000
    (folder / "a.zip").write_bytes(content)
    target = tmp_path / "new" / "a.zip"
    sums = {"sha256": sum_of(content), "md5": sum_of(content, "md5")}
    assert fetch(f"{address}/a.zip", target, **sums) == target
    assert target.read_bytes() == content
    target.write_bytes(b"mine")
    fetch(f"{address}/a.zip", target, **sums)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_wrong_checksum_leaves_nothing(server, tmp_path, name):
    folder, address = server
    (folder / "a.zip").write_bytes(b"other")
    target = tmp_path / "data" / "a.zip"
    with pytest.raises(ValueError, match=f"{name} {sum_of(b'other', name)}, expected 123; it was"):
        fetch(f"{address}/a.zip", target, **{name: "123"})
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("page", ["missing.zip", "short.zip"])
def test_failed_downloads_say_what_to_do(server, tmp_path, page):
    _, address = server
    target = tmp_path / "data" / page
    message = f"Get {address}/{page} by hand and put it at {target}"
    with pytest.raises(ConnectionError, match=message):
        fetch(f"{address}/{page}", target)
    assert list(target.parent.iterdir()) == []


def test_no_server(tmp_path):
    url = "http://127.0.0.1:9/a.zip"
    with pytest.raises(ConnectionError, match=f"could not download {url} .* Get {url} by hand"):
        fetch(url, tmp_path / "a.zip")


def zip_of(path, files):
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def tar_of(path, files):
    with tarfile.open(path, "w:gz") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content.encode()))
    return path


@pytest.mark.parametrize(("pack", "name"), [(zip_of, "a.zip"), (tar_of, "a.tar.gz")])
def test_extract_takes_one_file_and_never_leaves_the_target(pack, name, tmp_path):
    files = {"x/._b.csv": "no", "x/olddata/b.csv": "no", "../../data/b.csv": "yes"}
    packed = pack(tmp_path / name, files)
    target = tmp_path / "deep" / "er" / "b.csv"
    assert extract(packed, "data/b.csv", target) == target
    assert target.read_text() == "yes"
    assert sorted(path.name for path in tmp_path.rglob("*.csv")) == ["b.csv"]
    with pytest.raises(FileNotFoundError, match=r"holds no c.csv: it is another archive"):
        extract(packed, "c.csv", target)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_damaged_archives(name, tmp_path):
    packed = tmp_path / name
    packed.write_bytes(b"not an archive")
    with pytest.raises(
        ValueError, match=r"is not a whole zip or tar archive .*: delete it and try"
    ):
        extract(packed, "b.csv", tmp_path / "b.csv")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_cut_tar(tmp_path):
    packed = tar_of(tmp_path / "a.tar.gz", {"b.csv": "".join(map(str, range(9999)))})
    packed.write_bytes(packed.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is not a whole zip or tar archive"):
        extract(packed, "b.csv", tmp_path / "b.csv")
    assert not (tmp_path / "b.csv").exists()


def test_install_needs_the_server_once(server, tmp_path):
    folder, address = server
    content = zip_of(folder / "toy.zip", {"Toy 2/in/a.csv": "1", "Toy 2/b.csv": "2"}).read_bytes()
    members = ("in/a.csv", "b.csv")
    archive = Archive("Toy", f"{address}/toy.zip", ("toy", "Toy 2"), members, sum_of(content))
    root = tmp_path / "root"
    with pytest.raises(FileNotFoundError, match=rf"Toy is not under .* put it at {root}/toy.zip"):
        archive.require(root, "b.csv")
    archive.install(root)
    assert archive.require(root, "in/a.csv") == root / "toy" / "in" / "a.csv"
    (folder / "toy.zip").unlink()
    (root / "toy" / "b.csv").unlink()
    archive.install(root)  # from the zip that is there
    (root / "toy.zip").unlink()
    archive.install(root)  # from the unpacked files
    assert archive.require(root, "b.csv").read_text() == "2"


@pytest.mark.parametrize(
    "place", ["toy/in/a.csv", "Toy 2/in/a.csv", "x/toy/in/a.csv", "in/a.csv", "a.csv"]
)
def test_files_are_found_nested_or_direct(place, tmp_path):
    archive = Archive("Toy", "http://127.0.0.1:9/toy.zip", ("toy", "Toy 2"), ("in/a.csv",))
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1")
    assert archive.find(tmp_path, "in/a.csv") == path
    archive.install(tmp_path)
