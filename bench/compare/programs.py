"""The programs that are compared: what they need, how they are built and started, and how they take an event."""

import contextlib
import dataclasses
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time
import typing

from suite import certificates, servers

RIVALS = pathlib.Path(__file__).resolve().parent / "rivals"
NGINX = "/usr/sbin/nginx"
GO_CODE = pathlib.Path("/usr/share/gocode")  # where Debian's packages have the sources of Go's libraries

RINGCAST, NCHAN, GIN, BETTER_SSE = "Ringcast", "nchan", "Gin", "better-sse"

DESCRIPTORS_MAX = 20_000   # of a process; more would do no harm and help nothing
DESCRIPTORS_OF_ITS_OWN = 100  # listeners, the other workers, logs


def descriptors():
    return min(DESCRIPTORS_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def workers_for(streams):
    """Of nginx: as few as hold so many. reuseport spreads by hash, never evenly, unless there is only one."""
    room = descriptors() - DESCRIPTORS_OF_ITS_OWN
    return 1 if streams <= room else -(-int(streams * servers.SPREAD_ROOM) // room)


def output_of(*command, **options):
    """What a program says, on either way out."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise servers.Failure(f"{' '.join(map(str, command))}: {done.stdout}")
    return done.stdout


def folder_of_builds(options):
    folder = options.build / "compare"
    folder.mkdir(exist_ok=True)
    return folder


# nginx with nchan

def nginx_modules():
    found = re.search(r"--modules-path=(\S+)", output_of(NGINX, "-V"))
    return pathlib.Path(found.group(1)) if found else pathlib.Path("/usr/lib/nginx/modules")


def nchan_missing():
    if not pathlib.Path(NGINX).exists():
        return True
    return not (nginx_modules() / "ngx_nchan_module.so").exists()


def nchan_command(_options, ports, folder, settings):
    port, secure_port, _ = ports
    filled_in = {
        "modules": nginx_modules(),
        # The workers would become somebody else otherwise, who cannot read a private folder.
        "user": "user root;" if os.getuid() == 0 else "",
        "folder": folder,
        "workers": workers_for(settings["streams"]),
        "descriptors": descriptors(),
        "connections": descriptors() - DESCRIPTORS_OF_ITS_OWN // 2,
        "port": port,
    }
    tls = (RIVALS / "nchan/tls.conf").read_text() if settings["secure"] else ""
    text = (RIVALS / "nchan/nginx.conf").read_text().replace("{tls}", tls)
    filled_in |= {"secure_port": secure_port, "certificate": certificates.CERTIFICATE_FILE,
                  "key": certificates.KEY_FILE}
    for name, value in filled_in.items():
        text = text.replace(f"{{{name}}}", str(value))
    (folder / "nginx.conf").write_text(text)
    return [NGINX, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]


def nchan_version(_options):
    nginx = output_of(NGINX, "-v").split("/")[-1].strip()
    if shutil.which("dpkg-query") is None:
        return f"nchan of unknown version in nginx {nginx}"
    # As "1:1.3.6+dfsg-2"; the module itself does not tell.
    package = output_of("dpkg-query", "-W", "-f=${Version}", "libnginx-mod-nchan")
    return f"nchan {re.sub(r'^[0-9]+:|[+-].*$', '', package)} in nginx {nginx}"


# Gin

def gin_missing():
    return shutil.which("go") is None or not (GO_CODE / "src/github.com/gin-gonic/gin").exists()


def gin_program(options):
    """Built with what Debian has packaged, which needs no network; some ten seconds the first time."""
    source, folder = RIVALS / "gin/main.go", folder_of_builds(options)
    program = folder / "gin"
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(GO_CODE), "GOFLAGS": "",
                                "GOCACHE": str(folder / "go-cache")}
    # nomsgpack: without a format that nobody asks for here and that takes longer to compile than all the rest.
    output_of("go", "build", "-tags", "nomsgpack", "-ldflags", "-s -w", "-o", program, source, env=environment)
    return program


def gin_command(options, ports, _folder, _settings):
    return [gin_program(options), "-listen", f"127.0.0.1:{ports[0]}"]


def gin_version(options):
    go = output_of("go", "version").split()[2].removeprefix("go")
    return f"Gin {output_of(gin_program(options), '-version').strip().removeprefix('v')}, Go {go}"


# better-sse

def better_sse_missing():
    return shutil.which("node") is None or shutil.which("npm") is None


def better_sse_folder(options):
    """With node_modules as the lock file wants them."""
    source, folder = RIVALS / "better-sse", folder_of_builds(options) / "better-sse"
    installed = folder / "node_modules/.package-lock.json"
    names = ["package.json", "package-lock.json", ".npmrc", "server.mjs"]
    newest = max((source / name).stat().st_mtime for name in names)
    if installed.exists() and installed.stat().st_mtime > newest:
        return folder
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, folder / name)
    output_of("npm", "ci", cwd=folder)
    installed.touch()
    return folder


def better_sse_command(options, ports, _folder, _settings):
    return ["node", better_sse_folder(options) / "server.mjs", ports[0]]


def better_sse_version(options):
    package = (better_sse_folder(options) / "node_modules/better-sse/package.json").read_text()
    version = re.search(r'"version": *"([^"]+)"', package).group(1)
    return f"better-sse {version}, Node {output_of('node', '--version').strip().removeprefix('v')}"


# All of them

def ringcast_command(options, ports, folder, settings):
    sections = {"server": {"shards": servers.shards_for(settings["streams"])}}
    if settings["secure"]:
        sections |= certificates.sections()
    return servers.ringcast_command(options, ports, folder, sections)


def ringcast_version(options):
    return output_of(options.build / "ringcast", "--version").strip()


@dataclasses.dataclass(frozen=True)
class Program:
    command: typing.Callable
    version: typing.Callable
    missing: typing.Callable = lambda: False
    packages: str = ""           # of Debian
    replays: bool = False        # what a client has missed
    body: str | None = "{data}"  # of a publication; None: the generator's own, JSON
    processes: typing.Callable = lambda streams: 1


PROGRAMS = {
    RINGCAST: Program(ringcast_command, ringcast_version, replays=True, body=None),
    NCHAN: Program(nchan_command, nchan_version, nchan_missing, "nginx-light libnginx-mod-nchan", replays=True,
                   processes=lambda streams: 1 + workers_for(streams)),
    GIN: Program(gin_command, gin_version, gin_missing, "golang-go golang-github-gin-gonic-gin-dev"),
    BETTER_SSE: Program(better_sse_command, better_sse_version, better_sse_missing, "nodejs npm"),
}
servers.COMMANDS.update({name: program.command for name, program in PROGRAMS.items()})


def prepare(options, names):
    """Builds and installs what is to be started, so that it is not done between two runs. Versions by name."""
    return {name: PROGRAMS[name].version(options) for name in names}


def processes_of(pid):
    """This one and all that it has started."""
    found = [pid]
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in thread.joinpath("children").read_text().split():
            found += processes_of(int(child))
    return found


def wait_for_processes(name, pid, streams):
    """nginx listens before its workers are there."""
    until = time.monotonic() + servers.LISTEN_SECONDS
    while time.monotonic() < until:
        found = processes_of(pid)
        if len(found) == PROGRAMS[name].processes(streams):
            return found
        time.sleep(0.02)
    raise servers.Failure(f"{name} has {len(found)} processes and should have {PROGRAMS[name].processes(streams)}")


@contextlib.contextmanager
def running(name, options, streams, secure=False):
    """The program, made ready for so many streams. `processes` of what it yields are all of its processes."""
    files = certificates.files() if secure else {}
    with servers.running(name, options, {"streams": streams, "secure": secure}, files) as server:
        server.processes = wait_for_processes(name, server.pid, streams)
        yield server


def publishing(name):
    """How ringcast-load tells the program an event: arguments."""
    body = PROGRAMS[name].body
    return {} if body is None else {"publish_body": body, "publish_type": "text/plain"}
