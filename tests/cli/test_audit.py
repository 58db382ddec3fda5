"""`stenopool audit`: what the commands change is in it."""

import os
import pwd
import socket

from cli import exits
from tests.cli.conftest import Run


def test_commands_that_change_something_are_in_it(run: Run) -> None:
    made = run("keys", "create", "--tier", "pro", "--balance", "10", "--json").json
    account, key = made["account_id"], made["key_id"]
    run("accounts", "set", account, "--status", "suspended")
    run("accounts", "top-up", account, "5")
    run("accounts", "adjust", account, "--note", "slip", "--", "-2")
    rotated = run("keys", "rotate", key, "--json").json["key_id"]
    run("keys", "revoke", rotated)
    run("prices", "ratio", "whisper-1", "2")
    run("prices", "ratio", "whisper-1", "--clear")
    found = run("audit", "--json").json
    assert [entry["act"] for entry in reversed(found)] == [
        "account.create", "key.create", "balance.top_up", "account.update", "balance.top_up", "balance.adjust",
        "key.rotate", "key.revoke", "ratio.set", "ratio.clear",
    ]  # fmt: skip
    user = pwd.getpwuid(os.getuid()).pw_name
    assert {entry["who"].split(" ")[0] for entry in found} == {f"user:{user}"}
    assert {entry["source"] for entry in found} == {socket.gethostname()}
    assert {entry["account_id"] for entry in found} == {account, None}
    assert made["key"] not in str(found)


def test_it_is_narrowed_and_shown_as_a_table(run: Run) -> None:
    account = run("accounts", "create", "--balance", "1", "--json").json["account_id"]
    run("accounts", "create")
    assert [entry["act"] for entry in run("audit", "--account", account, "--json").json] == [
        "balance.top_up",
        "account.create",
    ]
    assert len(run("audit", "--act", "account.create", "--json").json) == 2
    shown = run("audit", "--limit", "1")
    assert shown.code == 0
    assert "account.create" in shown.out
    assert "there are more" in shown.err


def test_an_act_that_does_not_exist_is_named(run: Run) -> None:
    said = run("audit", "--act", "coup")
    assert said.code == exits.BAD_INPUT
    assert "key.rotate" in said.err
