# SPDX-License-Identifier: GPL-2.0-or-later
"""Our device as it tells of itself: what qom-get reads by QMP."""


class Device:
    """The device with an id of a machine."""

    def __init__(self, machine, name="iommu"):
        self._machine = machine
        self._name = name

    def get(self, name):
        """A property, such as "requests"."""
        return self._machine.get(self._name, name)

    def mappings(self) -> int:
        """How many mappings there are in all domains."""
        return self.get("mappings")

    def refusals(self) -> int:
        """How often the host refused what was asked of it."""
        return self.get("host-refusals")

    def answered(self, request, status) -> int:
        """How many requests of a type got this status, not OK."""
        return self.get("statuses")[request].get(status, 0)

    def endpoint(self, device) -> dict:
        """What is said of the endpoint whose device has this id."""
        for endpoint in self.get("endpoints"):
            if endpoint["device"].endswith("/" + device):
                return endpoint
        raise KeyError(f"no endpoint is {device}")

    def mistakes(self) -> dict:
        """What the guest did wrong, by kind, where it did."""
        return {kind: count for kind, count in self.get("mistakes").items()
                if count}

    def requests(self) -> dict:
        """How many requests of each type came, where any did."""
        return {kind: count for kind, count in self.get("requests").items()
                if count}

    def refused(self) -> dict:
        """The statuses other than OK, as "TYPE STATUS"."""
        return {f"{kind} {status}": count
                for kind, counts in self.get("statuses").items()
                for status, count in counts.items()}
