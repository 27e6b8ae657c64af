"""The sections of an analysis page: each function writes its tables and figures, and returns the section."""

from __future__ import annotations

from collections.abc import Callable

from nmjax.analysis.context import AnalysisContext
from nmjax.analysis.page import PageSection
from nmjax.analysis.sections.groups import groups_section
from nmjax.analysis.sections.latent import latent_section
from nmjax.analysis.sections.processors import processors_section
from nmjax.analysis.sections.responses import responses_section
from nmjax.analysis.sections.sensitivity import sensitivity_section
from nmjax.analysis.sections.stability import stability_section
from nmjax.analysis.sections.usage import usage_section

SECTIONS: dict[str, Callable[[AnalysisContext], PageSection]] = {
    "usage": usage_section,
    "groups": groups_section,
    "responses": responses_section,
    "processors": processors_section,
    "stability": stability_section,
    "latent": latent_section,
    "sensitivity": sensitivity_section,
}
