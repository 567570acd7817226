"""The methods of ``users`` and ``databases``. Each change is an operation on the instance."""

from __future__ import annotations

from conductor_dev.cloudsql.instances import Call
from conductor_dev.cloudsql.project import Instance, Json
from conductor_dev.cloudsql.refusals import Refusal, invalid, not_running


def insert(call: Call) -> Json:
    instance, body = _running(call), call.body
    user = _key(instance, body.get("name", ""), body.get("host"))
    if not user[0]:
        raise invalid("The user's name is missing.")
    if user in instance.users:
        raise Refusal(409, "alreadyExists", f"User {user[0]} already exists.")

    def created() -> None:
        instance.users[user] = {"kind": "sql#user", "name": user[0], "host": user[1]}
        instance.passwords[user] = body.get("password", "")

    return call.project.begin("CREATE_USER", instance.name, created)


def list_(call: Call) -> Json:
    instance = _running(call)
    return {"kind": "sql#usersList", "items": [_shown(call, user) for user in instance.users.values()]}


def get(call: Call) -> Json:
    instance = _running(call)
    return _shown(call, _found(instance, _key(instance, call.path["name"], call.query.get("host"))))


def update(call: Call) -> Json:
    instance = _running(call)
    user = _key(instance, call.query.get("name", call.body.get("name", "")), call.query.get("host"))
    _found(instance, user)

    def updated() -> None:
        if "password" in call.body:
            instance.passwords[user] = call.body["password"]

    return call.project.begin("UPDATE_USER", instance.name, updated)


def delete(call: Call) -> Json:
    instance = _running(call)
    user = _key(instance, call.query.get("name", ""), call.query.get("host"))
    _found(instance, user)

    def deleted() -> None:
        del instance.users[user]
        instance.passwords.pop(user, None)

    return call.project.begin("DELETE_USER", instance.name, deleted)


def insert_database(call: Call) -> Json:
    instance, body = _running(call), call.body
    name = body.get("name", "")
    if not name:
        raise invalid("The database's name is missing.")
    if name in instance.databases:
        raise Refusal(409, "databaseAlreadyExists", f"Database {name} already exists.")
    database = {
        "kind": "sql#database",
        "name": name,
        "charset": body.get("charset", "utf8mb4" if instance.is_mysql else "UTF8"),
        "instance": instance.name,
        "project": call.project.name,
    }
    return call.project.begin(
        "CREATE_DATABASE", instance.name, lambda: instance.databases.update({name: database})
    )


def list_databases(call: Call) -> Json:
    return {"kind": "sql#databasesList", "items": list(_running(call).databases.values())}


def get_database(call: Call) -> Json:
    return _database(_running(call), call.path["database"])


def delete_database(call: Call) -> Json:
    instance, name = _running(call), call.path["database"]
    _database(instance, name)

    def deleted() -> None:
        del instance.databases[name]

    return call.project.begin("DELETE_DATABASE", instance.name, deleted)


def _running(call: Call) -> Instance:
    instance = call.instance
    if not instance.runs:
        raise not_running()
    return instance


def _key(instance: Instance, name: str, host: str | None) -> tuple[str, str]:
    """PostgreSQL's users have no host; MySQL's are from anywhere unless they say otherwise."""
    return name, (host or "%") if instance.is_mysql else ""


def _found(instance: Instance, user: tuple[str, str]) -> Json:
    if user not in instance.users:
        raise Refusal(404, "userDoesNotExist", f"User {user[0]} does not exist.")
    return instance.users[user]


def _database(instance: Instance, name: str) -> Json:
    if name not in instance.databases:
        raise Refusal(404, "databaseDoesNotExist", f"Database {name} does not exist.")
    return instance.databases[name]


def _shown(call: Call, user: Json) -> Json:
    return {**user, "instance": call.path["instance"], "project": call.project.name, "etag": "1"}
