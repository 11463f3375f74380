"""Every error that may leave brdhcp, one class per thing the reader does next.

A class carries its CNI error code (CNI SPEC, section "Error"; codes from 100 up are ours), an instance says what,
which and why in ``msg`` and what to do now in ``details``. Errors of other libraries and of the kernel are turned
into one of these at the edge that met them, chained, so that nothing above that edge knows the library.
"""

from __future__ import annotations


class CniError(Exception):
    """An error as the CNI specification words it: ``code``, ``msg`` and ``details``."""

    code: int = 999

    def __init__(self, msg: str, details: str = "") -> None:
        super().__init__(msg)
        self.msg = msg
        self.details = details

    def __str__(self) -> str:
        return f"{self.msg} ({self.details})" if self.details else self.msg

    def as_json(self, cni_version: str) -> dict[str, object]:
        """The error object of the CNI SPEC: ``cniVersion``, ``code``, ``msg`` and, when there are any, ``details``."""
        body: dict[str, object] = {"cniVersion": cni_version, "code": self.code, "msg": self.msg}
        if self.details:
            body["details"] = self.details
        return body


class IncompatibleVersion(CniError):
    """The configuration asks for a CNI version that is not spoken here."""

    code = 1


class UnsupportedField(CniError):
    """A key of the configuration cannot be honoured; the message names the key and its value."""

    code = 2


class UnknownContainer(CniError):
    """The container is not known; the runtime need not clean up after it."""

    code = 3


class InvalidEnvironment(CniError):
    """Variables of the environment are missing or wrong; the message names all of them."""

    code = 4


class StoreFailure(CniError):
    """Reading or writing (the lease store, a socket, the kernel) failed."""

    code = 5


class Undecodable(CniError):
    """The input is not the JSON it should be."""

    code = 6


class InvalidConfiguration(CniError):
    """The network configuration is wrong; ``msg`` lists every fault at once."""

    code = 7


class InvalidNamespace(CniError):
    """The network namespace does not exist or is not one."""

    code = 8


class TryAgainLater(CniError):
    """A passing condition: no agent, no DHCPOFFER yet, an uplink migration under way."""

    code = 11


class NotAvailable(CniError):
    """STATUS only: the plugin cannot serve an ADD now."""

    code = 50


class LimitedConnectivity(CniError):
    """STATUS only: running containers may have limited connectivity."""

    code = 51


class Refused(CniError):
    """The DHCP server refused the address (DHCPNAK)."""

    code = 100


class AddressInUse(CniError):
    """Somebody else on the LAN answers for the offered address (DHCPDECLINE was sent)."""

    code = 101


class LeaseLost(CniError):
    """The lease of a running container expired, was refused, or came back changed in a way a pod cannot follow."""

    code = 102


class NotAsPromised(CniError):
    """CHECK: what is there is not what ADD promised; ``msg`` lists every difference at once."""

    code = 103


class UplinkRefused(CniError):
    """The uplink cannot be migrated, and nothing was changed; ``msg`` names every reason."""

    code = 7


class RollbackIncomplete(CniError):
    """Undoing did not succeed everywhere; ``details`` names each step that is still done and how to undo it by hand."""

    code = 110
