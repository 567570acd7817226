"""The environment from a shell: `python -m conductor_dev up|down|status|build|demo|manifests`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from conductor_dev.api import KubeApi
from conductor_dev.binaries import Finder
from conductor_dev.charts import render_all
from conductor_dev.checkout import MANIFESTS, ROOT
from conductor_dev.controlplane import choose_control_plane
from conductor_dev.errors import AlreadyRunning, ApiError, DevError
from conductor_dev.supervisor import Place, State, down, supervise, up
from conductor_dev.versions import CONTROL_PLANE, PRODUCTS, Product

NOT_RUNNING = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except DevError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m conductor_dev",
        description="Conductor's embedded environment: a real control plane, NATS and a stand-in for AWS.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, description=help, help=help)
        added.set_defaults(command=command)
        return added

    status = f"what runs, and whether it is ready; exit code {NOT_RUNNING} if nothing does"
    starting = (
        add("up", _up, "start the environment and leave it running"),
        add("supervise", _supervise, "what `up` leaves running, in the foreground"),
    )
    for starts in starting:
        starts.add_argument(
            "--no-services", action="store_true", help="only the parts that Conductor stands on"
        )
    for placed in (
        *starting,
        add("down", _down, "stop what `up` started"),
        add("status", _status, status),
    ):
        placed.add_argument(
            "--dir",
            type=Path,
            default=_default_folder(),
            help="folder of the environment: its data, its logs and who runs it (default: %(default)s)",
        )
    build = add("build", _build, "find, download or build what is needed, now rather than when it is needed")
    build.add_argument(
        "product",
        nargs="*",
        metavar="PRODUCT",
        type=_product,
        help=f"one of {', '.join(sorted(PRODUCTS))} (default: control-plane)",
    )
    add("demo", _demo, "take two claims from manifest to connection, and clean up")
    manifests = add("manifests", _manifests, "render the charts with the real helm")
    manifests.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=MANIFESTS,
        metavar="DIR",
        help="where conductor-crds.yaml and conductor.yaml are written (default: %(default)s)",
    )
    return parser


def _product(name: str) -> Product:
    if name not in PRODUCTS:
        raise argparse.ArgumentTypeError(f"it can be {', '.join(sorted(PRODUCTS))}")
    return PRODUCTS[name]


def _default_folder() -> Path:
    return (ROOT if (ROOT / "Makefile").is_file() else Path.cwd()) / ".conductor"


def _place(parsed: argparse.Namespace) -> Place:
    return Place(parsed.dir.absolute())


def _up(parsed: argparse.Namespace) -> int:
    place = _place(parsed)
    try:
        state = up(place, with_services=not parsed.no_services, out=sys.stderr)
    except AlreadyRunning:
        running = place.state()
        print("The environment runs already." if running else "The environment is being started already.")
        if running:
            _print_use(place, running)
        return 0
    print("The environment is ready.")
    _print_use(place, state)
    return 0


def _print_use(place: Place, state: State) -> None:
    variables = f"export KUBECONFIG={shlex.quote(state.kubeconfig)}\n"
    variables += f'export NATS_URL="$(cat {shlex.quote(state.nats_url_file)})"\n'
    if state.aws_endpoint_url:
        variables += f"export AWS_ENDPOINT_URL={state.aws_endpoint_url} AWS_REGION=us-east-1\n"
        variables += "export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing\n"
    if state.explain_address_file:
        variables += (
            f'export CONDUCTOR_EXPLAIN_URL="http://$(cat {shlex.quote(state.explain_address_file)})"\n'
        )
    elsewhere = "" if place.folder == _default_folder() else f" --dir {shlex.quote(str(place.folder))}"
    print(f"\nTo use it:\n\n{variables}\nLogs: {state.logs}")
    print(f"To stop it: {'make down, or ' if not elsewhere else ''}python -m conductor_dev down{elsewhere}")


def _down(parsed: argparse.Namespace) -> int:
    place = _place(parsed)
    print("Stopped." if down(place) else "Nothing was running.")
    if place.logs.exists():
        print(f"Data and credentials are removed. The logs stay in {place.logs}")
    return 0


def _status(parsed: argparse.Namespace) -> int:
    place = _place(parsed)
    state = place.state()
    if state is None:
        print("It is starting." if place.is_running() else "Nothing is running.")
        return NOT_RUNNING
    print(f"Running in {place.folder} (process {state.pid}), logs in {state.logs}")
    readiness = {"kube-apiserver": _api_readiness(state.kubeconfig)}
    readiness |= {service.name: _service_readiness(Path(service.address_file)) for service in state.services}
    for name, ready in readiness.items():
        print(f"  {name:<20} {ready}")
    return 0


def _api_readiness(kubeconfig: str) -> str:
    try:
        KubeApi(kubeconfig).request("GET", "/readyz", timeout=5)
    except ApiError as error:
        return f"not ready: {error}"
    return "ready"


def _service_readiness(address_file: Path) -> str:
    try:
        response = requests.get(f"http://{address_file.read_text().strip()}/readyz", timeout=5)
    except (OSError, requests.RequestException) as error:
        return f"not ready: {error}"
    return "ready" if response.ok else f"not ready: {response.text.strip()}"


def _supervise(parsed: argparse.Namespace) -> int:
    supervise(_place(parsed), with_services=not parsed.no_services)
    return 0


def _build(parsed: argparse.Namespace) -> int:
    finder = Finder.here()
    for product in parsed.product or [CONTROL_PLANE]:
        print(choose_control_plane() if product is CONTROL_PLANE else finder.prepared(product))
    return 0


def _demo(parsed: argparse.Namespace) -> int:
    from conductor_dev.demo import main as demo  # noqa: PLC0415 - the story needs more than the environment does

    return demo()


def _manifests(parsed: argparse.Namespace) -> int:
    for file in render_all(parsed.folder):
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
