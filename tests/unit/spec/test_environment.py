"""The environment of a CNI call: what is read, and every fault at once."""

from __future__ import annotations

import pytest
from brdhcp.errors import InvalidEnvironment
from brdhcp.spec.environment import Request, if_name_fault

ADD = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/pod",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;X=a=b",
    "CNI_PATH": "/opt/cni/bin:/usr/lib/cni",
    "HOME": "/root",
}


def fault(**changes: str) -> str:
    env = {key: value for key, value in (ADD | changes).items() if value != "-"}
    with pytest.raises(InvalidEnvironment) as error:
        Request.from_environment(env)
    assert error.value.code == 4
    return error.value.msg


def test_a_whole_environment_is_read() -> None:
    request = Request.from_environment(ADD)
    assert (request.command, request.container_id, request.if_name) == ("ADD", "c1", "eth0")
    assert request.netns == "/run/netns/pod"
    assert request.args["X"] == "a=b"
    assert request.path == ("/opt/cni/bin", "/usr/lib/cni")
    assert request.pod == "default/web-0"
    assert request.role == "main"
    assert "HOME" not in request.env
    assert request.env["CNI_PATH"] == ADD["CNI_PATH"]


def test_every_missing_variable_is_named_in_one_error() -> None:
    message = fault(CNI_CONTAINERID="-", CNI_NETNS="-", CNI_IFNAME="")
    assert message == "CNI_CONTAINERID is missing; CNI_NETNS is missing; CNI_IFNAME is missing"


def test_del_needs_no_namespace_and_gc_and_status_need_nothing() -> None:
    assert Request.from_environment(
        {k: v for k, v in ADD.items() if k != "CNI_NETNS"} | {"CNI_COMMAND": "DEL"}
    )
    for command in ("GC", "STATUS", "VERSION"):
        assert Request.from_environment({"CNI_COMMAND": command}).command == command


def test_an_unknown_or_missing_command_is_refused() -> None:
    assert fault(CNI_COMMAND="UPDATE").startswith('CNI_COMMAND is "UPDATE", not one of ADD, DEL')
    assert fault(CNI_COMMAND="-") == "CNI_COMMAND is missing"


@pytest.mark.parametrize("value", ["-c1", "c 1", "c/1", "é"])
def test_a_container_id_that_the_specification_forbids_is_refused(value: str) -> None:
    assert fault(CNI_CONTAINERID=value).startswith(f'CNI_CONTAINERID "{value}" must start with')


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sixteen-bytes-ab", "16 bytes"),
        (".", "must not be"),
        ("..", "must not be"),
        ("a/b", "must not contain"),
        ("a:b", "must not contain"),
        ("a b", "must not contain"),
        ("a\tb", "must not contain"),
        ("éééééééé", "16 bytes"),
    ],
)
def test_an_interface_name_that_the_kernel_forbids_is_refused(name: str, why: str) -> None:
    assert why in fault(CNI_IFNAME=name)


@pytest.mark.parametrize("name", ["eth0", "fifteen-bytes-a", "a.b", "wlan0@x"])
def test_an_interface_name_that_the_kernel_takes_is_taken(name: str) -> None:
    assert if_name_fault(name) is None


def test_arguments_that_are_no_pairs_or_contradict_each_other_are_refused() -> None:
    message = fault(CNI_ARGS="FOO;=x;MAC=1;MAC=2")
    assert message.split("; ") == [
        'CNI_ARGS has "FOO", which is not KEY=VALUE',
        'CNI_ARGS has "=x", which is not KEY=VALUE',
        "CNI_ARGS has MAC twice, with different values",
    ]


def test_unknown_arguments_are_refused_unless_the_runtime_says_to_ignore_them() -> None:
    strict = Request.from_environment(ADD | {"CNI_ARGS": "FOO=1;BAR=2;MAC=x"})
    with pytest.raises(InvalidEnvironment, match="unknown keys: BAR, FOO"):
        strict.require_known_args()
    strict.require_known_args(frozenset({"FOO", "BAR"}))
    Request.from_environment(ADD | {"CNI_ARGS": "FOO=1;IgnoreUnknown=true"}).require_known_args()


def test_a_delegated_plugin_needs_a_search_path() -> None:
    request = Request.from_environment({k: v for k, v in ADD.items() if k != "CNI_PATH"})
    with pytest.raises(InvalidEnvironment, match="CNI_PATH is missing"):
        request.require_path("host-local")
