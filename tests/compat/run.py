"""``make compat``: headwater with protobuf 4.25, 5, 6 and 7, and beside ML Metadata's wheel.

Makes a virtual environment for each in ``.venv-compat``, installs headwater there as a user would, and runs
``smoke.py``. Where ML Metadata's wheel can be installed, both packages are loaded in one process in either
order.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / ".venv-compat"
PROTOBUF = {"4.25": "protobuf>=4.25,<5", "5": "protobuf>=5,<6", "6": "protobuf>=6,<7", "7": "protobuf>=7,<8"}


def python_of(name: str, *requirements: str, base: str = sys.executable) -> str:
    """The interpreter of the environment ``name``, made if it is not there."""
    home = ENVIRONMENTS / name
    python = home / "bin" / "python"
    if not (home / ".installed").exists():
        if base == sys.executable:
            venv.create(home, with_pip=True, clear=True)
        else:
            subprocess.run([base, "-m", "venv", "--clear", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", str(ROOT), *requirements], check=True)
        (home / ".installed").touch()
    return str(python)


def main() -> int:
    failed = []
    for version, requirement in PROTOBUF.items():
        smoke = [
            python_of(f"protobuf-{version}", requirement),
            str(Path(__file__).parent / "smoke.py"),
            version,
        ]
        if subprocess.run(smoke, check=False).returncode:
            failed.append(f"protobuf {version}")
    peers = Path(os.environ.get("HEADWATER_PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
    if not peers.exists():
        print("not run: beside ML Metadata's wheel, which is not installed here (make peers)")
        return 1 if failed or os.environ.get("HEADWATER_REQUIRE_ALL") == "1" else 0
    both = python_of("ml-metadata", "ml-metadata==1.17.1", base=str(peers.resolve()))
    for order in (
        ("ml_metadata", "headwater.v1.metadata_store_pb2"),
        ("headwater.v1.metadata_store_pb2", "ml_metadata"),
    ):
        program = f"import {order[0]}; import {order[1]}; import headwater.mlmd, ml_metadata.proto"
        if subprocess.run([both, "-c", program], check=False).returncode:
            failed.append(f"{order[0]} before {order[1]}")
        else:
            print(f"{order[0]} before {order[1]}: both load")
    if subprocess.run([both, str(Path(__file__).parent / "smoke.py"), "4.25"], check=False).returncode:
        failed.append("beside ML Metadata's wheel")
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
