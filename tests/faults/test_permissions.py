"""What a server writes can be used by its own user only, whatever the umask is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from pathlib import Path

umask, folder = int(sys.argv[1], 8), Path(sys.argv[2])

import labthings_fastapi as lt
from labthings_fastapi.client.tokens import store_token
from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token
from labthings_fastapi.server.web.tls import chosen_tls


class Camera(lt.Thing):
    exposure: float = lt.setting(default=1.0)

    @lt.action
    def picture(self) -> lt.blob.Blob:
        return lt.blob.Blob.from_bytes(b"x" * 100)

    @lt.action
    def large(self) -> str:
        return "x" * 100_000


os.umask(umask)
settings = folder / "a" / "settings"
server = lt.ThingServer.from_things({"camera": Camera}, settings_folder=settings)
with server.test_client() as client:
    assert client.put("/camera/exposure", json=2.0).status_code == 204
    for name in ("picture", "large"):
        answer = client.post(f"/camera/{name}", headers={"Prefer": "wait=30"})
        assert answer.json()["status"] == "completed", answer.text
    print("made", flush=True)
    CredentialFile(settings / "credentials.json").add(new_token("ada", "operator")[0])
    chosen_tls(True, settings, "127.0.0.1")
    os.environ["XDG_CONFIG_HOME"] = str(folder / "home" / "config")
    store_token("http://127.0.0.1:5000", "secret")
    for path in sorted(folder.rglob("*")):
        mode = oct(path.stat().st_mode & 0o777)
        print(mode, "d" if path.is_dir() else "f", path.relative_to(folder))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", ["000", "022", "077", "277", "777"])
def test_folders_are_0700_and_files_0600_whatever_the_umask(tmp_path: Path, umask: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, umask, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    made = [line.split(maxsplit=2) for line in ended.stdout.splitlines()[1:]]
    assert {
        "credentials.json",
        "journal.sqlite",
        "journal.sqlite-wal",
        "output",
        "tokens.json",
    } <= {Path(path).name for _, _, path in made}
    wrong = [each for each in made if each[0] != ("0o700" if each[1] == "d" else "0o600")]
    assert wrong == []
