"""Which machines Dataflow is asked for."""

from __future__ import annotations

from causalprint.schemas.config import AuditConfig

RUNNER = "dataflow"
TEMPLATE = "--template_location"
"""Beam's option that has a template written, and no job begun: so Dataflow starts the launcher of a Flex Template."""

MIN_RAM = "8GB"
"""Of a machine that computes. A worker process took 1.05 GB for images of a megapixel; it holds slices of 256 MiB besides."""

ACCELERATOR = "type:nvidia-l4;count:1;install-nvidia-driver"
"""For ``--device cuda``, where Beam's ``--resource_hint accelerator=…`` asks for no other."""


def resource_hints(config: AuditConfig) -> dict[str, str]:
    """Beam's hints for all from reading to writing, which stay on one machine: between several sets of hints, bytes are shuffled.

    Elsewhere than on Dataflow there are none, for each set takes workers of its own.
    """
    if config.runner != RUNNER:
        return {}
    hints = {"min_ram": MIN_RAM}
    asked = any("accelerator=" in option for option in config.beam_options)
    return hints | ({"accelerator": ACCELERATOR} if config.device.startswith("cuda") and not asked else {})


def template_location(config: AuditConfig) -> str | None:
    """Where a template is to be written; ``None``: a job is to run."""
    options = (option.partition("=") for option in config.beam_options)
    return next((value for name, _, value in options if name == TEMPLATE), None)
