"""What Ray makes of `cluster.yaml` on AWS: its own provider, at a simulated EC2 where machines cost nothing."""

import time
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from moto.core.config import DefaultConfig
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_CLUSTER_NAME, TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

from platform.running.cluster import HEAD, awaited
from tests.support.cluster.configuration import FILE, filled_in
from tests.support.s3_server import KEYS

REGION = "us-west-2"
MANAGED_POLICIES: DefaultConfig = {"iam": {"load_aws_managed_policies": True}}
"""Ray gives the head two of those that AWS keeps for everybody."""

Described = list[dict[str, Any]]
"""A thing as AWS describes it."""


@dataclass(frozen=True)
class Life:
    """A cluster of a head and a worker, from its beginning to its end."""

    configuration: dict[str, Any]
    """The file as `ray up` completes it, and gives it to the head."""
    machines: Described
    groups: Described
    """Who may reach them."""
    left_machines: Described
    """What is there of it at the end."""
    left_disks: Described


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """What AWS had while a cluster of `cluster.yaml` lived, in an account of its own."""
    with pytest.MonkeyPatch.context() as patch, mock_aws(config=MANAGED_POLICIES):
        # Ray keeps the key there that it makes.
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name, value in KEYS.items():
            patch.setenv(name, value)
        # It waits until a new role has spread over the data centres.
        patch.setattr(time, "sleep", lambda seconds: None)
        ec2 = boto3.client("ec2", region_name=REGION)
        configuration = completed(ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"])
        # Ray's own providers are not typed.
        provider: Any = AWSNodeProvider(  # type: ignore[no-untyped-call]
            configuration["provider"], configuration["cluster_name"]
        )
        for kind in ("head", "worker"):
            tags = {TAG_RAY_CLUSTER_NAME: configuration["cluster_name"], TAG_RAY_NODE_KIND: kind}
            node = configuration["available_node_types"][kind]["node_config"]
            provider.create_node(node, tags | {TAG_RAY_USER_NODE_TYPE: kind}, 1)
        machines, groups = described(ec2), ec2.describe_security_groups()["SecurityGroups"]
        provider.terminate_nodes(provider.non_terminated_nodes({}))
        return Life(configuration, machines, groups, described(ec2), ec2.describe_volumes()["Volumes"])


def completed(image: str) -> dict[str, Any]:
    """The file with an image filled in, through all that `ray up` does to it."""
    prepared = prepare_config(yaml.safe_load(filled_in(FILE.read_text(), image=image)))
    validate_config(prepared)
    configuration: dict[str, Any] = AWSNodeProvider.bootstrap_config(prepared)  # type: ignore[no-untyped-call]
    return AWSNodeProvider.fillout_available_node_types_resources(configuration)


def described(ec2: Any) -> Described:
    """All machines that the account has, or had of late."""
    return [machine for order in ec2.describe_instances()["Reservations"] for machine in order["Instances"]]


def test_a_worker_is_a_spare_machine_and_the_head_is_none(life: Life) -> None:
    bought = {machine["InstanceType"]: machine.get("InstanceLifecycle") for machine in life.machines}
    assert bought == {"m7i.large": None, "g6.2xlarge": "spot"}


def test_the_world_reaches_ssh_alone(life: Life) -> None:
    (name,) = {group["GroupId"] for machine in life.machines for group in machine["SecurityGroups"]}
    (rules,) = [group["IpPermissions"] for group in life.groups if group["GroupId"] == name]
    others = [rule for rule in rules if rule["IpRanges"] or rule["Ipv6Ranges"] or rule["PrefixListIds"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in others] == [(22, 22)]
    among_themselves = [pair["GroupId"] for rule in rules if rule not in others for pair in rule["UserIdGroupPairs"]]
    assert among_themselves == [name]


def test_what_workers_will_have_is_known_before_there_is_one(life: Life) -> None:
    to_come, unknown = awaited([{"CPU": 0.0, HEAD: 1.0}], life.configuration)
    assert (len(to_come), unknown) == (life.configuration["max_workers"], 0)
    assert {(worker["CPU"], worker["GPU"]) for worker in to_come} == {(8, 1)}
    assert all(20 < worker["memory"] / 2**30 < 32 for worker in to_come)


def test_machines_end_with_their_disks(life: Life) -> None:
    """Ray would stop them by default; a stopped machine goes on costing its disk."""
    assert [machine["State"]["Name"] for machine in life.left_machines] == ["terminated", "terminated"]
    assert life.left_disks == []
