"""The place of cold starts: the package unzipped read-only, a bare Python, and an Azure around it that holds still.

Owns the scenarios, their settings and the processes. Knows no figure but those that it reads from a process.
"""

import compileall
import http.client
import importlib.util
import json
import socket
import sys
import time
import venv
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi

from bench import peers, tollgate
from bench.lab import Lab
from bench.measure import body
from bench.procs import Child, free_port
from deploy.package import PACKAGES, build
from deploy.trial import unzipped
from shared.adapters.work_queue import QUEUES

FLOOR, CONNECTION, IDENTITY = "one function", "connection string", "identity"
_CONTAINER, _NAME = "config", "config.yaml"
_TIMERS = ("timer_minutes", "timer_hour", "timer_day")
_ONE_FUNCTION = """
import azure.functions as func

from shared.adapters.web_extension import Request, Response

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("v1/chat/completions", methods=["POST"])
async def chat_completions(req: Request) -> Response:
    return Response(b"{}")
"""
_CONFIG = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o
      api_base: {base}
      api_version: "2024-10-21"
"""


@dataclass(frozen=True)
class Scenario:
    app: Path
    settings: dict[str, str]
    key: str = "none"


@dataclass
class Instance:
    """A host whose worker has indexed the app and was called by nobody."""

    child: Child
    facts: dict[str, Any]
    key: str

    def cpu(self) -> float:
        """Seconds of the worker's process: the clock that clock_getcpuclockid(3) would give."""
        return time.clock_gettime((~int(self.facts["worker_pid"]) << 3) | 2)

    def memory(self) -> float:
        status = Path(f"/proc/{self.facts['worker_pid']}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def call(self) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.facts["url"]).port or 0, timeout=30)
        try:
            headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
            connection.request("POST", "/v1/chat/completions", body(False), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def log(self) -> str:
        return self.child.tail()


@dataclass
class Place:
    lab: Lab
    work: Path
    app: Path
    python: Path
    certificates: int = 0
    scenarios: dict[str, Scenario] = field(default_factory=dict[str, Scenario])

    def path(self, app: Path) -> str:
        """PYTHONPATH: the package's, what the platform's worker brings, and the host's sources."""
        places = [self.app / PACKAGES, self.work / "worker", self.work / "host", app]
        return ":".join(map(str, places))

    @contextmanager
    def started(self, name: str) -> Generator[Instance]:
        scenario, ready = self.scenarios[name], self.work / "ready.json"
        ready.unlink(missing_ok=True)
        options = ["--port", "0", "--no-auth", "--mode", "process", "--grace", "1", "--ready-file", str(ready)]
        argv = [str(self.python), "-m", "local.host", str(scenario.app), *options]
        env = {**scenario.settings, "PYTHONPATH": self.path(scenario.app), "PYTHONNOUSERSITE": "1"}
        child = self.lab.gateway("cold", argv, env, self.work / "host")
        try:
            _until(ready.exists, child)
            time.sleep(0.2)  # whatever the host still does is not the call's
            yield Instance(child, json.loads(ready.read_text()), scenario.key)
        finally:
            self.lab.children.stop(child)


def _until(there: Any, child: Child) -> None:
    end = time.monotonic() + 60
    while not there():
        if not child.alive() or time.monotonic() > end:
            raise SystemExit(f"bench: {child.name} did not start:\n{child.tail()}")
        time.sleep(0.01)


@contextmanager
def opened(lab: Lab) -> Generator[Place]:
    """Everything is started and the keys are made; only the instances are not."""
    work = lab.work / "cold"
    work.mkdir(parents=True, exist_ok=True)
    lab.say("making the package")
    package = build(work / "app.zip", root=lab.root)
    with unzipped(package.file) as app:
        place = Place(lab, work, app, _bare_python(work))
        _one_function(work / "floor", app)
        azure = _fake_azure(lab, work)
        _scenarios(place, azure)
        yield place


def _bare_python(work: Path) -> Path:
    """A Python without a single package, beside it the worker's own library and the host, with their bytecode."""
    venv.create(work / "python", symlinks=True, with_pip=False)
    spec = importlib.util.find_spec("azure_functions_runtime")
    assert spec
    assert spec.submodule_search_locations
    links = {
        "worker/azure_functions_runtime": Path(spec.submodule_search_locations[0]),
        "host/local": Path(__file__).resolve().parents[1] / "local",
    }
    for name, target in links.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).unlink(missing_ok=True)
        (work / name).symlink_to(target)
    return work / "python" / "bin" / "python"


def _one_function(folder: Path, app: Path) -> None:
    """What any app costs: the platform's library, our web extension, one function that answers by itself."""
    adapters = folder / "shared" / "adapters"
    adapters.mkdir(parents=True, exist_ok=True)
    (folder / "function_app.py").write_text(_ONE_FUNCTION)
    for name in ("host.json", "shared/__init__.py"):
        (folder / name).write_bytes((app / name).read_bytes())
    for name in ("__init__", "web_extension", "collector"):
        (adapters / f"{name}.py").write_bytes((app / "shared" / "adapters" / f"{name}.py").read_bytes())
    compileall.compile_dir(folder, quiet=1)


def _fake_azure(lab: Lab, work: Path) -> dict[str, Any]:
    state = work / "azure"
    argv = [sys.executable, "-m", "local.fake_azure", "--state-dir", str(state)]
    (state / "state.json").unlink(missing_ok=True)
    child = lab.children.start("fake-azure", argv, lab.other_core, None, lab.root)
    _until((state / "state.json").exists, child)
    return json.loads((state / "state.json").read_text())


def _scenarios(place: Place, azure: dict[str, Any]) -> None:
    work = place.work
    config, bundle = work / _NAME, work / "certificates.pem"
    config.write_text(_CONFIG.format(base=azure["resources"]["main"]["url"]))
    bundle.write_text(Path(certifi.where()).read_text() + Path(azure["ca_file"]).read_text())
    place.certificates = bundle.read_text().count("BEGIN CERTIFICATE")
    always = {
        "KEY_PEPPER": "bench-pepper-bench-pepper-bench-pepper",
        "TRUSTED_HOSTS": "127.0.0.1",
        "FUNCHOST_MASTER_KEY": "bench-host-key",
        "IDENTITY_ENDPOINT": azure["identity_endpoint"],
        "IDENTITY_HEADER": azure["identity_header"],
        "AZURE_CLIENT_ID": azure["managed_client_id"],
        "SSL_CERT_FILE": str(bundle),
        **{f"AzureWebJobs.{name}.Disabled": "true" for name in (*QUEUES, *_TIMERS)},
    }
    by_key = {"AzureWebJobsStorage": _storage(place.lab, {}), "CONFIG_SOURCE": str(config)}
    chain = str(Path(azure["ca_file"]).with_name("localhost.pem"))
    by_identity = {
        **_keyless(place.lab, chain, azure["managed_client_id"]),
        "CONFIG_SOURCE": f"blob:{_CONTAINER}/{_NAME}",
    }
    _upload(by_identity, azure, config)
    given = {CONNECTION: always | by_key, IDENTITY: always | by_identity}
    place.scenarios[FLOOR] = Scenario(work / "floor", always | by_key)
    for name, settings in given.items():
        place.scenarios[name] = Scenario(place.app, settings, tollgate.made_key(place.lab, settings)["key"])


def _storage(lab: Lab, more: dict[str, str]) -> str:
    """An Azurite of its own; -> its connection string."""
    ports = {name: free_port() for name in ("blob", "queue", "table")}
    options = [part for name, port in ports.items() for part in (f"--{name}Port", str(port))]
    quiet = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    tls = [part for pair in more.items() for part in pair]
    argv = [*peers.node(lab), str(tollgate.azurite(lab)), *options, *quiet, *tls]
    child = lab.children.start("azurite-tls" if tls else "azurite-cold", argv, lab.other_core, None, lab.root)
    _until(lambda: all(map(_listens, ports.values())), child)
    scheme = "https" if tls else "http"
    ends = (f"{name.title()}Endpoint={scheme}://127.0.0.1:{port}/{tollgate.ACCOUNT};" for name, port in ports.items())
    return (
        f"DefaultEndpointsProtocol={scheme};AccountName={tollgate.ACCOUNT};AccountKey={tollgate.ACCOUNT_KEY};"
        + "".join(ends)
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _keyless(lab: Lab, chain: str, client_id: str) -> dict[str, str]:
    connection = _storage(lab, {"--oauth": "basic", "--cert": chain, "--key": chain})
    ends = dict(part.split("=", 1) for part in connection.split(";") if "Endpoint=http" in part)
    found = {
        f"AzureWebJobsStorage__{name.removesuffix('Endpoint').lower()}ServiceUri": url for name, url in ends.items()
    }
    return {**found, "AzureWebJobsStorage__credential": "managedidentity", "AzureWebJobsStorage__clientId": client_id}


def _upload(settings: dict[str, str], azure: dict[str, Any], config: Path) -> None:
    """As an operator would: `az storage blob upload --auth-mode login`."""
    from azure.core.credentials import AccessToken
    from azure.storage.blob import BlobServiceClient

    class Operator:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            return AccessToken(_token(azure), int(time.time()) + 600)

    place = settings["AzureWebJobsStorage__blobServiceUri"]
    with BlobServiceClient(place, Operator(), connection_verify=azure["ca_file"]) as service:
        container = service.create_container(_CONTAINER)
        container.upload_blob(_NAME, config.read_bytes(), overwrite=True)


def _token(azure: dict[str, Any]) -> str:
    where = urlsplit(azure["identity_endpoint"])
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    query = f"?api-version=2019-08-01&resource=https://storage.azure.com&client_id={azure['managed_client_id']}"
    connection.request("GET", where.path + query, headers={"X-IDENTITY-HEADER": azure["identity_header"]})
    found = json.loads(connection.getresponse().read())
    connection.close()
    return found["access_token"]
