"""How the state machines are run: long sequences of steps, the same ones each time."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_machine(machine: type[RuleBasedStateMachine], *, sequences: int, steps: int) -> None:
    """Try so many sequences of at most so many steps."""
    scale = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        phases=[Phase.generate],  # a failure tells its steps; to shorten them would take hours
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=scale)
