"""The builds that are compared: a folder, or a commit that is built first."""

import pathlib
import subprocess
import sys

from suite.servers import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPTIONS = ["--buildtype=release", "-Doptimization=3", "-Db_lto=true", "-Dtests=false"]


def find(what, progress=print):
    """The folder with `ringcast` of a folder or a commit; builds that in build-bench-<commit> unless it is there."""
    folder = pathlib.Path(what)
    if folder.is_dir():
        if not (folder / "ringcast").exists():
            raise Failure(f"{folder}: has no ringcast; name a folder that was built, or a commit")
        return folder.resolve()
    commit = git("rev-parse", "--verify", "--quiet", f"{what}^{{commit}}").stdout.strip()
    if not commit:
        raise Failure(f"{what}: neither a folder nor a commit")
    home = ROOT / f"build-bench-{commit[:12]}"
    build, source = home / "build", home / "source"
    if not (build / "ringcast").exists():
        progress(f"{what} is built in {home.relative_to(ROOT)} (minutes) …")
        unpack(commit, source)
        if not (build / "build.ninja").exists():
            run(["meson", "setup", build, source, *OPTIONS])
        run(["ninja", "-C", build, "ringcast", "ringcast-load"])
    return build


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False)


def unpack(commit, folder):
    # An archive rather than a worktree: it can be deleted without git having to be told.
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(["git", "-C", ROOT, "archive", commit], stdout=subprocess.PIPE) as archive:
        run(["tar", "-x", "-C", folder], stdin=archive.stdout)


def run(command, **more):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if result.returncode != 0:
        sys.stderr.write(result.stdout[-5000:])
        raise Failure(f"{' '.join(map(str, command[:3]))} failed")
