"""What was observed, as it has become: lifetimes have run on, or were prolonged on the bridge meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from brdhcp.netlink.change import Address, AddressAdd, DefaultRouter, Route, RouteAdd
from brdhcp.uplink.steps import Action

AF_INET6, RTPROT_RA = 10, 9


@dataclass(frozen=True, slots=True)
class Now:
    """Addresses and routes as they are at the moment of going back, ``elapsed_s`` seconds after they were observed."""

    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    elapsed_s: int

    def aged(self, action: Action) -> Action | None:
        """``action`` with the lifetimes of now; None for what has been done already and must not be done twice."""
        match action:
            case AddressAdd(address=address) if address.valid_lft is not None:
                return replace(action, address=self._address(address))
            case RouteAdd(route=route) if route.expires is not None:
                left = self._left(route.gateway, route.dst, route.expires)
                return replace(action, route=replace(route, expires=left))
            case DefaultRouter(dev=dev, gateway=gateway, expires=expires):
                if any(r.dev == dev for r in self._alike(gateway, "default")):
                    return None
                return (
                    action
                    if expires is None
                    else replace(action, expires=self._left(gateway, "default", expires))
                )
        return action

    def _address(self, old: Address) -> Address:
        """The lifetimes that the same address has now, wherever it is; else what is left of the old ones."""
        for now in self.addresses:
            if now.address == old.address and now.valid_lft is not None:
                return replace(old, valid_lft=now.valid_lft, preferred_lft=now.preferred_lft)
        preferred = old.preferred_lft
        return replace(
            old,
            valid_lft=max(1, (old.valid_lft or 0) - self.elapsed_s),
            preferred_lft=None if preferred is None else max(0, preferred - self.elapsed_s),
        )

    def _left(self, gateway: str | None, dst: str, old: int) -> int:
        now = [route.expires for route in self._alike(gateway, dst) if route.expires is not None]
        return max(now) if now else max(1, old - self.elapsed_s)

    def _alike(self, gateway: str | None, dst: str) -> list[Route]:
        return [r for r in self.routes if r.family == AF_INET6 and r.gateway == gateway and r.dst == dst]
