"""The AWS stand-in: instances take their time, calls are counted; and which AWS is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from conductor_dev.aws import REGION, AwsChoice, CallCount, ExternalAws, Moto, choose_aws, start_aws
from conductor_dev.errors import DevError
from conductor_dev.moto_faults import Fault

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

FOR_EVER = 100_000.0


def create(rds: RDSClient, name: str = "a-database") -> str:
    made = rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t3.micro",
        Engine="mysql",
        AllocatedStorage=20,
        MasterUsername="root",
        MasterUserPassword="long-enough",
        Tags=[{"Key": "owner", "Value": "test"}],
    )
    return made["DBInstance"]["DBInstanceStatus"]


def delete(rds: RDSClient, name: str = "a-database") -> None:
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)


def statuses(rds: RDSClient) -> list[str]:
    return [instance["DBInstanceStatus"] for instance in rds.describe_db_instances()["DBInstances"]]


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


@pytest.fixture
def rds(moto: Moto) -> Iterator[RDSClient]:
    moto.set_rds_delay(FOR_EVER)
    return moto.rds()


@pytest.mark.integration
def test_an_instance_is_creating_until_its_time_has_passed(moto: Moto, rds: RDSClient) -> None:
    assert create(rds) == "creating"
    assert statuses(rds) == ["creating"]
    moto.set_rds_delay(0)
    assert statuses(rds) == ["available"]
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier="a-database")


@pytest.mark.integration
def test_a_transition_ends_by_itself(moto: Moto, rds: RDSClient) -> None:
    moto.set_rds_delay(0.5)
    create(rds)
    rds.get_waiter("db_instance_available").wait(
        DBInstanceIdentifier="a-database", WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )


@pytest.mark.integration
def test_an_instance_that_is_available_stays_so_when_the_delay_grows(moto: Moto, rds: RDSClient) -> None:
    moto.set_rds_delay(0)
    create(rds)
    moto.set_rds_delay(FOR_EVER)
    assert statuses(rds) == ["available"]


@pytest.mark.integration
def test_a_modification_shows_for_its_time(moto: Moto, rds: RDSClient) -> None:
    moto.set_rds_delay(0)
    create(rds)
    moto.set_rds_delay(FOR_EVER)
    rds.modify_db_instance(DBInstanceIdentifier="a-database", AllocatedStorage=30, ApplyImmediately=True)
    assert statuses(rds) == ["modifying"]
    moto.set_rds_delay(0)
    assert statuses(rds) == ["available"]
    assert rds.describe_db_instances()["DBInstances"][0]["AllocatedStorage"] == 30


@pytest.mark.integration
def test_an_instance_is_not_modified_while_it_is_created(rds: RDSClient) -> None:
    create(rds)
    with pytest.raises(ClientError) as refused:
        rds.modify_db_instance(DBInstanceIdentifier="a-database", AllocatedStorage=30)
    assert code_of(refused) == "InvalidDBInstanceState"


@pytest.mark.integration
def test_a_deletion_shows_for_its_time_and_then_the_instance_is_gone(moto: Moto, rds: RDSClient) -> None:
    create(rds)
    moto.set_rds_delay(0)
    moto.set_rds_delay(FOR_EVER)
    delete(rds)
    shown = rds.describe_db_instances(DBInstanceIdentifier="a-database")["DBInstances"][0]
    assert shown["DBInstanceStatus"] == "deleting"
    assert shown["TagList"] == [{"Key": "owner", "Value": "test"}]
    moto.set_rds_delay(0)
    assert statuses(rds) == []
    with pytest.raises(ClientError) as absent:
        rds.describe_db_instances(DBInstanceIdentifier="a-database")
    assert code_of(absent) == "DBInstanceNotFound"


@pytest.mark.integration
def test_a_name_is_taken_until_its_instance_is_gone(moto: Moto, rds: RDSClient) -> None:
    create(rds)
    delete(rds)
    for refused, code in ((delete, "InvalidDBInstanceState"), (create, "DBInstanceAlreadyExists")):
        with pytest.raises(ClientError) as error:
            refused(rds)
        assert code_of(error) == code
    moto.set_rds_delay(0)
    assert create(rds) == "available"


@pytest.mark.integration
def test_without_a_delay_all_is_done_at_once(moto: Moto, rds: RDSClient) -> None:
    moto.set_rds_delay(0)
    assert create(rds) == "available"
    delete(rds)
    assert statuses(rds) == []


@pytest.mark.integration
def test_calls_are_counted_by_what_came_of_them(moto: Moto, rds: RDSClient) -> None:
    before = moto.calls("CreateDBInstance")
    create(rds)
    with pytest.raises(ClientError):
        create(rds)
    after = moto.calls("CreateDBInstance")
    assert after == CallCount(before.succeeded + 1, before.refused + 1)
    assert moto.calls("NeverCalled") == CallCount(0, 0)


@pytest.mark.integration
def test_so_many_calls_are_throttled_and_the_next_is_not(moto: Moto, rds: RDSClient) -> None:
    # boto3 itself tries up to five times.
    moto.throttle(5)
    with pytest.raises(ClientError) as error:
        rds.describe_db_instances()
    assert code_of(error) == "Throttling"
    moto.throttle(0)
    assert statuses(rds) == []


@pytest.mark.integration
def test_a_reset_empties_the_account(moto: Moto, rds: RDSClient) -> None:
    create(rds)
    delete(rds)
    moto.reset()
    assert statuses(rds) == []
    assert create(rds) == "creating"


def test_moto_is_used_when_nothing_is_said_even_if_credentials_lie_around() -> None:
    assert choose_aws({"AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": "AKIA"}) is AwsChoice.MOTO


def test_an_endpoint_of_the_user_is_used() -> None:
    assert choose_aws({"AWS_ENDPOINT_URL": "http://elsewhere"}) is AwsChoice.ENDPOINT
    assert choose_aws({"AWS_ENDPOINT_URL": "http://elsewhere", "CONDUCTOR_AWS": "moto"}) is AwsChoice.MOTO


def test_the_real_aws_must_be_meant() -> None:
    assert choose_aws({"CONDUCTOR_AWS": "real"}) is AwsChoice.REAL
    with pytest.raises(DevError, match="auto, moto or real"):
        choose_aws({"CONDUCTOR_AWS": "yes"})


def test_the_callers_connection_is_passed_on_and_nothing_else(tmp_path: Path) -> None:
    environ = {"CONDUCTOR_AWS": "real", "AWS_PROFILE": "work", "AWS_REGION": "eu-west-1", "GITHUB_TOKEN": "x"}
    aws = start_aws(tmp_path, environ=environ)
    assert isinstance(aws, ExternalAws)
    assert aws.service_environment == {"AWS_PROFILE": "work", "AWS_REGION": "eu-west-1"}


@pytest.mark.integration
@pytest.mark.parametrize("service", ["rds", "s3"])
def test_a_fault_is_answered_in_the_words_of_the_service_until_it_is_over(moto: Moto, service: str) -> None:
    client = boto3.client(
        service,
        endpoint_url=moto.url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    ask = client.describe_db_instances if service == "rds" else client.list_buckets
    found = {}
    for fault in Fault:
        moto.set_fault(fault)
        with pytest.raises(ClientError) as error:
            ask()
        found[fault] = code_of(error)
    moto.set_fault(None)
    ask()
    assert found == {
        Fault.THROTTLED: "Throttling" if service == "rds" else "SlowDown",
        Fault.OUTAGE: "ServiceUnavailable",
    }


@pytest.mark.integration
def test_a_fault_of_the_services_alone_lets_others_look_on(moto: Moto) -> None:
    others = boto3.client(
        "rds",
        endpoint_url=moto.url,
        region_name=REGION,
        aws_access_key_id="somebody",
        aws_secret_access_key="testing",
    )
    moto.set_fault(Fault.OUTAGE, services_only=True)
    others.describe_db_instances()
    with pytest.raises(ClientError):
        moto.rds().describe_db_instances()
    moto.set_fault(None)
    moto.rds().describe_db_instances()


@pytest.mark.integration
def test_an_instance_opens_to_its_master_password_until_another_is_set(moto: Moto, rds: RDSClient) -> None:
    create(rds)
    assert moto.opens("a-database", "root", "long-enough")
    moto.set_rds_delay(0)
    rds.modify_db_instance(DBInstanceIdentifier="a-database", MasterUserPassword="another-one")
    assert not moto.opens("a-database", "root", "long-enough")
    assert moto.opens("a-database", "root", "another-one")
    assert not moto.opens("no-database", "root", "another-one")
