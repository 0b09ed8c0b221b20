"""Files of a feature, read without following any symbolic link: a repository may hold links to anywhere."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Largest file that is read, in bytes.
LARGEST = 4 << 20


class Missing(Exception):
    """There is no such file, or a folder on its way is none."""


class NotAFile(Exception):
    """Something else has its name; the text says what."""


@contextmanager
def _opened(checkout: Path, folders: tuple[str, ...]) -> Iterator[int]:
    """An open folder, reached name by name."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    at = os.open(checkout, flags)
    try:
        for name in folders:
            try:
                deeper = os.open(name, flags | os.O_NOFOLLOW, dir_fd=at)
            except OSError as error:
                # A link to a folder is ENOTDIR to Linux, and ELOOP elsewhere.
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise Missing from None
                raise
            os.close(at)
            at = deeper
        yield at
    finally:
        os.close(at)


def read(checkout: Path, *path: str) -> bytes:
    """The content of one file. Raises Missing or NotAFile."""
    *folders, name = path
    with _opened(checkout, tuple(folders)) as at:
        try:
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            raise Missing from None
        if stat.S_ISLNK(found.st_mode):
            raise NotAFile("a symbolic link")
        if not stat.S_ISREG(found.st_mode):
            raise NotAFile("a folder or a submodule")
        if found.st_size > LARGEST:
            raise NotAFile("a file of more than 4 MiB")
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at), "rb") as file:
            return file.read(LARGEST)


def names(checkout: Path, *path: str) -> list[bytes]:
    """Names of the files in one folder, links left out; none when there is no such folder."""
    try:
        with _opened(checkout, path) as at, os.scandir(at) as entries:
            return [os.fsencode(entry.name) for entry in entries if entry.is_file(follow_symlinks=False)]
    except Missing:
        return []
