"""A study of attacks in words and tables: its section of ``RESULTS.md``."""

from __future__ import annotations

from causalprint.research.anonymization.records import ABOUT, Study
from causalprint.schemas.rendering import render


def section(study: Study, key: str, *, survives_jpeg: bool) -> str:
    """The section ``key`` of ``RESULTS.md``."""
    return render("research/anonymization/section.md.j2", study=study, key=key, survives_jpeg=survives_jpeg, about=ABOUT)
