"""The verdict as JUnit XML, which CI systems read: one testcase a line of the SLO file and one a check of the audit."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from loadtests.report.objectives import Objective, in_words
from loadtests.report.summary import Summary

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(summary: Summary) -> bytes:
    """Return the file. What was not measured or could not be judged is skipped, with its reason: neither passed nor
    failed."""
    suites = Element("testsuites", name="jiaohao rehearsal")
    slo = SubElement(suites, "testsuite", name="slo", timestamp=summary.began_at)
    properties = SubElement(slo, "properties")
    for name, value in (*summary.host, *summary.settings):
        SubElement(properties, "property", name=_plain(name), value=_plain(value))
    for objective in summary.objectives:
        case = SubElement(slo, "testcase", classname="rehearsal.slo", name=objective.name)
        _told(case, "broken", figure_in_words(objective), objective.state == "broken")
        if objective.state in ("not measured", "inconclusive"):
            _skipped(case, objective.state, objective.detail)
    audit = SubElement(suites, "testsuite", name="audit", timestamp=summary.began_at)
    for check in summary.checks:
        case = SubElement(audit, "testcase", classname="rehearsal.audit", name=_plain(check.name))
        _told(case, "red", check.detail, check.ok is False)
        if check.ok is None:
            _skipped(case, "inconclusive", check.detail)
    for suite in (slo, audit):
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(sum(1 for case in cases if case.find("failure") is not None)))
        suite.set("skipped", str(sum(1 for case in cases if case.find("skipped") is not None)))
        suite.set("errors", "0")
    indent(suites)
    return bytes(tostring(suites, encoding="utf-8", xml_declaration=True))


def figure_in_words(objective: Objective) -> str:
    """Figure, limit, and the seconds in which the line was broken."""
    if objective.figure is None:
        return objective.detail
    seconds = in_words(objective.seconds)
    over = f"; over the limit in {seconds}" if seconds else ""
    return f"{objective.figure:.4g} {objective.unit}, limit {objective.limit:g}; {objective.detail}{over}"


def _told(case: Element, kind: str, words: str, failed: bool) -> None:
    if failed:
        SubElement(case, "failure", type=kind, message=_plain(words[:500])).text = _plain(words)
    else:
        SubElement(case, "system-out").text = _plain(words)


def _skipped(case: Element, why: str, detail: str) -> None:
    SubElement(case, "skipped", message=_plain(f"{why}: {detail}"[:500]))


def _plain(text: str) -> str:
    """Without the characters that XML cannot hold: an error may quote any answer."""
    return _NO_XML.sub("?", text)
