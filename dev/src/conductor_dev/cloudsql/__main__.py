"""The stand-in as a program: ``python -m conductor_dev.cloudsql --port 0 --port-file FILE --operation-seconds 2``."""

from __future__ import annotations

import argparse
from pathlib import Path

from werkzeug.serving import make_server

from conductor_dev.cloudsql.server import OPERATION_SECONDS, Behaviour, CloudSqlApi, QuietHandler


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="conductor_dev.cloudsql", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at: containers do not reach 127.0.0.1"
    )
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--port-file", type=Path, help="the port is written here once it is bound")
    parser.add_argument("--name", default="cloudsql", help="what /conductor/ready answers")
    parser.add_argument(
        "--operation-seconds", type=float, default=OPERATION_SECONDS, help="how long an operation takes"
    )
    arguments = parser.parse_args()
    api = CloudSqlApi(arguments.name, Behaviour(operation_seconds=arguments.operation_seconds))
    server = make_server(arguments.host, arguments.port, api, threaded=True, request_handler=QuietHandler)
    if arguments.port_file:
        unfinished = arguments.port_file.with_suffix(".unfinished")
        unfinished.write_text(str(server.port))
        unfinished.replace(arguments.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
