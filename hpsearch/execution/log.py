"""A job's log: the output of its program, or the head and the tail of it where that is too long.

The file never grows past its limit, and is readable at any time: when it is full, its last quarter is moved up behind
the head, over the part that is left out. Memory use does not depend on the output.
"""

from __future__ import annotations

import os

_LEAST_LIMIT_BYTES = 4096
_COPY_BYTES = 1024 * 1024


class CappedLog:
    """A new, empty log file, open as ``descriptor``, kept to ``limit_bytes`` (at least 4096).

    A full disk does not stop the program: output that cannot be written is dropped, and ``error`` says why.
    """

    def __init__(self, descriptor: int, limit_bytes: int) -> None:
        self.error = ""
        self._limit = max(limit_bytes, _LEAST_LIMIT_BYTES)
        self._head = self._limit // 2
        self._size = 0
        self._left_out = 0
        self._file = descriptor

    def write(self, data: bytes) -> None:
        """Append output of the program."""
        rest = memoryview(data)
        try:
            while rest:
                if self._size == self._limit:
                    self._leave_out()
                written = os.pwrite(self._file, rest[: self._limit - self._size], self._size)
                self._size += written
                rest = rest[written:]
        except OSError as error:
            self.error = f"cannot write the log: {os.strerror(error.errno or 0)}"

    def tail(self, size: int) -> bytes:
        """Return the last ``size`` bytes of the file."""
        try:
            return os.pread(self._file, size, max(0, self._size - size))
        except OSError:
            return b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _leave_out(self) -> None:
        kept = self._limit // 4
        start = self._limit - kept
        self._left_out += start - (self._head + (len(self._notice()) if self._left_out else 0))
        notice = self._notice()
        os.pwrite(self._file, notice, self._head)
        target = self._head + len(notice)
        while chunk := os.pread(self._file, min(_COPY_BYTES, self._limit - start), start):
            os.pwrite(self._file, chunk, target)
            start += len(chunk)
            target += len(chunk)
        os.ftruncate(self._file, target)
        self._size = target

    def _notice(self) -> bytes:
        return b"\n[hpsearch left out %20d bytes here: the log is limited to %d bytes]\n" % (
            self._left_out,
            self._limit,
        )
