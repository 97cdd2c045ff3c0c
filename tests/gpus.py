"""Stand-in GPUs: an nvidia-smi that counts what living processes hold, and trials that hold it.

A process holds memory of GPU 1 by a file ``gpu1/PID`` with the MiB in it, and no longer than it lives, as with a real
one. A trial locks its GPUs first, and fails where another one has them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.plants import Plants, smi_answer

TOTAL_MIB = 24_000
IDLE_MIB = 400  # taken by the driver itself

_SMI = f"""cd {{folder}} || exit 9
[ -e broken ] && {{{{ echo "Unable to determine the device handle: GPU is lost"; exit 15; }}}}
frees=""
for gpu in gpu*; do
  used={IDLE_MIB}
  for held in "$gpu"/[0-9]*; do
    [ -d "/proc/${{{{held##*/}}}}" ] && used=$((used + $(cat "$held")))
  done
  frees="$frees -e s/FREE-${{{{gpu#gpu}}}}-/$(({TOTAL_MIB} - used))/"
done
sed $frees answer.xml
"""

HOLDER = Path(__file__).parent / "e2e" / "programs" / "holder.py"


class Gpus:
    """Some GPUs of 24 GB, in a folder; whoever has ``plants`` in its environment sees them."""

    def __init__(self, plants: Plants, folder: Path, count: int) -> None:
        self.plants, self.folder = plants, folder
        for number in range(count):
            (folder / f"gpu{number}").mkdir(parents=True)
        (folder / "there").mkdir()
        shown = [{"name": "NVIDIA L4", "total": TOTAL_MIB, "free": f"FREE-{number}-"} for number in range(count)]
        for gpu in shown:
            gpu["used"] = 0
        (folder / "answer.xml").write_text(smi_answer(*shown))
        plants.program("nvidia-smi", _SMI.format(folder=folder))

    def hold(self, number: int, mib: int, pid: int) -> None:
        """Let a process hold memory of a GPU."""
        (self.folder / f"gpu{number}" / str(pid)).write_text(str(mib))

    def holders(self, number: int) -> list[int]:
        """The living processes that hold memory of a GPU."""
        named = (int(path.name) for path in (self.folder / f"gpu{number}").iterdir())
        return [pid for pid in named if Path(f"/proc/{pid}").exists()]

    def lose(self) -> None:
        """Let the driver answer no more."""
        (self.folder / "broken").touch()

    def command(self, *words: str) -> list[str]:
        """The command of a trial that holds what it is shown."""
        return [sys.executable, str(HOLDER), str(self.folder), "{x}", *words]
