"""An audit as a function of Python, whose keywords are the command's options."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import ParamSpec

from causalprint.pipelines.audit import execute, plan
from causalprint.pipelines.cascade import cascade
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.options import settings_of
from causalprint.schemas.runs import RunManifest

Options = ParamSpec("Options")


def _by_keywords(configure: Callable[Options, AuditConfig]) -> Callable[Options, RunManifest]:
    def audit(*args: Options.args, **options: Options.kwargs) -> RunManifest:
        """Audits image shards: writes who made each image, with the evidence, to Parquet tables; what ``causalprint audit`` does.

        Args:
            args: none; the options are given by name.
            options: those of the command, as of :class:`~causalprint.schemas.config.AuditConfig`: ``inputs`` and ``output`` at
                least.

        Returns:
            the run's manifest: what was asked, with which weights and code, and what it came to (``manifest.totals``). It is in
            ``OUT/runs`` too, and those of further tiers are in ``OUT/tiers/2/runs``. Where ``totals.incomplete`` is above 0,
            something is missing from a shard, and table ``shards`` says what.

        Raises:
            ValueError: the bundle, residual, device, input or the output's settings do not allow the audit.
            RunnerError: the runner or its options cannot be used.
            AuditError: the runner ended without writing the manifest, or lost shards on the way.
            OSError: something cannot be read or written.
        """
        planned = plan(configure(*args, **options))
        manifest = execute(planned)
        cascade(planned)
        return manifest

    # So that help() shows every option, with its type and what it does.
    hints = typing.get_type_hints(configure)
    signature = inspect.signature(configure)
    shown = [one.replace(annotation=hints[name]) for name, one in signature.parameters.items()]
    audit.__signature__ = signature.replace(parameters=shown, return_annotation=RunManifest)  # type: ignore[attr-defined]
    options = [f"    {one.name}: {one.option.help}" for one in settings_of(configure) if one.option]
    audit.__doc__ = "\n".join([inspect.cleandoc(audit.__doc__ or ""), "", "Options:", *options])
    return audit


audit = _by_keywords(AuditConfig)
