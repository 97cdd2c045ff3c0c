"""Which file system a path is on. Not by statvfs, which does not tell, but by the kernel's list of mounts."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")  # its fields: man 5 proc_pid_mountinfo
# Whose files another host may have open at the same time, by their names in the list.
_SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
}  # fmt: skip
# FUSE is mostly of that kind (sshfs, s3fs, glusterfs), and does not say so; but for what containers lie on.
_FUSE, _LOCAL_FUSE = "fuse.", {"fuse.fuse-overlayfs"}


def network_file_system(path: Path) -> str:
    """The type of the network file system that ``path`` is on, or would be; empty on a local disk, and where the
    machine does not tell."""
    kind = _file_system(path.absolute().resolve())
    is_fuse = (kind == "fuse" or kind.startswith(_FUSE)) and kind not in _LOCAL_FUSE
    return kind if kind in _SHARED or is_fuse else ""


def _file_system(path: Path) -> str:
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return ""
    above = [(point, kind) for point, kind in map(_mount, lines) if path.is_relative_to(point)]
    # The deepest is the one; of several at one point the last, which lies over the others.
    return max(enumerate(above), key=lambda each: (len(each[1][0].parts), each[0]))[1][1] if above else ""


def _mount(line: str) -> tuple[Path, str]:
    """Mount point and type in a line. Blanks and the like are written as octal numbers."""
    mounted, _, source = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mounted.split(" ")[4])
    return Path(point), source.partition(" ")[0]
