#!/usr/bin/env python3
"""Packs the binary of a release with its documents and units; the same input gives the same bytes.

release/archive.py <os>-<arch> <dist>: reads <dist>/taskcluster-proxy-<os>-<arch>[.exe] and
<dist>/manual, writes <dist>/taskcluster-proxy-<os>-<arch>.tar.gz, or .zip for Windows. Times are those
of SOURCE_DATE_EPOCH.
"""

import gzip
import io
import os
import pathlib
import sys
import tarfile
import time
import zipfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent


class File(NamedTuple):
    """A file; a directory if the name ends with /."""

    name: str
    data: bytes
    mode: int


def main(name: str, dist: pathlib.Path) -> None:
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    suffix = ".exe" if name.startswith("windows-") else ""
    stem = f"taskcluster-proxy-{name}"
    found = contents(dist / f"{stem}{suffix}", f"taskcluster-proxy{suffix}", dist / "manual")
    files = sorted(file._replace(name=f"{stem}/{file.name}") for file in found)
    if suffix:
        (dist / f"{stem}.zip").write_bytes(zipped(files, epoch))
    else:
        (dist / f"{stem}.tar.gz").write_bytes(gzip.compress(tarred(files, epoch), mtime=0))


def contents(binary: pathlib.Path, name_in_archive: str, manual: pathlib.Path) -> list[File]:
    files = [File(name_in_archive, binary.read_bytes(), 0o755)]
    for name in ("LICENSE", "README.md", "CHANGELOG.md"):
        files.append(File(name, (ROOT / name).read_bytes(), 0o644))
    for path in manual.rglob("*"):
        if path.is_file():
            files.append(File(path.relative_to(manual).as_posix(), path.read_bytes(), 0o644))
    if "linux" in binary.name:
        for path in (ROOT / "release/systemd").iterdir():
            files.append(File(f"systemd/{path.name}", path.read_bytes(), 0o644))
    return files


def tarred(files: list[File], epoch: int) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            member = tarfile.TarInfo(file.name.rstrip("/"))
            member.size, member.mode, member.mtime = len(file.data), file.mode, epoch
            if file.name.endswith("/"):
                member.type = tarfile.DIRTYPE
            tar.addfile(member, io.BytesIO(file.data))
    return archive.getvalue()


def zipped(files: list[File], epoch: int) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zip_file:
        for file in files:
            member = zipfile.ZipInfo(file.name, time.gmtime(epoch)[:6])
            # Marked as made on Unix, as only then modes are stored.
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            member.external_attr = (0o100000 | file.mode) << 16
            zip_file.writestr(member, file.data)
    return archive.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} <os>-<arch> <dist>")
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
