"""What goes wrong on purpose, as data and pure plans.

``catalogue`` lists the faults, ``parse`` reads ``ID:key=value,…``, ``plan`` composes several of them and
answers what to do at each moment. Nothing here knows a loop, a clock or a socket: the lab and the tap
execute the actions.
"""

from __future__ import annotations

from chatkit.faults.catalogue import CATALOGUE
from chatkit.faults.kinds import FaultKind, Parameter
from chatkit.faults.parse import Fault, make_fault, parse_fault, parse_faults
from chatkit.faults.plan import FaultPlan, PlanState

__all__ = [
    "CATALOGUE",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "Parameter",
    "PlanState",
    "make_fault",
    "parse_fault",
    "parse_faults",
]
