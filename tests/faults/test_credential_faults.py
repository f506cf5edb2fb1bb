"""A file of credentials that was damaged: no server begins as if there were none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labthings_fastapi.security.credential_file import CredentialFile
from labthings_fastapi.security.credentials import new_token

COMMAND = str(Path(sys.executable).with_name("labthings-server"))


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_server_with_a_damaged_file_ends_with_3_and_names_it(tmp_path: Path, damage: str) -> None:
    settings = tmp_path / "settings"
    path = settings / "credentials.json"
    CredentialFile(path).add(new_token("alice", "operator")[0])
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 3] ^= 0x80  # never text in UTF-8 again
    else:
        del content[len(content) // 2 if damage == "cut" else 0 :]
    path.write_bytes(content)
    config = json.dumps({"things": {}, "settings_folder": str(settings)})
    ended = subprocess.run(
        [COMMAND, "-j", config, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert f"{path} cannot be read" in ended.stderr
    assert "token create" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert path.read_bytes() == content  # so that a user can correct it
