"""The descriptor in SSM."""

from typing import Any

from botocore.exceptions import ClientError

from siteferry.aws.session import Session, error_code, explained
from siteferry.errors import AccessError, ConfigError
from siteferry_contract.descriptor import Descriptor, parameter_name
from siteferry_contract.errors import ContractError


class SsmDescriptor:
    """Implements `DescriptorSource`."""

    def __init__(self, session: Session, site: str) -> None:
        self._client: Any = session.client("ssm")
        self._site = site
        self._region = session.region

    def read(self) -> Descriptor:
        """Read the descriptor."""
        name = parameter_name(self._site)
        remedy = f"is `site` right, and is its stack deployed in {self._region} (`cd infra && npx cdk deploy`)?"
        with explained(f"reading the descriptor {name}"):
            try:
                text = self._client.get_parameter(Name=name)["Parameter"]["Value"]
            except ClientError as error:
                if error_code(error) == "ParameterNotFound":
                    raise ConfigError(f"site {self._site!r}: there is no descriptor {name}", remedy) from None
                if error_code(error) == "AccessDeniedException":
                    raise AccessError(
                        f"site {self._site!r}: these credentials may not read the descriptor {name}",
                        f"{remedy} If so: have they the policy of its output AgentPolicyArn?",
                    ) from None
                raise
        try:
            descriptor = Descriptor.from_json(text)
        except ContractError as error:
            raise ConfigError(
                f"descriptor {name}: {error}", "nothing was changed; docs/upgrade.md has the order"
            ) from error
        if descriptor.site != self._site:
            raise ConfigError(f"descriptor {name} is of site {descriptor.site!r}, not {self._site!r}", remedy)
        return descriptor
