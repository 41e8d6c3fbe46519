#!/usr/bin/env python3
"""Packs a release's binary with what belongs to it; the same input gives the same bytes.

release/archive.py <os>-<arch> <dist>: reads <dist>/taskcluster-proxy-<os>-<arch>[.exe] and
<dist>/manual, writes <dist>/taskcluster-proxy-<os>-<arch>.tar.gz, or .zip for Windows.
"""

import gzip
import io
import os
import pathlib
import sys
import tarfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Zip knows no earlier time, nor an odd second.
EPOCH = max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800) // 2 * 2


def main(name: str, dist: pathlib.Path) -> None:
    suffix = ".exe" if name.startswith("windows-") else ""
    stem = f"taskcluster-proxy-{name}"
    files = contents(dist / f"{stem}{suffix}", f"taskcluster-proxy{suffix}", dist / "manual")
    if suffix:
        (dist / f"{stem}.zip").write_bytes(zipped(stem, files))
    else:
        (dist / f"{stem}.tar.gz").write_bytes(tarred(stem, files))


def contents(binary: pathlib.Path, called: str, manual: pathlib.Path) -> list[tuple[str, bytes, int]]:
    """Names within the archive, in order, with bytes and modes."""
    files = [(called, binary.read_bytes(), 0o755)]
    for name in ("LICENSE", "README.md", "CHANGELOG.md"):
        files.append((name, (ROOT / name).read_bytes(), 0o644))
    for path in manual.rglob("*"):
        if path.is_file():
            files.append((path.relative_to(manual).as_posix(), path.read_bytes(), 0o644))
    if "linux" in binary.name:
        for path in (ROOT / "release/systemd").iterdir():
            files.append((f"systemd/{path.name}", path.read_bytes(), 0o644))
    return sorted(files)


def tarred(top: str, files: list[tuple[str, bytes, int]]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data, mode in files:
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode, member.mtime = len(data), mode, EPOCH
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(archive.getvalue(), mtime=0)


def zipped(top: str, files: list[tuple[str, bytes, int]]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zip_file:
        for name, data, mode in files:
            member = zipfile.ZipInfo(f"{top}/{name}", time.gmtime(EPOCH)[:6])
            member.compress_type, member.create_system = zipfile.ZIP_DEFLATED, 3
            member.external_attr = (0o100000 | mode) << 16
            zip_file.writestr(member, data)
    return archive.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} <os>-<arch> <dist>")
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
