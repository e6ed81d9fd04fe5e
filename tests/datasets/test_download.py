"""The downloader against a server of our own on the loopback."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from pyrodis.datasets import download
from pyrodis.datasets.download import SPRITES_SHA256, SPRITES_URL, download_sprites

CONTENT = {name: f"sheet {name}".encode() for name in ("body/0.png", "hair/1.png", "shoes/1.png")}


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder and counts what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(download, "SPRITES_SHA256", sums)
    folder = tmp_path / "served"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[ThreadingHTTPServer]:
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_fetches_all_and_names_the_license(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = []
    telling = logging.Handler()
    telling.emit = told.append  # type: ignore[method-assign]
    pooch.get_logger().addHandler(telling)
    try:
        root = download_sprites(tmp_path / "new" / "root", base_url=url)
    finally:
        pooch.get_logger().removeHandler(telling)
    assert files(root) == CONTENT
    assert told == []
    (record,) = caplog.records
    assert url in record.getMessage()
    assert "CC-BY-SA 3.0 or GPL 3.0" in record.getMessage()


def test_goes_on_file_by_file(url: str, served: Path, tmp_path: Path) -> None:
    (served / "shoes/1.png").unlink()
    with pytest.raises(ConnectionError, match=r"could not download .*/shoes/1\.png: status 404; check"):
        download_sprites(tmp_path / "root", base_url=url)
    assert files(tmp_path / "root") == {name: CONTENT[name] for name in ("body/0.png", "hair/1.png")}
    (served / "shoes/1.png").write_bytes(CONTENT["shoes/1.png"])
    Handler.asked.clear()
    download_sprites(tmp_path / "root", base_url=url)
    assert Handler.asked == ["/shoes/1.png"]
    assert files(tmp_path / "root") == CONTENT


def test_corrupt_sheet_is_refused_and_leaves_nothing(url: str, served: Path, tmp_path: Path) -> None:
    (served / "body/0.png").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"body/0\.png must have the sha256 checksum [0-9a-f]{64}, got other content"):
        download_sprites(tmp_path / "root", base_url=url)
    assert files(tmp_path / "root") == {}


def test_spoiled_file_is_fetched_again(url: str, tmp_path: Path) -> None:
    root = download_sprites(tmp_path / "root", base_url=url)
    (root / "hair/1.png").write_bytes(b"spoiled")
    Handler.asked.clear()
    download_sprites(root, base_url=url)
    assert Handler.asked == ["/hair/1.png"]
    assert files(root) == CONTENT


def test_server_down(served: Path, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
    with pytest.raises(
        ConnectionError, match=rf"could not download http://127\.0\.0\.1:{port}/body/0\.png: ConnectionError;"
    ):
        download_sprites(tmp_path / "root", base_url=f"http://127.0.0.1:{port}/")
    assert not (tmp_path / "root").exists() or files(tmp_path / "root") == {}


def test_registry_is_whole() -> None:
    layers = ("body", "bottomwear", "topwear", "hair")
    assert set(SPRITES_SHA256) == {f"{layer}/{n}.png" for layer in layers for n in range(6)} | {"shoes/1.png"}
    assert all(len(digest) == 64 for digest in SPRITES_SHA256.values())
    assert "3ce4048c5227802bd8f1888e293fd3afdba91c0c" in SPRITES_URL
