# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own kernel, unpacked and not installed, and its modules."""

import lzma
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import paths

SERIES = "6.12"


class Kernel:
    """A kernel image and the folder of its modules."""

    def __init__(self, folder: Path):
        self.folder = folder
        images = sorted((folder / "boot").glob("vmlinuz-*"))
        if not images:
            raise paths.Missing(f"no boot/vmlinuz-* in {folder}")
        self.image = images[0]
        self.release = self.image.name[len("vmlinuz-"):]
        for top in ("lib/modules", "usr/lib/modules"):
            self.modules = folder / top / self.release
            if self.modules.is_dir():
                break
        self._index = None

    def _find(self, name: str) -> Path | None:
        if self._index is None:
            self._index = {}
            for path in self.modules.rglob("*.ko*"):
                plain = path.name.split(".ko")[0].replace("-", "_")
                self._index[plain] = path
        return self._index.get(name.replace("-", "_"))

    def _built_in(self, name: str) -> bool:
        listed = (self.modules / "modules.builtin").read_text()
        pattern = name.replace("-", "_").replace("_", "[-_]")
        return re.search(rf"/{pattern}\.ko$", listed, re.M) is not None

    def closure(self, names) -> dict[str, bytes]:
        """The modules NAMES and all they depend on, ready to insert in the
        order of the dictionary: file name -> uncompressed content."""
        done: dict[str, bytes] = {}

        def add(name):
            path = self._find(name)
            if path is None:
                if self._built_in(name):
                    return
                raise paths.Missing(f"{self.release} has no module {name}")
            key = path.name.split(".ko")[0].replace("-", "_") + ".ko"
            if key in done:
                return
            data = path.read_bytes()
            if path.name.endswith(".xz"):
                data = lzma.decompress(data)
            elif not path.name.endswith(".ko"):
                raise paths.Missing(f"{path.name}: compressed in a way that "
                                    "is not known here")
            depends = re.search(rb"\0depends=([^\0]*)\0", data)
            if depends and depends.group(1):
                for other in depends.group(1).decode().split(","):
                    add(other)
            done[key] = data

        for name in names:
            add(name)
        return done


def _os_release() -> dict[str, str]:
    pairs = {}
    for line in Path("/etc/os-release").read_text().splitlines():
        key, _, value = line.partition("=")
        pairs[key] = value.strip('"')
    return pairs


def _suite() -> tuple[str, str]:
    """This Debian's name, and the suite of it that holds SERIES."""
    info = _os_release()
    name = info.get("VERSION_CODENAME", "")
    if info.get("ID") != "debian" or name not in ("bookworm", "trixie"):
        raise paths.Missing(
            f"the guests boot Debian's kernel {SERIES}, which is fetched on "
            "Debian 12 and 13 only; elsewhere unpack its linux-image package "
            "and name the folder in PVIOMMU_KERNEL")
    return name, name + "-backports" if name == "bookworm" else name


def _source_line(name: str, suite: str) -> str:
    """A sources.list line for SUITE at the mirror this machine's apt uses."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format",
         "$(SITE)|$(RELEASE)|$(COMPONENT)|$(CODENAME)",
         "Created-By: Packages"],
        check=True, text=True, capture_output=True).stdout.splitlines()
    for target in targets:
        site, release, component = target.split("|")[:3]
        if release in (name, "stable") and component == "main":
            key = "/usr/share/keyrings/debian-archive-keyring.gpg"
            signed = f"[signed-by={key}] " if os.path.exists(key) else ""
            return f"deb {signed}{site} {suite} main\n"
    raise paths.Missing(f"apt knows no mirror of {name} main; add one")


def _download(say) -> Path:
    name, suite = _suite()
    top = paths.cache() / "kernel"
    top.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=top, prefix="apt-") as folder:
        work = Path(folder)
        (work / "lists/partial").mkdir(parents=True)
        (work / "archives/partial").mkdir(parents=True)
        (work / "status").touch()
        (work / "sources.list").write_text(_source_line(name, suite))
        options = []
        for option in (f"Dir::Etc::SourceList={work}/sources.list",
                       "Dir::Etc::SourceParts=/dev/null",
                       f"Dir::State::Lists={work}/lists",
                       f"Dir::State::status={work}/status",
                       f"Dir::Cache={work}", "APT::Sandbox::User=root"):
            options += ["-o", option]

        def apt(tool, *args):
            done = subprocess.run([tool, *options, *args], text=True,
                                  cwd=work, capture_output=True)
            if done.returncode != 0:
                raise paths.Missing(f"{tool} {' '.join(args)}: "
                                    + done.stderr.strip())
            return done.stdout

        say(f"fetching Debian's kernel from {suite}")
        apt("apt-get", "-q", "update")
        depends = apt("apt-cache", "depends", "linux-image-amd64")
        found = re.search(rf"Depends: (linux-image-{re.escape(SERIES)}\S+)",
                          depends)
        if not found:
            raise paths.Missing(f"{suite} has no linux-image of {SERIES}")
        apt("apt-get", "-q", "download", found.group(1))
        package = next(work.glob("*.deb"))
        target = top / "_".join(package.name.split("_")[:2])
        say(f"unpacking {package.name}")
        unpacked = work / "unpacked"
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True)
        shutil.rmtree(target, ignore_errors=True)
        unpacked.chmod(0o755)
        unpacked.rename(target)
    return target


def debian(say=lambda text: None) -> Kernel:
    """Debian's kernel: PVIOMMU_KERNEL, else cached, else downloaded.  SAY
    is told, in a line, of each long step."""
    given = os.environ.get("PVIOMMU_KERNEL")
    if given:
        return Kernel(Path(given))
    found = sorted((paths.cache() / "kernel").glob(
        f"linux-image-{SERIES}*"), key=lambda path: path.stat().st_mtime)
    return Kernel(found[-1] if found else _download(say))
